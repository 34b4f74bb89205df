"""Useful arithmetic: what a step computes, and the most that this device does in a plain convolution."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch.utils.flop_counter import FlopCounterMode

from novelty.bench.device import Moments, finish

COUNTED = "convolutions and matrix products, forward, backward and double backward; a multiply-add is two"
"""What `count_flop` counts. Everything else (activations, norms, optimisers) is time without useful arithmetic."""

SECONDS_PER_SHAPE = 0.25
CPU_SHAPES = ((32, 64, 32), (32, 128, 32), (32, 256, 16), (16, 256, 32))
GPU_SHAPES = ((256, 64, 64), (256, 128, 64), (256, 256, 32), (128, 256, 64))
"""(images, channels in and out, side) of the 3x3 convolutions among which the fastest is the ceiling."""


class _NoModules:
    """In place of the counter's tracking of modules, which fails where a gradient is differentiated again."""

    parents = frozenset({"Global"})

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        pass


@contextmanager
def count_flop() -> Iterator[FlopCounterMode]:
    """Counts what is executed on this thread and in its backward passes; compiled modules run uncompiled meanwhile.

    A compiled module may hide products in fused kernels; counted is the arithmetic that its source asks for.
    """
    counter = FlopCounterMode(display=False)
    counter.mod_tracker = cast(Any, _NoModules())
    with torch.compiler.set_stance("force_eager"), counter:
        yield counter


def dtype_of(precision: str) -> torch.dtype:
    """The type in which convolutions run under `hardware.precision`."""
    return {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}.get(precision, torch.float32)


def ceiling(device: torch.device, dtype: torch.dtype, channels_last: bool) -> dict[str, Any]:
    """FLOP per second of the fastest of several 3x3 convolutions, forward: ``{"flops", "shape", "by_shape"}``."""
    shapes = GPU_SHAPES if device.type == "cuda" else CPU_SHAPES
    reached = {"x".join(map(str, shape)): _convolution(device, dtype, channels_last, *shape) for shape in shapes}
    best = max(reached, key=lambda name: reached[name])
    return {"flops": reached[best], "shape": best, "by_shape": reached}


@torch.no_grad()
def _convolution(
    device: torch.device, dtype: torch.dtype, channels_last: bool, images: int, channels: int, side: int
) -> float:
    """FLOP per second of the best of many calls."""
    layout = torch.channels_last if channels_last else torch.contiguous_format
    x = torch.randn(images, channels, side, side, device=device, dtype=dtype).to(memory_format=layout)
    kernel = torch.randn(channels, channels, 3, 3, device=device, dtype=dtype).to(memory_format=layout)
    for _ in range(2):
        F.conv2d(x, kernel, padding=1)
    finish(device)
    moments, start = Moments(device), time.perf_counter()
    moments.note()
    while True:
        F.conv2d(x, kernel, padding=1)
        moments.note()
        if time.perf_counter() - start >= SECONDS_PER_SHAPE:
            break
    return 2 * 9 * images * channels**2 * side**2 / min(moments.intervals())
