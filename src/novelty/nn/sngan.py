"""Generator and discriminator of SN-GAN (Miyato et al. 2018), ResNet or plain; an encoder that mirrors the generator.

Images are in [0, 1] on both ends; discriminator and encoder move them to [-1, 1] inside. The networks of the paper are
for 32 pixels; 64 has a level more, and any 4 * 2^n works alike. Parameters at 32 and 64 pixels (width 256, 3 channels):
ResNet generator 4,276,739 and 5,523,715, discriminator 1,053,824 and 1,365,504, encoder 4,273,024 and 5,520,000.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Literal

from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

from novelty.errors import NoveltyError
from novelty.nn.batchnorm import JointBatchNorm2d
from novelty.nn.blocks import conv3x3, upsample2, upsampled_conv3x3

Family = Literal["resnet", "cnn"]

CODE = 128
"""Length of a code, h ~ N(0, I)."""


def levels_of(size: int) -> int:
    """How often images of ``size`` pixels are halved down to 4; NoveltyError where that does not work out."""
    levels = size.bit_length() - 3
    if size < 8 or size != 4 << levels:
        raise NoveltyError(
            f"SN-GAN halves an image down to 4 pixels, which {size} pixels do not allow: set method.generator_size to "
            "32, 64, or another power of two from 8 on."
        )
    return levels


class Generator(nn.Module):
    """Codes (B, 128) -> images (B, channels, size, size) in [0, 1], by (tanh + 1) / 2."""

    def __init__(self, channels: int, size: int, family: Family = "resnet", width: int = 256) -> None:
        super().__init__()
        levels = levels_of(size)
        widths = [width] * (levels + 1) if family == "resnet" else _plain_widths(levels, width)
        self.start = nn.Linear(CODE, 16 * widths[0])
        self.wide = widths[0]
        if family == "resnet":
            body: list[nn.Module] = [_Up(a, b) for a, b in pairwise(widths)]
            self.body = nn.Sequential(*body, JointBatchNorm2d(widths[-1]), nn.ReLU(inplace=True))
        else:
            body = [JointBatchNorm2d(widths[0]), nn.ReLU(inplace=True)]
            for a, b in pairwise(widths):
                body += [nn.ConvTranspose2d(a, b, 4, 2, 1), JointBatchNorm2d(b), nn.ReLU(inplace=True)]
            self.body = nn.Sequential(*body)
        self.last = conv3x3(widths[-1], channels)
        _initialise(self)

    def forward(self, codes: Tensor) -> Tensor:
        h = self.body(self.start(codes).view(-1, self.wide, 4, 4))
        return (self.last(h).float().tanh() + 1) / 2


class Encoder(nn.Module):
    """Images (B, channels, size, size) in [0, 1] -> codes (B, 128), deterministic."""

    def __init__(self, channels: int, size: int, family: Family = "resnet", width: int = 256) -> None:
        super().__init__()
        levels = levels_of(size)
        widths = [width] * (levels + 1) if family == "resnet" else _plain_widths(levels, width)[::-1]
        body: list[nn.Module] = [conv3x3(channels, widths[0])]
        if family == "resnet":
            body += [_Down(a, b) for a, b in pairwise(widths)]
            body += [JointBatchNorm2d(widths[-1]), nn.ReLU(inplace=True)]
        else:
            body += [JointBatchNorm2d(widths[0]), nn.ReLU(inplace=True)]
            for a, b in pairwise(widths):
                body += [nn.Conv2d(a, b, 4, 2, 1), JointBatchNorm2d(b), nn.ReLU(inplace=True)]
        self.body = nn.Sequential(*body)
        self.last = nn.Linear(16 * widths[-1], CODE)
        _initialise(self)

    def forward(self, images: Tensor) -> Tensor:
        codes: Tensor = self.last(self.body(images * 2 - 1).flatten(1))
        return codes.float()


class Discriminator(nn.Module):
    """Images (B, channels, size, size) in [0, 1] -> logits (B,), positive = real; every layer spectrally normalised."""

    def __init__(self, channels: int, size: int, family: Family = "resnet", width: int = 128) -> None:
        super().__init__()
        levels = levels_of(size)
        self.family: Family = family
        if family == "resnet":
            downs = max(2, levels - 1)
            blocks: list[nn.Module] = [_Judge(channels, width, down=True, first=True)]
            blocks += [_Judge(width, width, down=True) for _ in range(downs - 1)]
            self.body = nn.Sequential(*blocks, _Judge(width, width), _Judge(width, width), nn.ReLU())
            self.last = nn.Linear(width, 1, bias=False)
        else:
            widths = _plain_widths(levels, 2 * width)[::-1]
            layers: list[nn.Module] = [conv3x3(channels, widths[0])]
            for a, b in pairwise(widths):
                layers += [nn.LeakyReLU(0.1), nn.Conv2d(a, a, 4, 2, 1), nn.LeakyReLU(0.1), conv3x3(a, b)]
            self.body = nn.Sequential(*layers, nn.LeakyReLU(0.1))
            self.last = nn.Linear(16 * widths[-1], 1)
        _initialise(self)
        for layer in [m for m in self.modules() if isinstance(m, (nn.Conv2d, nn.Linear))]:
            spectral_norm(layer)

    def forward(self, images: Tensor) -> Tensor:
        h = self.body(images * 2 - 1)
        logits: Tensor = self.last(h.sum((2, 3)) if self.family == "resnet" else h.flatten(1))
        return logits.flatten().float()


class CodeDiscriminator(nn.Sequential):
    """Codes (B, 128) -> logits (B, 1), positive = drawn from the prior: 128-512-512-1, leaky ReLU 0.2 [decision]."""

    def __init__(self, width: int = 512) -> None:
        super().__init__(
            nn.Linear(CODE, width), nn.LeakyReLU(0.2), nn.Linear(width, width), nn.LeakyReLU(0.2), nn.Linear(width, 1)
        )


class _Up(nn.Module):
    """(B, C, H, W) -> (B, out, 2H, 2W): BN, ReLU, nearest doubling, conv, BN, ReLU, conv; a 1x1 skip."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        self.bn1, self.conv1 = JointBatchNorm2d(channels), conv3x3(channels, out)
        self.bn2, self.conv2 = JointBatchNorm2d(out), conv3x3(out, out)
        self.skip = nn.Conv2d(channels, out, 1)

    def forward(self, x: Tensor) -> Tensor:
        h = upsampled_conv3x3(F.relu(self.bn1(x), inplace=True), self.conv1)
        # The 1x1 skip and the doubling commute: convolving first costs a quarter.
        return upsample2(self.skip(x)) + self.conv2(F.relu(self.bn2(h), inplace=True))


