"""Inpainting by projection (paper 4.2): a hole of noise is filled, its place known (eq. 7) or not (eq. 8).

holes = noise_squares(images)
filled = inpaint(method, holes)                  # method: a trained EnergyProjection
quality(images, filled.images, holes.mask)
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from novelty.errors import NoveltyError
from novelty.methods.energy_projection.descent import Projection, Watch
from novelty.methods.energy_projection.projection import EnergyProjection
from novelty.nn.ssim import ssim_map


class Holes(NamedTuple):
    """images: (B, C, H, W), noise in the hole.  mask: (B, 1, H, W), 1 in the hole, 0 elsewhere (Omega of eq. 7)."""

    images: Tensor
    mask: Tensor


class Quality(NamedTuple):
    """How near a filled hole is to what was there, (B,) each, over the hole and all channels, of images within [0, 1].

    psnr: in dB, 10 log10(1 / mean squared error).  ssim: mean of the map inside the hole.  l1: mean absolute error.
    """

    psnr: Tensor
    ssim: Tensor
    l1: Tensor


def noise_squares(images: Tensor, side: int = 20, seed: int = 0, first: int = 0) -> Holes:
    """A square of uniform noise in every image (B, C, H, W), at a place of its own [D: 20 of 64 px].

    Place and noise of an image follow from (seed, its number), where the batch begins with number ``first``: batches
    of any size give the same holes. Raises NoveltyError where the square does not fit.
    """
    height, width = images.shape[-2:]
    if not 1 <= side <= min(height, width):
        raise NoveltyError(f"A hole of {side} px does not fit into images of {width}x{height} px.")
    filled, mask = images.clone(), torch.zeros_like(images[:, :1])
    for row, number in enumerate(range(first, first + len(images))):
        generator = torch.Generator().manual_seed((seed * 1_000_003 + number) % 2**63)
        top = int(torch.randint(height - side + 1, (), generator=generator))
        left = int(torch.randint(width - side + 1, (), generator=generator))
        noise = torch.rand(images.shape[1], side, side, generator=generator)
        filled[row, :, top : top + side, left : left + side] = noise.to(images)
        mask[row, :, top : top + side, left : left + side] = 1
    return Holes(filled, mask)


def inpaint(
    method: EnergyProjection, holes: Holes, *, blind: bool = False, l1: float | None = None, watch: Watch | None = None
) -> Projection:
    """Images with their holes filled, (B, C, H, W), not clamped.

    blind: the place is not used, and the update is the tuned one (eq. 8); otherwise it is the standard one times the
    mask (eq. 7), and nothing outside the hole moves.  l1: lambda in place of the method's; report 0 too (sheet, 4).
    """
    rule = replace(method.rule, tuned=blind, l1=method.rule.l1 if l1 is None else l1)
    return method.project(holes.images, None if blind else holes.mask, watch, rule)


def baseline(method: EnergyProjection, holes: Holes, *, blind: bool = False) -> Tensor:
    """One pass of the autoencoder alone, (B, C, H, W): its reconstruction, only inside the hole where that is known."""
    rebuilt = method.autoencoder.reconstruct(holes.images)
    return rebuilt if blind else holes.images + holes.mask * (rebuilt - holes.images)


def quality(original: Tensor, filled: Tensor, mask: Tensor) -> Quality:
    """Compares (B, C, H, W) inside the mask (B, 1, H, W); ``filled`` is clamped to [0, 1] before."""
    filled = filled.clamp(0, 1)
    difference = filled - original

    def inside(values: Tensor) -> Tensor:
        return (values * mask).sum((1, 2, 3)) / (mask.sum((1, 2, 3)) * values.shape[1])

    psnr = -10 * inside(difference.square()).log10()
    return Quality(psnr, inside(ssim_map(original, filled)), inside(difference.abs()))
