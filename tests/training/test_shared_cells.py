"""Cells that two processes share: the same numbers as one, and what happens when one of them fails."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from cells import options, plan, quiet, run

from novelty.errors import NoveltyError, Stopped
from novelty.training.cell import run_cell
from novelty.training.processes import run_shared


def _scores(*overrides: str) -> dict[str, np.ndarray]:
    planned = plan(*overrides)
    run_cell(planned, "test", quiet())
    with np.load(planned.record.scores) as stored:
        return dict(stored)


@pytest.mark.parametrize("method", options("method"))
def test_two_processes_give_the_scores_of_one(method: str, runs: Path) -> None:
    one = _scores(f"method={method}")
    two = _scores(f"method={method}", "hardware=ddp_cpu")
    assert one.keys() == two.keys()
    assert len({path.parent for path in runs.rglob("result.json")}) == 2  # another training key: other rounding
    for name, values in one.items():
        np.testing.assert_allclose(two[name], values, rtol=1e-5, atol=1e-5)


def test_a_batch_that_cannot_be_shared_is_one_sentence() -> None:
    with pytest.raises(NoveltyError, match="A batch of 5 images cannot be shared by 2 processes"):
        run("method=autoencoder", "method.batch_size=5", "hardware=ddp_cpu")


def _say(folder: str) -> None:
    (Path(folder) / os.environ["RANK"]).write_text(f"{os.environ['WORLD_SIZE']} {os.environ['LOCAL_RANK']}")


@pytest.mark.parametrize("threads", [1, 2])  # forked, and started anew
def test_processes_know_their_place(threads: int, tmp_path: Path) -> None:
    run_shared(2, threads, _say, str(tmp_path))
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"0": "2 0", "1": "2 1"}


def _fail(how: str) -> None:
    if os.environ["RANK"] == "1":
        if how == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        raise NoveltyError("A sentence.") if how == "sentence" else ValueError("a bug")
    time.sleep(60)


@pytest.mark.parametrize(
    ("how", "kind", "words"),
    [
        ("sentence", NoveltyError, r"^A sentence\.$"),
        ("bug", RuntimeError, r"^ValueError in process 1: a bug"),
        ("kill", NoveltyError, r"^Process 1 of 2 died .*exit code -9"),
    ],
)
def test_the_failure_of_one_ends_all(how: str, kind: type[Exception], words: str) -> None:
    start = time.monotonic()
    with pytest.raises(kind, match=words):
        run_shared(2, 1, _fail, how)
    assert time.monotonic() - start < 30  # the other one is not waited for


def _stop_when_asked() -> None:
    asked: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, frame: asked.append(number))
    while not asked:
        time.sleep(0.01)
    raise Stopped(asked[0], "Stopped, saved.")


def test_a_signal_reaches_all_processes() -> None:
    timer = threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGTERM))
    timer.start()
    with pytest.raises(Stopped, match="saved") as stopped:
        run_shared(2, 1, _stop_when_asked)
    assert stopped.value.exit_code == 143
