"""Puzzle-AE small enough to train by hand."""

from __future__ import annotations

from typing import Any

import torch

from novelty.info import DataInfo
from novelty.methods.puzzle_ae import PuzzleAE

SIDE = 16


def puzzle_ae(channels: int = 1, traits: tuple[str, ...] = (), side: int = SIDE, **options: Any) -> PuzzleAE:
    torch.manual_seed(0)
    chosen = {"epochs": 2, "batch_size": 4, "width": 4, "discriminator_width": 4, **options}
    return PuzzleAE(DataInfo(channels, side, 100, frozenset(traits)), **chosen)
