"""How near an image comes to the normal ones: the scores of CSI and of Contrasting Synthetic Images."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from novelty.nn.augmentations import TURNS

_BYTES = 64 * 2**20
"""Memory for similarities at a time; no influence on the scores."""
_LEAST = 1e-6
"""Means below this do not divide."""


def nearest(features: Tensor, axes: Tensor, block: int | None = None) -> tuple[Tensor, Tensor]:
    """Similarity to the nearest normal image: of all rotations together (B,), and of each for itself (B, 4).

    features: (B, 4, d) of images by rotation.  axes: (N, 4, d) of unit length.  m(x, x') = cos * |F(x)| is their inner
    product; the first is max over images of the sum over rotations (eq. 11), the second the maximum of each rotation.
    Exact, ``block`` images of the N at a time: as many as fit into 64 MiB where it is not given.
    """
    rows = features.transpose(0, 1)
    block = block or max(1, _BYTES // (4 * TURNS * max(1, len(features))))
    together, apart = [], []
    for part in torch.split(axes, block):
        similar = rows @ part.permute(1, 2, 0)  # (4, B, n)
        together.append(similar.sum(0).amax(1))
        apart.append(similar.amax(2))
    return torch.stack(together).amax(0), torch.stack(apart).amax(0).T


class Bank(nn.Module):
    """Projections of all normal images under the four rotations, and what CSI divides its terms by.

    axes: (N, 4, d) of unit length.  mean_norm, mean_logit: (4,) means over normal images of a projection's length and
    of the logit of the true rotation.
    """

    axes: Tensor
    mean_norm: Tensor
    mean_logit: Tensor

    def __init__(self, count: int, size: int) -> None:
        super().__init__()
        self.register_buffer("axes", torch.zeros(count, TURNS, size))
        self.register_buffer("mean_norm", torch.ones(TURNS))
        self.register_buffer("mean_logit", torch.ones(TURNS))

    def fill(self, features: Tensor, logits: Tensor) -> None:
        """Take in the normal images: projections (N, 4, d), logits (N, 4) of the true rotations."""
        self.axes.copy_(F.normalize(features, dim=2))
        self.mean_norm.copy_(features.norm(dim=2).mean(0))
        self.mean_logit.copy_(logits.mean(0))

    def forward(self, features: Tensor, logits: Tensor) -> dict[str, Tensor]:
        """Normality of images, (B,), from projections (B, 4, d) and logits (B, 4) of the true rotations.

        joint: M of eq. 11, one neighbour for all rotations.  csi: mean over rotations of the similarity to the nearest
        image over the mean norm, and of the logit over the mean logit [CSI's code].
        """
        together, apart = nearest(features, self.axes)
        weighted = apart / _away_from_zero(self.mean_norm) + logits / _away_from_zero(self.mean_logit)
        return {"joint": together, "csi": weighted.mean(1)}


def _away_from_zero(means: Tensor) -> Tensor:
    return torch.where(means < 0, means.clamp_max(-_LEAST), means.clamp_min(_LEAST))
