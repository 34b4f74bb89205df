"""SimCLR's transformations (Chen et al. 2020) and quarter turns, on the device and differentiable in the image.

Every image has its own draw: a row of uniform numbers, which `Transformation.draw` makes and which then determines
everything. So a draw can be shared out over processes, seeded, or kept and applied again.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from novelty.nn.processes import own_share

TURNS = 4
"""Rotations by 0, 90, 180 and 270 degrees."""

_ATTEMPTS = 10
"""Crops tried until one lies within the image; after that the whole image is taken, as torchvision does."""
_LOOKS = 9
"""Uniform numbers for what is no crop: flip, jitter or not, its order, hue, saturation, value, contrast, grey, blur."""
_LUMA = (0.299, 0.587, 0.114)
_NO_BLUR = 0.01
"""A deviation, in pixels, whose kernel is 1 in the middle and 0 beside it."""


def turned(images: Tensor) -> Tensor:
    """Images (B, C, S, S) by all quarter turns: (4B, C, S, S); the k-th B of them are turned by k * 90 degrees."""
    return torch.cat([torch.rot90(images, k, (2, 3)) for k in range(TURNS)])


@dataclass(frozen=True, kw_only=True)
class Transformation:
    """T of SimCLR, in the order of CSI's code: colour jitter, grey, flip, crop, and blur where it is wanted.

    Colours change in HSV as there (value and saturation by factors, hue by a shift), contrast about the mean of each
    channel; but gradients are the true ones, every image draws its own order, and crops are no whole pixels.

    scale:   shares of the area that a crop may have; its sides are as 3:4 to 4:3.
    flip:    probability of a horizontal flip.
    jitter:  largest change of brightness, contrast, saturation (factors 1 - j to 1 + j) and hue (of a full circle).
    jittered, grey: their probabilities.
    blur:    probability of a Gaussian blur of deviation 0.1 to 2 pixels, the kernel a tenth of the image.
    """

    scale: tuple[float, float] = (0.08, 1.0)
    flip: float = 0.5
    jitter: tuple[float, float, float, float] = (0.4, 0.4, 0.4, 0.1)
    jittered: float = 0.8
    grey: float = 0.2
    blur: float = 0.0

    @property
    def numbers(self) -> int:
        """How many uniform numbers determine what becomes of an image."""
        return 2 * _ATTEMPTS + 2 + _LOOKS + 1

    def draw(self, count: int, views: int, device: torch.device) -> Tensor:
        """Numbers (views * count, `numbers`) for ``count`` images ``views`` times, where processes share a batch too.

        The first ``count`` rows are the first view of all images, and so on.
        """
        own = own_share(lambda n: torch.rand(n, views, self.numbers, device=device), count)
        return own.transpose(0, 1).flatten(0, 1)

    def __call__(self, images: Tensor, numbers: Tensor, turns: Tensor) -> Tensor:
        """Images (B, C, S, S) in [0, 1] transformed and turned: (B, C, S, S) in [0, 1], float32.

        numbers: (B, `numbers`) from `draw`.  turns: (B,) quarter turns, made before the crop and for nothing, since
        flip, turn and crop are one bilinear look at the image.
        """
        x = images.float()
        looks, places = torch.split(numbers.float(), [_LOOKS + 1, 2 * _ATTEMPTS + 2], 1)
        flip, jittered, order, hue, saturation, value, contrast, grey, blur, deviation = looks[
            :, :, None, None, None
        ].unbind(1)
        light, strength, purity, shift = self.jitter
        moved = _jittered(
            x,
            order < 0.5,
            _spread(value, light),
            _spread(contrast, strength),
            _spread(saturation, purity),
            (2 * hue - 1) * shift,
        )
        x = torch.where(jittered < self.jittered, moved, x)
        if x.shape[1] == 3:
            luma = (x * x.new_tensor(_LUMA).view(3, 1, 1)).sum(1, keepdim=True)
            x = torch.where(grey < self.grey, luma, x)
        x = _looked_at(x, self._crop(places), flip.flatten() < self.flip, turns)
        if self.blur:
            x = _blurred(x, torch.where(blur < self.blur, 0.1 + 1.9 * deviation, _NO_BLUR))
        return x

    def _crop(self, places: Tensor) -> Tensor:
        """Width, height and centre (B, 4) of crops in units of the image, whose corners are (-1, -1) and (1, 1)."""
        area, ratio, across, down = torch.split(places, [_ATTEMPTS, _ATTEMPTS, 1, 1], 1)
        low, high = self.scale
        area = (low + (high - low) * area).sqrt()
        ratio = (math.log(4 / 3) * (ratio - 0.5)).exp()  # the root of a ratio between 3/4 and 4/3
        width, height = area * ratio, area / ratio
        fits = (width <= 1) & (height <= 1)
        pick = fits.int().argmax(1, keepdim=True)  # the first that fits
        none = ~fits.any(1, keepdim=True)
        width = width.gather(1, pick).masked_fill(none, 1.0)
        height = height.gather(1, pick).masked_fill(none, 1.0)
        return torch.cat([width, height, (1 - width) * (2 * across - 1), (1 - height) * (2 * down - 1)], 1)


def _spread(numbers: Tensor, change: float) -> Tensor:
    return 1 + change * (2 * numbers - 1)


def _jittered(x: Tensor, first: Tensor, value: Tensor, contrast: Tensor, saturation: Tensor, hue: Tensor) -> Tensor:
    """Contrast and colour changed by (B, 1, 1, 1) each; contrast before colour where ``first``, otherwise after."""
    x = _contrast(x, torch.where(first, contrast, 1.0))
    return _contrast(_colour(x, value, saturation, hue), torch.where(first, 1.0, contrast))


def _contrast(x: Tensor, factor: Tensor) -> Tensor:
    """Distances to the mean of each channel, times ``factor`` (B, 1, 1, 1)."""
    mean = x.mean((2, 3), keepdim=True)
    return (mean + (x - mean) * factor).clamp(0, 1)


def _colour(x: Tensor, value: Tensor, saturation: Tensor, hue: Tensor) -> Tensor:
    """Value and saturation times their factors, hue moved round the circle, all (B, 1, 1, 1); grey has value alone."""
    if x.shape[1] != 3:
        return (x * value).clamp(0, 1)
    red, green, blue = torch.split(x, 1, 1)
    top, low = x.amax(1, keepdim=True), x.amin(1, keepdim=True)
    chroma = top - low
    safe = torch.where(chroma > 0, chroma, torch.ones_like(chroma))
    to_red, to_green, to_blue = (green - blue) / safe, (blue - red) / safe + 2, (red - green) / safe + 4
    sixth = torch.where(top == red, to_red, torch.where(top == green, to_green, to_blue)) + 6 * hue
    brightness = (top * value).clamp(0, 1)
    # Saturation is chroma over value: the factor takes it to 1 at most.
    share = (chroma / torch.where(top > 0, top, torch.ones_like(top)) * saturation).clamp(0, 1)
    turns = torch.cat([sixth + 5, sixth + 3, sixth + 1], 1).remainder(6)
    return brightness - brightness * share * torch.minimum(turns, 4 - turns).clamp(0, 1)


def _blurred(x: Tensor, deviation: Tensor) -> Tensor:
    """Gaussian blur of deviation (B, 1, 1, 1), in pixels; edges are reflected."""
    count, channels, side, _ = x.shape
    radius = max(1, side // 20)
    steps = torch.arange(-radius, radius + 1, device=x.device, dtype=x.dtype)
    kernel = (-0.5 * (steps / deviation.view(-1, 1)) ** 2).softmax(1).repeat_interleave(channels, 0)
    flat = F.pad(x.reshape(1, count * channels, side, side), (radius,) * 4, mode="reflect")
    with torch.autocast(x.device.type, enabled=False):
        flat = F.conv2d(flat, kernel[:, None, :, None], groups=count * channels)
        flat = F.conv2d(flat, kernel[:, None, None, :], groups=count * channels)
    return flat.view(x.shape)


def _looked_at(x: Tensor, crop: Tensor, flip: Tensor, turns: Tensor) -> Tensor:
    """``crop`` (B, 4) of the flipped (B,), then turned image, at the size of the image; edges are reflected."""
    width, height, across, down = crop.unbind(1)
    angle = turns * (math.pi / 2)
    cosine, sine = angle.cos().round(), angle.sin().round()
    mirror = torch.where(flip, -1.0, 1.0)
    # From a place in the result to a place in the crop, turned back, mirrored back. rot90 turns against the clock.
    theta = torch.stack(
        [
            torch.stack(
                [mirror * cosine * width, -mirror * sine * height, mirror * (cosine * across - sine * down)], 1
            ),
            torch.stack([sine * width, cosine * height, sine * across + cosine * down], 1),
        ],
        1,
    )
    grid = F.affine_grid(theta, list(x.shape), align_corners=False)
    return F.grid_sample(x, grid, mode="bilinear", padding_mode="reflection", align_corners=False)
