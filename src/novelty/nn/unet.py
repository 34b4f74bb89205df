"""A U-Net without normalisation, as the authors of Puzzle-AE wrote it ("standard U-Net without batchnorm"): what solves
puzzles, and what a denoising autoencoder is made of. Images are (B, C, S, S).
"""

from __future__ import annotations

from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from novelty.errors import NoveltyError

LEVELS = 4
"""Halvings of the U-Net."""


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
