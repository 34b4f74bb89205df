"""A bench of one configuration in this process: the worker's loops here, the side that asks in a thread."""

from __future__ import annotations

import queue
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from novelty.bench import measure
from novelty.bench.options import Options
from novelty.bench.worker import serve

QUICK = Options(seconds=0.2, warmup=0.0, rounds=2)
SMALL = ("data=digits", "budget.max_train=12", "budget.max_test=16", "hardware=cpu", "hardware.threads=1")


class Ended(Exception):
    """The loops failed: nobody will answer."""


class InsideWorker:
    """`Worker` without a process: commands go through one queue, answers come back through another."""

    def __init__(self, name: str, overrides: Sequence[str]) -> None:
        self.name, self.overrides = name, list(overrides)
        self.commands: queue.Queue[dict[str, Any]] = queue.Queue()
        self.answers: queue.Queue[dict[str, Any] | None] = queue.Queue()

    def __enter__(self) -> InsideWorker:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def open(self) -> dict[str, Any]:
        self.commands.put({"overrides": self.overrides})
        return self.receive()

    def ask(self, do: str, **arguments: Any) -> dict[str, Any]:
        self.commands.put({"do": do, **arguments})
        return self.receive()

    def receive(self) -> dict[str, Any]:
        answer = self.answers.get(timeout=120)
        if answer is None:
            raise Ended
        return answer


class _Served:
    """The worker's end."""

    def __init__(self, worker: InsideWorker) -> None:
        self.worker = worker

    def receive(self) -> dict[str, Any]:
        return self.worker.commands.get(timeout=120)

    def send(self, message: dict[str, Any]) -> None:
        self.worker.answers.put(message)


def bench(monkeypatch: pytest.MonkeyPatch, *overrides: str, options: Options = QUICK) -> dict[str, Any]:
    """Raw measurements of a small cell."""
    worker = InsideWorker("this", [*SMALL, *overrides])
    monkeypatch.setattr(measure, "Worker", lambda *_: worker)
    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(measure.measure, [("this", worker.overrides)], options, lambda _: None)
        try:
            serve(_Served(worker))
        finally:
            worker.answers.put(None)
        (raw,) = asking.result()
    return raw | {"name": "this", "overrides": worker.overrides, "hardware": "cpu"}
