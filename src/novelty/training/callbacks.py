"""What the framework does around a method's own training: seeding, saving, stopping, calibrating, collecting."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import lightning as L
import numpy as np
import torch
from torch import Tensor

from novelty.data.datamodule import NoveltyData, TrainingBatches
from novelty.errors import Stopped
from novelty.methods.base import Method
from novelty.results.records import write
from novelty.scores import Scores
from novelty.training.maps import MapFiles

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)


def steps_taken(trainer: L.Trainer) -> int:
    """Training steps begun so far, those before a cut included."""
    batches = trainer.train_dataloader
    assert isinstance(batches, TrainingBatches)
    return batches.taken


class StepSeed(L.Callback):
    """Seeds every training step by (seed, step): a resumed run draws the noise that it would have drawn.

    All processes are seeded alike and draw for their joined batch (see `nn.processes`). Tells the method which images
    it is about to see.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_batch_start(
        self, trainer: L.Trainer, method: L.LightningModule, batch: Tensor, batch_idx: int
    ) -> None:
        self._seed(steps_taken(trainer) - 1)
        assert isinstance(method, Method)
        method.positions = getattr(trainer.train_dataloader, "positions", None)

    def on_train_epoch_start(self, trainer: L.Trainer, method: L.LightningModule) -> None:
        self._seed(steps_taken(trainer))

    def _seed(self, step: int) -> None:
        torch.manual_seed((self.seed * 2_654_435_761 + step) % 2**63)


