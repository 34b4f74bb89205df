"""A figure measured on a handful of random images, without the rest of the way from a command line."""

from __future__ import annotations

import numpy as np
import torch

from novelty.data.protocols import Split
from novelty.data.source import Images
from novelty.figures.base import Figure, Material, Numbers


def material(batch: int = 4, pixels: torch.Tensor | None = None) -> Material:
    """Ten grey images of 16 pixels unless ``pixels`` are given, the last two for a test."""
    if pixels is None:
        pixels = torch.randint(0, 256, (10, 1, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    count = len(pixels)
    test = np.arange(count) >= count - 2
    images = Images(
        pixels=pixels, digest="d", labels=test.astype(np.int64), test=test, classes=("normal", "novel"),
        contents=np.arange(count, dtype=np.uint64),
    )  # fmt: skip
    split = Split(np.flatnonzero(~test), np.empty(0, np.int64), np.flatnonzero(test), np.array([False, True]))
    return Material(images, split, torch.device("cpu"), batch)


def measured(figure: Figure, batch: int = 4, pixels: torch.Tensor | None = None) -> Numbers:
    """Its numbers."""
    return figure.measure(material(batch, pixels))
