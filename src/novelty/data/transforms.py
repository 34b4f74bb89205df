"""Changes of images that differ from image to image of a batch, on the device of the images.

Functions of images (B, C, S, S), float in [0, 1], and of parameters, one row an image, float64 on the CPU: nothing is
drawn here. An image's result does not depend on what shares its batch, and parameters that change nothing give the
image back as it is. Between pixels bilinear; beyond the border the image is mirrored, its last pixel included.

torch's own sampler: kornia's `warp_affine` gives the same images (a test compares them), but takes half as long again,
and to an image that should stay as it is it does so only within rounding.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def zoom(images: Tensor, scale: Tensor) -> Tensor:
    """Magnified about the middle by ``scale`` (B,), above 0; the size of the images stays."""
    matrix = torch.zeros(len(scale), 2, 3, dtype=torch.float64)
    matrix[:, 0, 0] = matrix[:, 1, 1] = 1 / scale
    return sampled(images, matrix)


def rotate_shift(images: Tensor, degrees: Tensor, shift: Tensor) -> Tensor:
    """Turned about the middle, counter-clockwise by ``degrees`` (B,), then moved.

    shift: (B, 2), to the right and downwards, as shares of the side.
    """
    turns = [math.radians(angle) for angle in degrees.tolist()]  # torch's cosine depends on the place in the batch
    cosine, sine = (torch.tensor([f(turn) for turn in turns], dtype=torch.float64) for f in (math.cos, math.sin))
    right, down = 2 * shift.double().T
    x = torch.stack([cosine, -sine, sine * down - cosine * right], -1)
    y = torch.stack([sine, cosine, -sine * right - cosine * down], -1)
    return sampled(images, torch.stack([x, y], 1))


def sampled(images: Tensor, matrix: Tensor) -> Tensor:
    """Images whose pixel at p = (x, y, 1) shows what lies at ``matrix`` p in the given ones.

    matrix: (B, 2, 3).  x to the right, y downwards: -1 and 1 at the borders, 0 in the middle.
    """
    side, unmoved = images.shape[-1], (matrix == torch.eye(2, 3, dtype=matrix.dtype)).all(-1).all(-1)
    steps = (2 * torch.arange(side, device=images.device, dtype=images.dtype) + 1) / side - 1
    grid = torch.empty(len(images), side, side, 2, device=images.device, dtype=images.dtype)
    # product by product: a matrix product may round differently in batches of another size
    for axis, (x, y, offset) in enumerate(matrix.to(images.device, images.dtype).permute(1, 2, 0)[..., None]):
        torch.add((x * steps + offset)[:, None, :], (y * steps)[:, :, None], out=grid[..., axis])
    moved = F.grid_sample(images, grid, padding_mode="reflection", align_corners=False)
    if unmoved.any():
        still = unmoved.nonzero().flatten().to(images.device)
        moved[still] = images[still]
    return moved
