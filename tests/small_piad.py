"""A PIAD of four steps on images of 8 pixels, for tests that train it by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning as L
import torch
from torch import Tensor

from novelty.info import DataInfo
from novelty.methods.piad import PIAD

SIDE = 8


def piad(channels: int = 1, **options: Any) -> PIAD:
    torch.manual_seed(0)
    chosen = {"iterations": 4, "batch_size": 4, "networks": "mnist", "weights": "random", "weight_every": 2, **options}
    return PIAD(DataInfo(channels, SIDE, 100), **chosen)


class Batches:
    """Step t is a function of t; knows where it stopped."""

    def __init__(self, steps: int, images: int = 12, channels: int = 1, plain: bool = False) -> None:
        draw = torch.Generator().manual_seed(0)
        sides = (1, 1) if plain else (SIDE, SIDE)
        self.batches = torch.rand(steps, images, channels, *sides, generator=draw).expand(-1, -1, -1, SIDE, SIDE)
        self.taken = 0

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Any:
        while self.taken < len(self.batches):
            self.taken += 1
            yield self.batches[self.taken - 1]

    def state_dict(self) -> dict[str, int]:
        return {"taken": self.taken}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.taken = state["taken"]


class StepSeed(L.Callback):
    """Noise as a function of the step; writes a checkpoint after ``save_after`` steps."""

    def __init__(self, save_after: int | None = None, path: Path | None = None) -> None:
        self.save_after, self.path = save_after, path
        self.logged: list[dict[str, float]] = []

    def on_train_batch_start(self, trainer: L.Trainer, method: Any, batch: Tensor, batch_idx: int) -> None:
        torch.manual_seed(1000 + trainer.train_dataloader.taken)

    def on_train_batch_end(self, trainer: L.Trainer, method: Any, outputs: Any, batch: Tensor, batch_idx: int) -> None:
        self.logged.append({name: float(value) for name, value in trainer.callback_metrics.items()})
        if self.save_after == method.iteration:
            trainer.save_checkpoint(self.path)


def fit(
    method: PIAD,
    data: Batches | None = None,
    resume: Path | None = None,
    callback: L.Callback | None = None,
    **options: Any,
) -> PIAD:
    trainer = L.Trainer(
        max_epochs=1,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[callback or StepSeed()],
        **{"devices": 1, **options},
    )
    data = data or Batches(method.schedule.iterations or 0, channels=method.info.channels)
    trainer.fit(method, data, ckpt_path=resume, weights_only=True if resume else None)
    return method
