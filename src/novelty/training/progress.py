"""One line that lives: how far, how fast, how long still, and the losses."""

from __future__ import annotations

import time
from typing import Any

import lightning as L
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

REFRESH_SECONDS = 0.5
QUIET_SECONDS = 60.0


class ProgressBar(L.Callback):
    """A rich bar on a terminal; elsewhere (logs, CI) a plain line a minute.

    Losses are read from the device only when the line is drawn anew, so the bar costs no synchronisation per step.
    """

    def __init__(self, console: Console, label: str = "") -> None:
        self.console, self.label = console, label
        self._bar: Progress | None = None
        self._drawn = 0.0

    def _open(self, what: str, done: int, total: int) -> None:
        what = f"{self.label}: {what}" if self.label else what
        self._what, self._total, self._first = what, total, done
        self._drawn = self._start = time.monotonic()
        if self.console.is_terminal:
            self._bar = Progress(
                TextColumn("{task.description}", markup=False),
                BarColumn(bar_width=None),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                TimeRemainingColumn(),
                TextColumn("{task.fields[losses]}", style="cyan"),
                console=self.console,
                transient=True,
                expand=True,
                refresh_per_second=1 / REFRESH_SECONDS,
            )
            self._bar.start()
            self._task = self._bar.add_task(what, total=total, completed=done, losses="")

    def _step(self, done: int, metrics: dict[str, Any] | None = None) -> None:
        now = time.monotonic()
        if now - self._drawn < (REFRESH_SECONDS if self._bar else QUIET_SECONDS):
            return
        self._drawn = now
        losses = " ".join(f"{name.split('/')[-1]} {float(value):.4g}" for name, value in (metrics or {}).items())
        if self._bar:
            self._bar.update(self._task, completed=done, losses=losses)
        else:
            left = (now - self._start) / max(1, done - self._first) * (self._total - done)
            line = f"{self._what}: {done:,} of {self._total:,}, {left / 60:.0f} min left  {losses}"
            self.console.print(line, soft_wrap=True, markup=False)

    def _close(self) -> None:
        if self._bar:
            self._bar.stop()
            self._bar = None

    def on_train_start(self, trainer: L.Trainer, method: L.LightningModule) -> None:
        epochs = trainer.max_epochs or 1
        self._open(
            "training",
            trainer.fit_loop.epoch_loop.batch_progress.total.completed,
            int(trainer.num_training_batches) * epochs,
        )

    def on_train_batch_end(self, trainer: L.Trainer, method: L.LightningModule, *_: Any) -> None:
        self._step(trainer.fit_loop.epoch_loop.total_batch_idx + 1, trainer.progress_bar_metrics)

    def on_train_end(self, trainer: L.Trainer, method: L.LightningModule) -> None:
        self._close()

    def on_test_start(self, trainer: L.Trainer, method: L.LightningModule) -> None:
        self._open("scoring", 0, int(trainer.num_test_batches[0]))

    def on_test_batch_end(
        self, trainer: L.Trainer, method: L.LightningModule, outputs: Any, batch: Any, batch_idx: int, *_: Any
    ) -> None:
        self._step(batch_idx + 1)

    def on_test_end(self, trainer: L.Trainer, method: L.LightningModule) -> None:
        self._close()

    def on_exception(self, trainer: L.Trainer, method: L.LightningModule, exception: BaseException) -> None:
        self._close()
