"""What a block of steps is watched for: their times, the parts of them, or their arithmetic.

A task begins between two steps, sees every step end, and is over after some of them.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import Any

import lightning as L
import torch

from novelty.bench.arithmetic import count_flop
from novelty.bench.device import Moments, Peak, finish
from novelty.nn.parts import Clock, part, timed

FRAMEWORK, DATA, REST, BACKWARD, OPTIMISERS, LOGGING = (
    "framework",
    "data",
    "rest of the step",
    "backward",
    "optimisers",
    "logging",
)
"""Parts beside those that the method marks. Framework: whatever happens outside all others."""


class Task(ABC):
    """One block. Results are plain JSON."""

    @abstractmethod
    def step(self, images: int) -> bool:
        """A step over so many images has ended: was it the last one?"""

    @abstractmethod
    def result(self) -> dict[str, Any]:
        """What was seen; ends the watch."""


class Timed(Task):
    """Seconds of every step, from the end of the one before: all that the loop does is in it.

    ``seconds``: at least so long, and at least ``minimum`` steps.
    """

    def __init__(self, device: torch.device, seconds: float, minimum: int = 1) -> None:
        self._minimum, self._images = minimum, list[int]()
        finish(device)
        self._peak, self._moments = Peak(device), Moments(device)
        self._end = time.perf_counter() + seconds
        self._moments.note()

    def step(self, images: int) -> bool:
        self._moments.note()
        self._images.append(images)
        return time.perf_counter() >= self._end and len(self._images) >= self._minimum

    def result(self) -> dict[str, Any]:
        return {"seconds": self._moments.intervals(), "images": self._images, "memory": self._peak.bytes()}


class Counted(Task):
    """FLOP of every step."""

    def __init__(self, steps: int) -> None:
        self._steps, self._totals, self._images = steps, [0], list[int]()
        self._stack = ExitStack()
        self._counter = self._stack.enter_context(count_flop())

    def step(self, images: int) -> bool:
        self._totals.append(self._counter.get_total_flops())
        self._images.append(images)
        return len(self._images) >= self._steps

    def result(self) -> dict[str, Any]:
        self._stack.close()
        return {"flop": [b - a for a, b in zip(self._totals, self._totals[1:], strict=False)], "images": self._images}


class Divided(Task):
    """Seconds by part, summed over the steps: a clock at every border, which costs the step a little.

    Beside the method's own parts: making the batch, the rest of `training_step`, `log`, Lightning's backward pass
    (methods that optimise by hand have theirs inside the step), the optimisers' steps; the rest is the framework.
    """

    def __init__(self, trainer: L.Trainer, method: L.LightningModule, seconds: float, minimum: int = 2) -> None:
        device = trainer.strategy.root_device
        self._minimum, self._steps = minimum, 0
        self._stack = ExitStack()
        for name, charged in (("training_step", REST), ("log", LOGGING)):
            setattr(method, name, _charged(getattr(method, name), charged))
            self._stack.callback(delattr, method, name)
        for optimizer in trainer.optimizers:
            before = optimizer.register_step_pre_hook(lambda *_: self.clock.enter(OPTIMISERS))
            after = optimizer.register_step_post_hook(lambda *_: self.clock.leave())
            self._stack.callback(before.remove)
            self._stack.callback(after.remove)
        self._end = time.perf_counter() + seconds
        self.clock = self._stack.enter_context(timed(Clock(FRAMEWORK, partial(finish, device))))

    def step(self, images: int) -> bool:
        self._steps += 1
        return time.perf_counter() >= self._end and self._steps >= self._minimum

    def result(self) -> dict[str, Any]:
        self.clock.charge()
        self._stack.close()
        return {"steps": self._steps, "parts": self.clock.seconds}


def _charged(function: Callable[..., Any], name: str) -> Callable[..., Any]:
    def charged(*arguments: Any, **named: Any) -> Any:
        with part(name):
            return function(*arguments, **named)

    return charged
