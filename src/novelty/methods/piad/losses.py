"""How far a reconstruction is from its image: relative-perceptual-L1 and the losses it is compared with (PIAD, 3.2)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn

from novelty.nn.backbones import Statistics, VGGTrunk, normalise

REMEMBERED_BYTES = 512 * 2**20
"""Room for the trunk's responses to training images: 164 MB for a class of CIFAR-10, 221 MB at most of MNIST."""

Kind = Literal["rel_perc_l1", "perc_l1", "perc", "mse"]

GUARD = 1e-8
"""Added to the denominator of eq. 4, where neither the paper nor the authors' code has anything [decision]."""


def squared_error(x: Tensor, y: Tensor) -> Tensor:
    """Mean squared difference: (B, ...) twice -> (B,). Of images: `mse`; of raw features: `perc` (eq. 2)."""
    return (x - y).square().flatten(1).mean(1)


def absolute_error(x: Tensor, y: Tensor) -> Tensor:
    """`perc_l1`: mean absolute difference of normalised features, (B, ...) twice -> (B,)."""
    return (x - y).abs().flatten(1).mean(1)


def relative_error(x: Tensor, y: Tensor) -> Tensor:
    """`rel_perc_l1` (eq. 3-4): sum|x - y| / sum|x| of normalised features, (B, ...) twice -> (B,).

    x belongs to the real image, y to its reconstruction: not symmetric. Normalised x = (0, .5, -1, 5) and
    y = (.5, .5, 1, 1) give 6.5 / 6.5 = 1, swapped 6.5 / 3.
    """
    return (x - y).abs().flatten(1).sum(1) / (x.abs().flatten(1).sum(1) + GUARD)


class ReconstructionLoss(nn.Module):
    """One of the four losses: images and reconstructions (B, C, H, W) in [-1, 1] -> (B,), in float32.

    Reconstructions are not clamped. ``trunk`` is needed by all but `mse`, ``statistics`` by the two L1 losses.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, kind: Kind, trunk: VGGTrunk | None = None, statistics: Statistics | None = None) -> None:
        super().__init__()
        self.kind = kind
        self.trunk = trunk
        if statistics is not None:  # read again from where they came from, like the trunk
            self.register_buffer("mean", statistics.mean.float(), persistent=False)
            self.register_buffer("std", statistics.std.float(), persistent=False)

    def forward(self, images: Tensor, reconstructions: Tensor, responses: Tensor | None = None) -> Tensor:
        """``responses``: of the trunk to the images, where they are known."""
        if self.kind == "mse":
            return squared_error(images, reconstructions.float())
        x = self._normalised(self.responses(images) if responses is None else responses)
        y = self._normalised(self.responses(reconstructions))
        if self.kind == "perc":
            return squared_error(x, y)
        return (relative_error if self.kind == "rel_perc_l1" else absolute_error)(x, y)

    def responses(self, images: Tensor) -> Tensor:
        """relu4_2 of images in [-1, 1]: (B, 512, H // 8, W // 8), in the precision of training.

        No graph is built for images that need no gradient: the trunk itself has none.
        """
        assert self.trunk is not None
        return self.trunk((images + 1) / 2)

    def _normalised(self, responses: Tensor) -> Tensor:
        """In float32, and per filter for the two L1 losses."""
        responses = responses.float()
        return responses if self.kind == "perc" else normalise(responses, self.mean, self.std)


class Remembered:
    """Responses to the training images, kept where they fit: after one pass over the data none is computed again.

    count: number of training images. Nothing of this is saved: a resumed training computes them anew, to the same bits.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self._known = torch.zeros(count, dtype=torch.bool, device="cpu")
        self._kept: Tensor | None = None

    def __call__(self, positions: Tensor, compute: Callable[[], Tensor]) -> Tensor:
        """Responses to the images at ``positions`` (B,) of the training images, on the CPU; ``compute`` gives them."""
        if self._kept is not None and bool(self._known[positions].all()):
            return self._kept[positions.to(self._kept.device)]
        found = compute()
        if self._kept is None:
            if found[0].numel() * found.element_size() * self.count > REMEMBERED_BYTES:
                return found
            self._kept = found.new_empty(self.count, *found.shape[1:])
        if found.dtype == self._kept.dtype:
            self._kept[positions.to(found.device)] = found
            self._known[positions] = True
        return found
