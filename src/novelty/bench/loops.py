"""The training and the scoring loop, stopped between two steps to do what is asked: one configuration in its process.

Each loop is Lightning's own, with the callbacks of a real run before ours. It asks for a command, works until the task
is over, sends what was seen, and asks again; meanwhile another process may have its turn.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, Protocol

import lightning as L
import torch
from torch import Tensor

from novelty.bench.arithmetic import ceiling, dtype_of
from novelty.bench.device import finish
from novelty.bench.tasks import BACKWARD, Counted, Divided, Task, Timed
from novelty.data.datamodule import IndexedBatches, NoveltyData, TrainingBatches
from novelty.methods.base import Fitted
from novelty.training.callbacks import CollectScores

Command = dict[str, Any]
"""``{"do": what, ...}``: feed, ceiling, time, divide, count, finish."""


class Channel(Protocol):
    """Where commands come from and results go to."""

    def receive(self) -> Command:
        """The next command; waits for it."""

    def send(self, message: dict[str, Any]) -> None:
        """One answer for each command, and one when a loop is ready for the first."""


class BenchData(NoveltyData):
    """The data of a real run, but that the images to score come round and round."""

    stopped = False

    def test_dataloader(self) -> Any:
        return _Rounds(super().test_dataloader(), self)


class _Rounds:
    """Batches to score, over and over, until the data are ``stopped``."""

    def __init__(self, batches: IndexedBatches, data: BenchData) -> None:
        self.batches, self.data = batches, data

    def __len__(self) -> int:
        return 10**9  # Lightning would look one batch ahead if it did not know

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        while True:
            for batch in self.batches:
                if self.data.stopped:
                    return
                yield batch


class TrainingLoop(L.Callback):
    """Obeys between training steps. Of a method that only calibrates one step runs, as always, and none is timed.

    The first message tells what is trained; after ``finish`` the run goes on to calibrate, and the last message says
    how long that took.
    """

    def __init__(self, channel: Channel, data: NoveltyData, hardware: dict[str, Any], about: dict[str, Any]) -> None:
        self.channel, self.data, self.hardware, self.about = channel, data, hardware, about
        self.task: Task | None = None
        self.finished = False

    def on_train_start(self, trainer: L.Trainer, method: L.LightningModule) -> None:
        batches = trainer.train_dataloader
        assert isinstance(batches, TrainingBatches)
        self.channel.send(
            self.about
            | {
                "trains": not isinstance(method, Fitted),
                "device": trainer.strategy.root_device.type,
                "batch": batches.batch,
                "images_per_iteration": batches.batch * batches.schedule.batches_per_step,
            }
        )
        self._obey(trainer, method)

    def on_train_batch_end(
        self, trainer: L.Trainer, method: L.LightningModule, outputs: Any, batch: Tensor, *_: Any
    ) -> None:
        if self.task is not None and self.task.step(len(batch)):
            self.channel.send(self.task.result())
            self._obey(trainer, method)
        trainer.should_stop = self.finished

    def on_before_backward(self, trainer: L.Trainer, method: L.LightningModule, loss: Tensor) -> None:
        if isinstance(self.task, Divided):
            self.task.clock.enter(BACKWARD)

    def on_after_backward(self, trainer: L.Trainer, method: L.LightningModule) -> None:
        if isinstance(self.task, Divided):
            self.task.clock.leave()

    def on_train_end(self, trainer: L.Trainer, method: L.LightningModule) -> None:
        finish(method.device)
        self.channel.send({"calibration_seconds": time.perf_counter() - self._asked})

    def _obey(self, trainer: L.Trainer, method: L.LightningModule) -> None:
        """Commands, until one needs steps to be taken."""
        device = trainer.strategy.root_device
        self.task = None
        while True:
            command = self.channel.receive()
            match command["do"]:
                case "feed":
                    self.channel.send(feed(self.data, device, command["seconds"]))
                case "ceiling":
                    dtype = dtype_of(self.hardware["precision"])
                    self.channel.send(ceiling(device, dtype, self.hardware["channels_last"]))
                case "time":
                    self.task = Timed(device, command["seconds"], command.get("minimum", 1))
                    return
                case "divide":
                    self.task = Divided(trainer, method, command["seconds"])
                    return
                case "count":
                    self.task = Counted(command["steps"])
                    return
                case "finish":
                    self.finished, self._asked = True, time.perf_counter()
                    return
                case unknown:
                    raise ValueError(f"No such command while training: {unknown}.")


class ScoringLoop(L.Callback):
    """Obeys between batches of the test loop; ``collect`` starts anew with every task, so that nothing piles up."""

    def __init__(self, channel: Channel, data: BenchData, collect: CollectScores) -> None:
        self.channel, self.data, self.collect = channel, data, collect
        self.task: Task | None = None

    def on_test_start(self, trainer: L.Trainer, method: L.LightningModule) -> None:
        self.channel.send({})
        self._obey(trainer, method)

    def on_test_batch_end(
        self, trainer: L.Trainer, method: L.LightningModule, outputs: Any, batch: tuple[Tensor, Tensor], *_: Any
    ) -> None:
        if self.task is not None and self.task.step(len(batch[0])):
            self.channel.send(self.task.result())
            self._obey(trainer, method)

    def on_test_end(self, trainer: L.Trainer, method: L.LightningModule) -> None:
        self.channel.send({})

    def _obey(self, trainer: L.Trainer, method: L.LightningModule) -> None:
        device = trainer.strategy.root_device
        self.task = None
        command = self.channel.receive()
        match command["do"]:
            case "time":
                self.collect.on_test_start(trainer, method)
                self.task = Timed(device, command["seconds"])
            case "count":
                self.task = Counted(command["steps"])
            case "finish":
                self.data.stopped = True
            case unknown:
                raise ValueError(f"No such command while scoring: {unknown}.")


def feed(data: NoveltyData, device: torch.device, seconds: float) -> dict[str, Any]:
    """Training batches made and moved to the device, with no step in between: ``{"images", "seconds"}``."""
    batches = data.train_dataloader()
    images, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        for batch in batches:
            images += len(batch.to(device))
            if time.perf_counter() - start >= seconds:
                break
    finish(device)
    return {"images": images, "seconds": time.perf_counter() - start}
