"""What a batch needs of the images of a run, in one copy: whole images, or windows cut out of them."""

from __future__ import annotations

import torch
from torch import Tensor

from novelty.data.paging import fetch


def rows(pixels: Tensor, index: Tensor) -> Tensor:
    """``pixels[index]``, copied image by image, which is several times as fast as value by value."""
    fetch(pixels, index)
    return pixels.index_select(0, index.to(pixels.device))


def windows(pixels: Tensor, index: Tensor, corners: Tensor, side: int) -> Tensor:
    """Of each image ``index`` of ``pixels`` (N, C, H, W) one window, (B, C, side, side); nothing else is read.

    corners: (B, 2) row and column of the upper left pixel, on the CPU as ``index`` is.
    """
    fetch(pixels, index)
    places = zip(index.tolist(), corners.tolist(), strict=True)
    return torch.stack([pixels[i, :, top : top + side, left : left + side] for i, (top, left) in places])


def to_float(pixels: Tensor, channels_last: bool = False) -> Tensor:
    """uint8 (B, C, H, W) as float32 in [0, 1]; what is float already only takes the memory layout."""
    memory_format = torch.channels_last if channels_last else torch.contiguous_format
    if pixels.is_floating_point():
        return pixels.contiguous(memory_format=memory_format)
    return pixels.to(dtype=torch.float32, memory_format=memory_format).div_(255)