class ResumePoint(L.Callback):
    """Keeps ``resume.ckpt`` at most ``every`` seconds old, and turns signals into a clean stop between two steps.

    The file is written between steps only (an exception in the middle of one would save half a step), under another
    name, then renamed. The first Ctrl-C, SIGTERM or SIGUSR1 (Slurm's warning) saves and raises `Stopped`; a second
    Ctrl-C interrupts at once, leaving the file of the last save. ``keep``: save the state after the last step too.
    """

    def __init__(self, path: Path, every: float, keep: bool = False) -> None:
        self.path, self.every, self.keep = path, every, keep
        self.seconds = 0.0
        self._saved = self._started = time.monotonic()
        self._between_epochs = False
        self._signal: int | None = None
        self._handlers: dict[int, Any] = {}

    def on_train_start(self, trainer: L.Trainer, method: L.LightningModule) -> None:
        self._started = self._saved = time.monotonic()
        try:
            self._handlers = {number: signal.signal(number, self._on_signal) for number in SIGNALS}
        except ValueError:  # not the main thread: whoever runs us there handles signals
            self._handlers = {}

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self._signal is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self._signal = number

    def on_train_batch_end(self, trainer: L.Trainer, method: L.LightningModule, *_: Any) -> None:
        # Between two epochs Lightning has more to do (schedulers): there the next epoch's start is the place to save.
        if not trainer.fit_loop.epoch_loop.batch_progress.is_last_batch:
            self._save_if_due(trainer)

    def on_train_epoch_start(self, trainer: L.Trainer, method: L.LightningModule) -> None:
        if steps_taken(trainer):
            self._between_epochs = True
            self._save_if_due(trainer)
            self._between_epochs = False

    def on_save_checkpoint(self, trainer: L.Trainer, method: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        if self._between_epochs:  # Lightning clears these only once the epoch runs, and would take it for finished
            loop = checkpoint["loops"]["fit_loop"]
            batches, epochs = loop["epoch_loop.batch_progress"], loop["epoch_progress"]["current"]
            batches["is_last_batch"] = False
            batches["current"] = dict.fromkeys(batches["current"], 0)
            epochs["ready"] = epochs["processed"] + 1

    def _save_if_due(self, trainer: L.Trainer) -> None:
        due = time.monotonic() - self._saved >= self.every
        if trainer.world_size > 1:  # all or none: saving is a collective act
            if steps_taken(trainer) % 20:
                return
            due = trainer.strategy.broadcast(due)
            self._signal = trainer.strategy.broadcast(self._signal)
        if due or self._signal is not None:
            self.save(trainer)
        self._stop_if_asked(trainer)

    def _stop_if_asked(self, trainer: L.Trainer) -> None:
        if self._signal is not None:
            step = steps_taken(trainer)
            raise Stopped(
                self._signal, f"Stopped after step {step:,}, which is saved: the same command goes on from there."
            )

    def save(self, trainer: L.Trainer) -> None:
        """Write the state of the training as it is between two steps."""
        if trainer.world_size > 1:
            temporary = self.path.with_suffix(".part")
            trainer.save_checkpoint(temporary)
            if trainer.is_global_zero:
                temporary.replace(self.path)
        else:
            write(self.path, lambda temporary: trainer.save_checkpoint(temporary))
        self._saved = time.monotonic()

    def _restore(self) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._handlers = {}

    def on_train_end(self, trainer: L.Trainer, method: L.LightningModule) -> None:
        self._restore()
        if self.keep:
            self.save(trainer)
        self._stop_if_asked(trainer)

    def on_exception(self, trainer: L.Trainer, method: L.LightningModule, exception: BaseException) -> None:
        self._restore()

    def elapsed(self) -> float:
        """Seconds of training so far, those before a cut included."""
        return self.seconds + time.monotonic() - self._started

    def state_dict(self) -> dict[str, Any]:
        return {"seconds": self.elapsed()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.seconds = state["seconds"]


class Calibrate(L.Callback):
    """After the last step: `Method.calibrate` in float32 on every process, then ``finish``, which saves the weights."""

    def __init__(self, finish: Callable[[Method], None]) -> None:
        self.finish = finish

    def on_train_end(self, trainer: L.Trainer, method: L.LightningModule) -> None:
        assert isinstance(method, Method)
        method.eval()
        calibrate(trainer, method)
        if trainer.is_global_zero:
            self.finish(method)
        trainer.strategy.barrier("calibrated")


class CalibrateWrapper(L.Callback):
    """A method that wraps the one that was trained is calibrated before it scores: its file knows nothing of it."""

    def on_test_start(self, trainer: L.Trainer, method: L.LightningModule) -> None:
        assert isinstance(method, Method)
        if method.learner is not method:
            with torch.inference_mode(False):  # what it keeps must outlive this
                calibrate(trainer, method)


def calibrate(trainer: L.Trainer, method: Method) -> None:
    """`Method.calibrate` in float32 and without gradients, on the normal images that the method asks for."""
    data = getattr(trainer, "datamodule", None)
    assert isinstance(data, NoveltyData)
    with torch.no_grad(), torch.autocast(method.device.type, enabled=False):
        method.calibrate(data.normal_batches(method.calibrates_on))


class CollectScores(L.Callback):
    """Gathers what `Method.test_step` returns over batches and processes, in the order of the images.

    finish: called by process 0 with the image scores by name, (n,) each.  maps: where their maps go, if anywhere: a
    folder, and how many images of the front have theirs kept.
    """

    def __init__(self, finish: Callable[[dict[str, np.ndarray]], None], maps: tuple[Path, int] | None = None) -> None:
        self.finish, self.maps = finish, maps

    def on_test_start(self, trainer: L.Trainer, method: L.LightningModule) -> None:
        self._positions: list[Tensor] = []
        self._image: dict[str, list[Tensor]] = {}
        self._files = MapFiles(*self.maps, trainer.global_rank, trainer.world_size) if self.maps else None

    def on_test_batch_end(
        self, trainer: L.Trainer, method: L.LightningModule, outputs: Any, batch: Any, *_: Any
    ) -> None:
        named: dict[str, Scores] = outputs
        positions = batch[1].cpu()
        self._positions.append(positions)
        for name, scores in named.items():
            self._image.setdefault(name, []).append(scores.image.detach().float().cpu())
            if self._files is not None and scores.map is not None:
                self._files.write(name, scores.map.detach(), positions)

    def on_test_epoch_end(self, trainer: L.Trainer, method: L.LightningModule) -> None:
        if self._files is not None:
            self._files.close()
        mine = (torch.cat(self._positions), {name: torch.cat(parts) for name, parts in self._image.items()})
        everyone = [mine]
        if trainer.world_size > 1:
            everyone = [mine] * trainer.world_size
            torch.distributed.all_gather_object(everyone, mine)
        if trainer.is_global_zero:
            order = torch.cat([positions for positions, _ in everyone]).argsort()
            image = {name: torch.cat([i[name] for _, i in everyone])[order].numpy() for name in mine[1]}
            if self._files is not None:
                self._files.joined()
            self.finish(image)
        trainer.strategy.barrier("scored")


class Measure(L.Callback):
    """`Method.measure` on process 0 before the first image is scored; ``finish`` is given what it returns."""

    def __init__(self, finish: Callable[[dict[str, float]], None]) -> None:
        self.finish = finish

    def on_test_start(self, trainer: L.Trainer, method: L.LightningModule) -> None:
        assert isinstance(method, Method)
        data = getattr(trainer, "datamodule", None)
        assert isinstance(data, NoveltyData)
        if trainer.is_global_zero:
            with torch.autocast(method.device.type, enabled=False):
                self.finish(method.measure(data.normal_batches()))
        trainer.strategy.barrier("measured")
