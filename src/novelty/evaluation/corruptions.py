"""Common corruptions of images at five severities, after Hendrycks and Dietterich (ICLR 2019).

All strengths are theirs for CIFAR-10 (CIFAR-10-C). Lengths in pixels (of blurs) are theirs at 32 pixels and grow with
the side of the image, so that a larger image is blurred as much to the eye. Results stay within [0, 1] and are not
rounded to 8 bits, which theirs are. What is random is drawn for each image from (seed, its position), alike for all
severities: it depends neither on the batch nor on the process.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

Kind = Literal[
    "gaussian_noise",
    "shot_noise",
    "impulse_noise",
    "gaussian_blur",
    "motion_blur",
    "brightness",
    "contrast",
    "pixelate",
    "jpeg",
    "grey",
]
"""What can be done to images; "grey" knows no severity."""

SEVERITIES = 5
Draws = Sequence[np.random.Generator]
"""A generator for each image of a batch."""


def corrupt(kind: Kind, images: Tensor, positions: Tensor, severity: int = 1, seed: int = 0) -> Tensor:
    """Images (B, C, H, W) in [0, 1] after the corruption ``kind`` at ``severity`` 1 .. 5: (B, C, H, W) in [0, 1].

    positions: where the images stand in the test set, (B,): noise is drawn for a position.
    """
    if kind == "grey":
        return grey(images)
    change, strengths = _CORRUPTIONS[kind]
    draws = [np.random.default_rng([seed, position]) for position in positions.tolist()]
    return change(images, strengths[severity - 1], draws).clamp(0, 1)


def grey(images: Tensor) -> Tensor:
    """Luma 0.299 R + 0.587 G + 0.114 B (ITU-R BT.601) in every channel; images of one channel stay as they are."""
    if images.shape[1] == 1:
        return images
    weights = images.new_tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
    return (images * weights).sum(1, keepdim=True).expand_as(images).contiguous()


def _gaussian_noise(images: Tensor, deviation: float, draws: Draws) -> Tensor:
    return images + deviation * _drawn(images, lambda rng: rng.standard_normal(images.shape[1:]), draws)


def _shot_noise(images: Tensor, photons: float, draws: Draws) -> Tensor:
    """``photons``: the mean count of a white pixel."""
    means = iter(images.cpu().double().numpy() * photons)
    return _drawn(images, lambda rng: rng.poisson(next(means)), draws) / photons


def _impulse_noise(images: Tensor, share: float, draws: Draws) -> Tensor:
    """``share`` of the values (each channel alone) become 1 or 0, half of them each."""
    drawn = _drawn(images, lambda rng: rng.random(images.shape[1:]), draws)
    return torch.where(drawn < share, (drawn < share / 2).to(images.dtype), images)


def _gaussian_blur(images: Tensor, deviation: float, draws: Draws) -> Tensor:
    channels, sigma = images.shape[1], deviation * images.shape[-1] / 32
    reach = max(1, math.ceil(4 * sigma))
    offsets = torch.arange(-reach, reach + 1, device=images.device)
    weights = (-(offsets**2) / (2 * sigma**2)).exp().to(images.dtype)
    across = (weights / weights.sum()).expand(channels, 1, 1, -1).contiguous()
    padded = functional.pad(images, [reach] * 4, mode="replicate")
    blurred = functional.conv2d(padded, across, groups=channels)
    return functional.conv2d(blurred, across.transpose(-1, -2).contiguous(), groups=channels)


def _motion_blur(images: Tensor, deviation: float, draws: Draws) -> Tensor:
    """A trail to one side, half of a Gaussian, at an angle from -45 to 45 degrees that is drawn for each image.

    Severities 3 and 4 are alike: theirs differ in where the trail is cut off, which is beyond six deviations for both.
    """
    side = images.shape[-1]
    sigma = deviation * side / 32
    angles = torch.tensor([math.radians(rng.uniform(-45, 45)) for rng in draws], device=images.device)
    steps = range(math.ceil(4 * sigma) + 1)
    weights = [math.exp(-(step**2) / (2 * sigma**2)) for step in steps]
    turned = torch.zeros(len(images), 2, 3, device=images.device)
    turned[:, 0, 0] = turned[:, 1, 1] = 1
    blurred = torch.zeros_like(images)
    for step, weight in zip(steps, weights, strict=True):
        turned[:, 0, 2], turned[:, 1, 2] = 2 * step / side * angles.cos(), 2 * step / side * angles.sin()
        grid = functional.affine_grid(turned, list(images.shape), align_corners=False)
        moved = functional.grid_sample(images, grid, padding_mode="border", align_corners=False)
        blurred += weight / sum(weights) * moved
    return blurred


def _brightness(images: Tensor, gain: float, draws: Draws) -> Tensor:
    """``gain`` added to the value of HSV (the largest channel); hue and saturation stay."""
    value = images.amax(1, keepdim=True)
    lifted = (value + gain).clamp(max=1)
    return torch.where(value > 0, images * (lifted / value.clamp(min=1e-12)), lifted)


def _contrast(images: Tensor, share: float, draws: Draws) -> Tensor:
    """Distances from the mean of each channel, shrunk to ``share``."""
    means = images.mean((2, 3), keepdim=True)
    return means + share * (images - means)


def _pixelate(images: Tensor, share: float, draws: Draws) -> Tensor:
    """Shrunk to ``share`` of the side and enlarged by repetition.

    A pixel of the small image is the mean of those whose centres lie in its box, as in Pillow's BOX filter.
    """
    side = images.shape[-1]
    small = max(1, int(side * share))
    places, centres = torch.arange(side) + 0.5, (torch.arange(small) + 0.5) * (side / small)
    inside = ((places - centres[:, None]).abs() <= side / small / 2).to(images)
    means = inside / inside.sum(1, keepdim=True)
    return functional.interpolate(means @ images @ means.T, size=side, mode="nearest-exact")


def _jpeg(images: Tensor, quality: float, draws: Draws) -> Tensor:
    """Stored as JPEG of that quality (Pillow's encoder, colour at half the resolution) and read again."""
    pixels = (images * 255).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
    stored = np.stack([_through_jpeg(image, int(quality)) for image in pixels])
    return (torch.from_numpy(stored).permute(0, 3, 1, 2).to(images.device, images.dtype) / 255).contiguous()


def _through_jpeg(pixels: np.ndarray, quality: int) -> np.ndarray:
    """Pixels (H, W, C) uint8, C = 1 or 3, as they come back from a file."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(pixels.squeeze(-1) if pixels.shape[-1] == 1 else pixels).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file)).reshape(pixels.shape)


def _drawn(images: Tensor, draw: Callable[[np.random.Generator], np.ndarray], draws: Draws) -> Tensor:
    """``draw`` of each image's generator, (B, C, H, W), in precision and place of ``images``."""
    return torch.from_numpy(np.stack([draw(rng) for rng in draws])).to(images.device, images.dtype)


_CORRUPTIONS: dict[str, tuple[Callable[[Tensor, float, Draws], Tensor], tuple[float, ...]]] = {
    "gaussian_noise": (_gaussian_noise, (0.04, 0.06, 0.08, 0.09, 0.10)),
    "shot_noise": (_shot_noise, (500, 250, 100, 75, 50)),
    "impulse_noise": (_impulse_noise, (0.01, 0.02, 0.03, 0.05, 0.07)),
    "gaussian_blur": (_gaussian_blur, (0.4, 0.6, 0.7, 0.8, 1.0)),
    "motion_blur": (_motion_blur, (1.0, 1.5, 2.0, 2.0, 2.5)),
    "brightness": (_brightness, (0.05, 0.1, 0.15, 0.2, 0.3)),
    "contrast": (_contrast, (0.75, 0.5, 0.4, 0.3, 0.15)),
    "pixelate": (_pixelate, (0.95, 0.9, 0.85, 0.75, 0.65)),
    "jpeg": (_jpeg, (80, 65, 58, 50, 40)),
}
"""How, and the strength at each severity."""
