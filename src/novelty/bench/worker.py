"""The process that measures one configuration, alone with its memory and its threads; `workers` starts it.

`python -m novelty.bench.worker` reads JSON lines from its standard input and answers each on its standard output.
"""

from __future__ import annotations

import io
import json
import os
import queue
import sys
import threading
import traceback
from typing import TYPE_CHECKING, Any

from novelty.doors import keep_memory
from novelty.errors import NoveltyError

if TYPE_CHECKING:
    from novelty.bench.loops import Channel

ENDLESS = 10**9
"""Epochs: the bench says when it has seen enough."""


class PipeChannel:
    """Standard input and output, kept from everybody else: what is printed meanwhile goes to standard error.

    Once the other end is gone, so is this process, at once and whatever it is doing: no orphan goes on computing.
    """

    def __init__(self) -> None:
        commands, self._answers = os.fdopen(os.dup(0)), os.fdopen(os.dup(1), "w")
        os.dup2(2, 1)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        self._queue: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()

        def listen() -> None:
            for line in commands:
                self._queue.put(json.loads(line))
            os._exit(1)

        threading.Thread(target=listen, daemon=True).start()

    def receive(self) -> dict[str, Any]:
        """The next command."""
        return self._queue.get()

    def send(self, message: dict[str, Any]) -> None:
        """One line."""
        self._answers.write(json.dumps(message) + "\n")
        self._answers.flush()


def serve(channel: Channel) -> None:
    """Train, calibrate and score one configuration, ``{"overrides": [...]}``, as far and as long as commands ask.

    Nothing is written: no record, no log, no checkpoint. Imports come before the first command, so that two processes
    may import side by side and read images one after the other.
    """
    from rich.console import Console

    from novelty.bench.loops import BenchData, ScoringLoop, TrainingLoop
    from novelty.bench.options import compose
    from novelty.hardware import processes
    from novelty.results.environment import environment
    from novelty.training.callbacks import Calibrate, CalibrateWrapper, CollectScores, StepSeed
    from novelty.training.plan import make_plan
    from novelty.training.progress import ProgressBar
    from novelty.training.trainer import build_method, data_of, make_trainer, prepare, quiet

    plan = make_plan(*compose(channel.receive()["overrides"]))
    config, hardware = plan.config, plan.config["hardware"]
    if processes(hardware) > 1:
        raise NoveltyError(
            f"hardware.devices={hardware['devices']}: the bench measures one process, so set hardware.devices=1."
        )
    prepare(plan)
    data = data_of(plan, BenchData)
    assert isinstance(data, BenchData)
    console = Console(file=io.StringIO())
    method = build_method(plan, data)
    about = {
        "title": plan.title,
        "choices": plan.choices,
        "config": config,
        "environment": environment(hardware["accelerator"]),
        "score_batch": hardware["score_batch"],
    }
    training = TrainingLoop(channel, data, hardware, about)
    callbacks = [StepSeed(config["seed"]), ProgressBar(console), Calibrate(lambda _: None), training]
    with quiet():
        make_trainer(plan, callbacks, ENDLESS).fit(method.learner, datamodule=data)
    state = method.learner.state_dict()
    method = build_method(plan, data)
    method.learner.load_state_dict(state)
    del state, training, callbacks
    collect = CollectScores(lambda image: None)
    scoring = [CalibrateWrapper(), ProgressBar(console), collect, ScoringLoop(channel, data, collect)]
    with quiet():
        make_trainer(plan, scoring).test(method, datamodule=data, verbose=False)


def main() -> None:
    """Serve; what goes wrong is the last answer."""
    channel = PipeChannel()
    keep_memory()  # as a run does
    try:
        serve(channel)
    except NoveltyError as error:
        channel.send({"failure": str(error)})
    except Exception as error:
        first = (str(error).splitlines() or [""])[0]
        channel.send({"failure": f"{type(error).__name__}: {first}", "traceback": traceback.format_exc()})
    finally:
        sys.stderr.flush()


if __name__ == "__main__":
    main()
