"""Puzzle-AE small enough to train by hand, and what stands in its networks' place."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning as L
import torch
from torch import Tensor, nn

from novelty.data.datamodule import TrainingBatches
from novelty.info import DataInfo
from novelty.methods.puzzle_ae import PuzzleAE
from novelty.training.callbacks import ResumePoint, StepSeed
from novelty.training.trainer import quiet

SIDE = 16


def puzzle_ae(channels: int = 1, traits: tuple[str, ...] = (), side: int = SIDE, **options: Any) -> PuzzleAE:
    torch.manual_seed(0)
    chosen = {"epochs": 2, "batch_size": 4, "width": 4, "discriminator_width": 4, **options}
    return PuzzleAE(DataInfo(channels, side, 100, frozenset(traits)), **chosen)


class Solver(nn.Module):
    """In the U-Net's place: a function of puzzles."""

    def __init__(self, solve: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.solve = solve

    def forward(self, x: Tensor) -> Tensor:
        return self.solve(x)


class Watch(L.Callback):
    """What was logged, step by step, and the U-Net's learning rate after each epoch; SIGTERM during step ``kill``."""

    def __init__(self, kill: int | None = None) -> None:
        self.kill, self.logged, self.rates = kill, list[dict[str, float]](), list[float]()

    def on_train_batch_start(self, trainer: L.Trainer, *_: Any) -> None:
        if trainer.train_dataloader.taken == self.kill:
            os.kill(os.getpid(), signal.SIGTERM)

    def on_train_batch_end(self, trainer: L.Trainer, *_: Any) -> None:
        self.logged.append({name: float(value) for name, value in trainer.callback_metrics.items()})

    def on_train_epoch_end(self, trainer: L.Trainer, *_: Any) -> None:
        self.rates.append(trainer.optimizers[0].param_groups[0]["lr"])


def fit(
    method: PuzzleAE,
    watch: Watch | None = None,
    resume: Path | None = None,
    pixels: Tensor | None = None,
    **options: Any,
) -> PuzzleAE:
    if pixels is None:
        shape = (10, method.info.channels, method.info.image_size, method.info.image_size)
        pixels = torch.randint(256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    callbacks = [StepSeed(3), watch or Watch(), *([ResumePoint(resume, every=1e9)] if resume else [])]
    trainer = L.Trainer(
        max_epochs=method.schedule.epochs,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        callbacks=callbacks,
        **{"devices": 1, **options},
    )
    start = resume if resume and resume.is_file() else None
    batches = TrainingBatches(pixels, method.schedule, seed=3)
    with quiet():
        trainer.fit(method, batches, ckpt_path=start, weights_only=True if start else None)
    return method
