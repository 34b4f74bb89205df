"""Puzzle-AE's networks: a U-Net without normalisation, and the encoder of GANomaly as a discriminator.

The paper calls both standard ("U-Net without batchnorm", "DCGAN discriminator"); layers and widths are the authors'
code's. Images are (B, C, S, S).
"""

from __future__ import annotations

from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from novelty.errors import NoveltyError
from novelty.nn.batchnorm import JointBatchNorm2d

LEVELS = 4
"""Halvings of the U-Net."""

SLOPE = 0.2
"""Negative slope of the discriminator's leaky ReLUs."""


class DoubleConv(nn.Sequential):
    """(B, channels, H, W) -> (B, out, H, W): two 3x3 convolutions, each with a ReLU; ``middle`` channels between."""

    def __init__(self, channels: int, out: int, middle: int) -> None:
        super().__init__(
            nn.Conv2d(channels, middle, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(middle, out, 3, padding=1),
            nn.ReLU(inplace=True),
        )


class UNet(nn.Module):
    """(B, C, S, S) -> (B, C, S, S), linear output; 17,257,409 parameters for one channel, 17,258,691 for three.

    width: channels at full size [64]; twice, four and eight times that below, and eight times at the bottom.

    Raises NoveltyError for sides below 16, which four halvings leave nothing of.
    """

    def __init__(self, channels: int, side: int, width: int = 64) -> None:
        super().__init__()
        if side < 2**LEVELS:
            raise NoveltyError(
                f"The U-Net halves an image four times, which {side} pixels do not allow: "
                "set data.image_size to 16 or more, such as 32."
            )
        widths = [width, 2 * width, 4 * width, 8 * width, 8 * width]
        self.first = DoubleConv(channels, width, width)
        self.downs = nn.ModuleList(nn.Sequential(nn.MaxPool2d(2), DoubleConv(a, b, b)) for a, b in pairwise(widths))
        outs = [*widths[-3::-1], width]
        self.ups = nn.ModuleList(
            DoubleConv(2 * skip, out, skip) for skip, out in zip(widths[-2::-1], outs, strict=True)
        )
        self.last = nn.Conv2d(width, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        skips = [self.first(x)]
        for down in self.downs:
            skips.append(down(skips[-1]))
        x = skips.pop()
        for up in self.ups:
            skip = skips.pop()
            x = up(torch.cat([skip, upsample2_to(x, skip.shape[-1])], 1))
        return cast(Tensor, self.last(x))


def upsample2_to(x: Tensor, side: int) -> Tensor:
    """Twice as large, bilinear between the corners, and zeros around it up to ``side``: (B, C, H, H) -> (.., side)."""
    x = F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=True)
    missing = side - x.shape[-1]
    before = missing // 2
    return F.pad(x, (before, missing - before) * 2) if missing else x


class Discriminator(nn.Module):
    """How real images look: (B, C, S, S) -> (B,), logits; `features` are those of the matching loss, f_D.

    width: channels after the first halving [64], doubled at each further one down to a side of 4 or less. A side of
    28 or 30 ends at 3, 32 and 128 at 4; the head's kernel is that side.

    Batch statistics are taken anew from every batch, over all processes: it only ever judges while it trains.
    """

    def __init__(self, channels: int, side: int, width: int = 64) -> None:
        super().__init__()
        layers: list[nn.Module] = [_halving(channels, width), nn.LeakyReLU(SLOPE, inplace=True)]
        side //= 2
        while side > 4:
            layers += [
                _halving(width, 2 * width),
                JointBatchNorm2d(2 * width, track_running_stats=False),
                nn.LeakyReLU(SLOPE, inplace=True),
            ]
            side, width = side // 2, 2 * width
        self.body = nn.Sequential(*layers)
        self.head = nn.Conv2d(width, 1, side, bias=False)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.normal_(layer.weight, 0.0, 0.02)
            elif isinstance(layer, JointBatchNorm2d):
                nn.init.normal_(layer.weight, 1.0, 0.02)

    def features(self, x: Tensor) -> Tensor:
        """The last feature map before the head: 256x3x3 for 28 px, 256x4x4 for 32 px, 1024x4x4 for 128 px."""
        return cast(Tensor, self.body(x))

    def judge(self, features: Tensor) -> Tensor:
        """Logits (B,) of feature maps; their sigmoid is the probability of being real."""
        return cast(Tensor, self.head(features)).flatten()

    def forward(self, x: Tensor) -> Tensor:
        return self.judge(self.features(x))


def _halving(channels: int, out: int) -> nn.Conv2d:
    return nn.Conv2d(channels, out, 4, stride=2, padding=1, bias=False)
