"""The two networks of CRBND: the paper draws them without numbers, depths and widths are our sheet's."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional as F

from novelty.nn.batchnorm import JointBatchNorm2d


def conv(channels: int, out: int, kernel: int) -> nn.Conv2d:
    """Convolution that keeps the size; what follows it normalises, so it has no bias."""
    return nn.Conv2d(channels, out, kernel, padding=kernel // 2, bias=False)


class ResBlock(nn.Module):
    """(B, C, H, W) -> (B, out, H, W): the residual (short) skip inside the blocks of Fig. 2a."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        self.conv1, self.norm1 = conv(channels, out, 3), JointBatchNorm2d(out)
        self.conv2, self.norm2 = conv(out, out, 3), JointBatchNorm2d(out)
        self.skip = nn.Identity() if channels == out else nn.Sequential(conv(channels, out, 1), JointBatchNorm2d(out))

    def forward(self, x: Tensor) -> Tensor:
        h = F.relu(self.norm1(self.conv1(x)))
        return F.relu(self.norm2(self.conv2(h)) + self.skip(x))


class ReconstructionNetwork(nn.Module):
    """A: a U-Net without its long skips (Fig. 2a), so that nothing passes by the bottleneck.

    Images (B, channels, S, S) in [0, 1] -> the same; S must be a multiple of 2 to the power of ``len(widths) - 1``.

    widths: channels of the encoder's blocks from the image to the bottleneck; the decoder mirrors them.
    """

    def __init__(self, channels: int, widths: Sequence[int]) -> None:
        super().__init__()
        down: list[nn.Module] = [ResBlock(channels, widths[0])]
        for before, after in pairwise(widths):
            down += [nn.MaxPool2d(2), ResBlock(before, after)]
        up: list[nn.Module] = []
        for before, after in pairwise(widths[::-1]):
            up += [nn.ConvTranspose2d(before, after, 2, stride=2), ResBlock(after, after)]
        self.encoder = nn.Sequential(*down)
        self.decoder = nn.Sequential(*up, nn.Conv2d(widths[0], channels, 1), nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        rebuilt: Tensor = self.decoder(self.encoder(x))
        return rebuilt


class Classifier(nn.Module):
    """C: connective images (B, channels, S, S) -> logits (B,), high for positive ones.

    widths: channels of the convolutions, each of which halves the side.
    """

    def __init__(self, channels: int, widths: Sequence[int]) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for before, after in pairwise([channels, *widths]):
            layers += [conv(before, after, 3), JointBatchNorm2d(after), nn.ReLU(), nn.MaxPool2d(2)]
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear(widths[-1], 1)

    def features(self, x: Tensor) -> Tensor:
        """What the last layer sees: (B, widths[-1])."""
        found: Tensor = self.body(x).mean((2, 3))
        return found

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.features(x))
        return logits.flatten()
