"""F, the feature extractor of CSI: a ResNet-18 with a head for contrast and one that tells rotations apart."""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from novelty.errors import NoveltyError
from novelty.nn.augmentations import TURNS
from novelty.nn.contrastive import nt_xent
from novelty.nn.resnet import ResNet18, Stem

Network = Literal["auto", "cifar", "imagenet"]


class Seen(NamedTuple):
    """projections (B, 128), not normalised; logits (B, 4) of the rotation."""

    projections: Tensor
    logits: Tensor


class Extractor(nn.Module):
    """Images (B, C, S, S) in [0, 1] -> `Seen`.

    network:    stem of the trunk; auto: cifar up to 64 pixels, imagenet above.
    width:      of its first stage [64].
    projection: length of a projection [128]; the hidden layer is as wide as the trunk's features [CSI: 512].
    """

    def __init__(
        self,
        channels: int,
        image_size: int,
        network: Network = "auto",
        width: int = 64,
        projection: int = 128,
        checkpoint: bool = False,
    ) -> None:
        super().__init__()
        stem: Stem = network if network != "auto" else "cifar" if image_size <= 64 else "imagenet"
        least = 8 if stem == "cifar" else 32
        if image_size < least:
            raise NoveltyError(
                f"The trunk of CSI halves an image to a point before its last stage at {image_size} pixels: "
                f"set data.image_size to {least} or more, 32 for CIFAR-10."
            )
        self.trunk = ResNet18(channels, stem, width, checkpoint)
        self.features = projection
        wide = self.trunk.features
        self.projection = nn.Sequential(nn.Linear(wide, wide), nn.ReLU(), nn.Linear(wide, projection))
        self.shift = nn.Linear(wide, TURNS)

    def forward(self, images: Tensor) -> Seen:
        features = self.trunk(images * 2 - 1)  # (x - 0.5) / 0.5 [CSI]
        return Seen(self.projection(features), self.shift(features))


def rotation_loss(logits: Tensor, turns: Tensor) -> Tensor:
    """Cross entropy of the rotation, L_cls-SI (eq. 3), a mean: logits (B, 4), turns (B,). Zero logits give ln 4."""
    return F.cross_entropy(logits.float(), turns)


def shifted_loss(seen: Seen, turns: Tensor, temperature: float = 0.5) -> tuple[Tensor, Tensor]:
    """L_con-SI and L_cls-SI (eq. 2 and 3) of the first, then the second views of turned images (2n of them).

    Every turn of an image is an image of its own: its other turns are negatives.
    """
    return nt_xent(seen.projections, temperature), rotation_loss(seen.logits, turns)


def views_of(count: int, device: torch.device) -> Tensor:
    """Quarter turns (8 * count,) of `Transformation.draw`'s 8 views of ``count`` images: 0, 1, 2, 3, and again."""
    return torch.arange(TURNS, device=device).repeat_interleave(count).repeat(2)
