"""The residual network of TwoStageVAE (Dai and Wipf 2019), for CelebA at 64 px: sheet, 1b.

Padding is TensorFlow's "SAME": strided convolutions halve exactly, transposed ones double exactly.
"""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional as F

from novelty.errors import NoveltyError
from novelty.info import DataInfo
from novelty.nn.batchnorm import JointBatchNorm2d

SCALES = 4
"""Sizes that the encoder works at [TS]."""

DENSE = 512
"""Width of its fully connected block [TS]."""

WIDEST = 1024
"""Channels of the decoder at 2 pixels, where the base width and the number of doublings allow them [TS]."""

EPS = 1e-5
"""Of every batch normalisation [TS]."""


def check_side(side: int) -> None:
    """NoveltyError for sides that are no power of two from 16 on."""
    if side < 16 or side & (side - 1):
        raise NoveltyError(
            f"The residual network doubles 2 pixels up to the image's, which {side} pixels do not allow: "
            "set data.image_size to 64 (as its authors do), 32, or another power of two from 16 on."
        )


class ResidualBlock(nn.Module):
    """(B, C, H, W) -> (B, out, H, W): (BN, ReLU, 3x3) twice, beside a 3x3 convolution as the short way round."""

    def __init__(self, channels: int, out: int, momentum: float) -> None:
        super().__init__()
        self.norm1 = JointBatchNorm2d(channels, EPS, momentum)
        self.conv1 = nn.Conv2d(channels, out, 3, padding=1)
        # The normalisation takes this bias off again: its gradient is rounding, which Adam would make steps of.
        assert self.conv1.bias is not None
        self.conv1.bias.requires_grad_(False)
        self.norm2 = JointBatchNorm2d(out, EPS, momentum)
        self.conv2 = nn.Conv2d(out, out, 3, padding=1)
        self.skip = nn.Conv2d(channels, out, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv1(F.relu(self.norm1(x)))
        sum: Tensor = self.skip(x) + self.conv2(F.relu(self.norm2(h)))
        return sum


class DenseBlock(nn.Module):
    """(B, n) -> (B, out): (ReLU, dense) twice, beside a dense layer as the short way round."""

    def __init__(self, inputs: int, out: int) -> None:
        super().__init__()
        self.dense1 = nn.Linear(inputs, out)
        self.dense2 = nn.Linear(out, out)
        self.skip = nn.Linear(inputs, out)

    def forward(self, x: Tensor) -> Tensor:
        sum: Tensor = self.skip(x) + self.dense2(F.relu(self.dense1(F.relu(x))))
        return sum


class Encoder(nn.Module):
    """(B, C, S, S) -> (B, outputs, 1, 1). Of a VAE's outputs the first half is the mean, the second log sd [TS]."""

    def __init__(self, info: DataInfo, outputs: int, width: int = 32, momentum: float = 0.001) -> None:
        super().__init__()
        widths = [width * 2**k for k in range(SCALES)]
        layers: list[nn.Module] = [nn.Conv2d(info.channels, width, 3, padding=1)]
        for before, after in pairwise(widths):
            layers += [ResidualBlock(before, before, momentum), nn.Conv2d(before, after, 3, stride=2, padding=1)]
        self.scales = nn.Sequential(*layers, ResidualBlock(widths[-1], widths[-1], momentum))
        self.dense = nn.Sequential(DenseBlock(widths[-1], DENSE), nn.Linear(DENSE, outputs))

    def forward(self, images: Tensor) -> Tensor:
        pooled: Tensor = self.dense(self.scales(images).mean((2, 3)))
        return pooled[..., None, None]


def decoder(info: DataInfo, latent: int, width: int = 32, momentum: float = 0.001) -> nn.Sequential:
    """(B, latent, 1, 1) -> (B, C, S, S), linear at the end: 2x2 pixels, doubled until they are S."""
    doublings = info.image_size.bit_length() - 2
    widths = [min(width * 2**k, WIDEST) for k in range(doublings, -1, -1)]
    layers: list[nn.Module] = [
        nn.Flatten(),
        nn.Linear(latent, 4 * widths[0]),
        nn.Unflatten(1, (widths[0], 2, 2)),
    ]
    for before, after in pairwise(widths):
        up = nn.ConvTranspose2d(before, after, 3, stride=2, padding=1, output_padding=1)
        layers += [up, ResidualBlock(after, after, momentum)]
    return nn.Sequential(*layers, nn.Conv2d(widths[-1], info.channels, 3, padding=1))
