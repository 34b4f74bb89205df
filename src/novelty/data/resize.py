"""From images of any size to squares of the run's size; masks follow their images."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor


class _Geometry(NamedTuple):
    """Size after resizing, and the corner of the square that is cut out of it."""

    height: int
    width: int
    top: int
    left: int


def _geometry(height: int, width: int, size: int) -> _Geometry:
    short = min(height, width)
    tall, wide = round(height * size / short), round(width * size / short)
    return _Geometry(tall, wide, (tall - size) // 2, (wide - size) // 2)


def to_square(pixels: np.ndarray, size: int) -> Tensor:
    """(n, H, W, C) uint8 as (n, C, size, size): short side resized (bilinear, antialiased), then the centre cut out."""
    height, width = pixels.shape[1:3]
    to = _geometry(height, width, size)
    images = pixels.transpose(0, 3, 1, 2)
    if (to.height, to.width) != (height, width):
        tensor = torch.from_numpy(pixels if pixels.flags.writeable else pixels.copy()).permute(0, 3, 1, 2)
        target = (to.height, to.width)
        images = F.interpolate(tensor, size=target, mode="bilinear", antialias=True, align_corners=False).numpy()
    # numpy copies: on a busy machine torch waits a time slice for its threads at every small copy
    return torch.from_numpy(np.array(images[..., to.top : to.top + size, to.left : to.left + size], order="C"))


def masks_to_square(masks: np.ndarray, size: int) -> np.ndarray:
    """(n, H, W) bool as (n, size, size): cut out as `to_square` does, each pixel from its nearest neighbour."""
    height, width = masks.shape[1:]
    to = _geometry(height, width, size)
    rows = (2 * np.arange(to.top, to.top + size) + 1) * height // (2 * to.height)
    columns = (2 * np.arange(to.left, to.left + size) + 1) * width // (2 * to.width)
    return np.ascontiguousarray(masks[:, rows[:, None], columns])
