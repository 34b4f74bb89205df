"""Puzzle-AE's discriminator, the encoder of GANomaly; its other network is `nn.unet.UNet`.

The paper calls it standard ("DCGAN discriminator"); layers and widths are the authors' code's. Images are (B, C, S, S).
"""

from __future__ import annotations

from typing import cast

from torch import Tensor, nn

from novelty.nn.batchnorm import JointBatchNorm2d

SLOPE = 0.2
"""Negative slope of the discriminator's leaky ReLUs."""


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
