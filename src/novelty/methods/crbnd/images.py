"""What CRBND does to images: corrupting them for the reconstructor, degrading them into negatives, connecting them.

All are one batched operation on the device of the images, drawn anew for every image; several processes draw for their
joined batch (see `nn.processes`). ``generator`` draws, or torch's own of that device.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from novelty.nn.processes import own_share

Operation = Literal["either", "blur", "noise"]
Source = Literal["recon", "input", "random"]


def padded(x: Tensor, multiple: int) -> Tensor:
    """Images (B, C, S, S) amid zeros, their side the next multiple: MNIST's 28 pixels become 32."""
    missing = -x.shape[-1] % multiple
    before = missing // 2
    return F.pad(x, (before, missing - before) * 2)


def cropped(x: Tensor, side: int) -> Tensor:
    """The middle ``side`` pixels: what `padded` was given."""
    before = (x.shape[-1] - side) // 2
    return x[..., before : before + side, before : before + side]


def charbonnier(x: Tensor, y: Tensor, eps: float = 1e-3) -> Tensor:
    """sqrt((x - y)^2 + eps^2), element by element (eq. 3): squared near zero, absolute far from it.

    A difference of 0 gives eps, of 3 gives 3.000000167 at eps = 1e-3.
    """
    return ((x - y).square() + eps**2).sqrt()


def add_noise(x: Tensor, std: float | Tensor, generator: Generator | None = None) -> Tensor:
    """Images with Gaussian noise (eq. 1), clamped to [0, 1]. ``std``: one for all, or (B, 1, 1, 1)."""
    shape = x.shape[1:]
    noise = own_share(lambda n: torch.randn(n, *shape, device=x.device, generator=generator), len(x))
    return (x + std * noise).clamp(0, 1)


def coarse_dropout(
    x: Tensor, probability: float, cells: int, per_channel: bool = False, generator: Generator | None = None
) -> Tensor:
    """x - beta * x, beta = 1 inside random rectangles (eq. 2): images (B, C, S, S) that lack some.

    The mask is drawn on a small grid and enlarged by nearest neighbour.

    probability: that a cell of the grid is dropped.  cells: of the grid along a side.
    per_channel: a mask for each channel in place of one for all.
    """
    channels = x.shape[1] if per_channel else 1

    def dropped(n: int) -> Tensor:
        return (torch.rand(n, channels, cells, cells, device=x.device, generator=generator) < probability).to(x.dtype)

    beta = F.interpolate(own_share(dropped, len(x)), x.shape[-2:], mode="nearest")
    return x - beta * x


def blur_kernels(half: Tensor, angles: Tensor, reach: int) -> Tensor:
    """Kernels of straight motion blur: (B, 2 reach + 1, 2 reach + 1), each of sum 1.

    half:   (B,) k, at most ``reach``: the line goes through 2k + 1 points a pixel apart.  angles: (B,) in radians.

    A point between pixels is shared among its four neighbours, bilinearly: k = 2 at angle 0 is five pixels of 0.2.
    """
    offsets = torch.arange(-reach, reach + 1, device=half.device, dtype=angles.dtype)
    weights = (offsets.abs() <= half[:, None]) / (2 * half[:, None] + 1)

    def share(places: Tensor) -> Tensor:
        return (1 - (offsets - places[:, :, None]).abs()).clamp(min=0)

    rows, columns = (share(offsets * turn(angles)[:, None]) for turn in (torch.sin, torch.cos))
    return (weights[:, :, None] * rows).transpose(1, 2) @ columns


def motion_blur(x: Tensor, kernels: Tensor) -> Tensor:
    """Images (B, C, S, S), each convolved with its own kernel (B, K, K), reflected at the border."""
    reach = kernels.shape[-1] // 2
    around = F.pad(x, (reach,) * 4, mode="reflect")
    return F.conv2d(around.transpose(0, 1), kernels[:, None], groups=len(x)).transpose(0, 1)


@dataclass(frozen=True)
class Degradation:
    """What turns an image into a negative one: motion blur or Gaussian noise, either as likely.

    blur:  least and greatest k, the blur's length being 2k + 1 pixels; its angle is uniform.
    noise: least and greatest standard deviation, uniform between.
    """

    operation: Operation
    blur: tuple[int, int]
    noise: tuple[float, float]

    def __call__(self, x: Tensor, generator: Generator | None = None) -> Tensor:
        """Images (B, C, S, S) in [0, 1], degraded each in its own way: the same, in [0, 1]."""
        if self.operation == "blur":
            return self._blurred(x, generator)
        if self.operation == "noise":
            return self._noisy(x, generator)
        blurred, noisy = self._blurred(x, generator), self._noisy(x, generator)
        return torch.where(uniform(x, generator) < 0.5, blurred, noisy)

    def _blurred(self, x: Tensor, generator: Generator | None) -> Tensor:
        low, high = self.blur
        half = own_share(lambda n: torch.randint(low, high + 1, (n,), device=x.device, generator=generator), len(x))
        angles = torch.pi * uniform(x, generator).flatten()
        return motion_blur(x, blur_kernels(half, angles, high)).clamp(0, 1)

    def _noisy(self, x: Tensor, generator: Generator | None) -> Tensor:
        low, high = self.noise
        return add_noise(x, low + (high - low) * uniform(x, generator), generator)


def uniform(x: Tensor, generator: Generator | None = None) -> Tensor:
    """A number in [0, 1) for every image of x: (B, 1, 1, 1)."""
    return own_share(lambda n: torch.rand(n, 1, 1, 1, device=x.device, generator=generator), len(x))


def connect(x: Tensor, other: Tensor, weight: float) -> Tensor:
    """weight * x + (1 - weight) * other (eq. 4-6): images and what was made of them, (B, C, S, S) both."""
    return weight * x + (1 - weight) * other


def to_degrade(x: Tensor, rebuilt: Tensor, source: Source, generator: Generator | None = None) -> Tensor:
    """What negatives are made from: images x, their reconstructions, or for each image one of both at random."""
    if source == "random":
        return torch.where(uniform(x, generator) < 0.5, rebuilt, x)
    return rebuilt if source == "recon" else x