class _Down(nn.Module):
    """(B, C, H, W) -> (B, out, H/2, W/2): BN, ReLU, conv, BN, ReLU, conv, mean of 2x2; a 1x1 skip."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        self.bn1, self.conv1 = JointBatchNorm2d(channels), conv3x3(channels, out)
        self.bn2, self.conv2 = JointBatchNorm2d(out), conv3x3(out, out)
        self.skip = nn.Conv2d(channels, out, 1)

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv1(F.relu(self.bn1(x), inplace=True))
        h = self.conv2(F.relu(self.bn2(h), inplace=True))
        return F.avg_pool2d(h, 2) + self.skip(F.avg_pool2d(x, 2))


class _Judge(nn.Module):
    """A block of the discriminator: ReLU (not in the ``first``), conv, ReLU, conv, and a mean of 2x2 with ``down``.

    The skip is a 1x1 convolution where the block goes down, and nothing otherwise.
    """

    def __init__(self, channels: int, out: int, down: bool = False, first: bool = False) -> None:
        super().__init__()
        self.down, self.first = down, first
        self.conv1, self.conv2 = conv3x3(channels, out), conv3x3(out, out)
        self.skip: nn.Module = nn.Conv2d(channels, out, 1) if down else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv2(F.relu(self.conv1(x if self.first else F.relu(x)), inplace=True))
        return F.avg_pool2d(h, 2) + self.skip(F.avg_pool2d(x, 2)) if self.down else h + x


def _plain_widths(levels: int, width: int) -> list[int]:
    """Channels of the plain networks from 4 pixels on: 512, 256, 128, 64 for 32 pixels with width 512 or 256 ..."""
    return [max(8, 2 * width >> level) for level in range(levels + 1)]


def _initialise(network: nn.Module) -> None:
    """Glorot uniform, gain sqrt(2) on the two convolutions of a block and 1 elsewhere; biases 0."""
    for name, layer in network.named_modules():
        if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
            in_block = name.rpartition(".")[2] in ("conv1", "conv2")
            nn.init.xavier_uniform_(layer.weight, math.sqrt(2) if in_block else 1.0)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
