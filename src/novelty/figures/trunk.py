"""The fixed features that PIAD's figures look at: relu4_2 of a VGG, and the statistics that belong to it."""

from __future__ import annotations

import torch

from novelty.errors import NoveltyError
from novelty.nn.backbones import LAYER, Backbone, Statistics, VGGTrunk, load_statistics, load_trunk

SMALLEST = 8
"""Pixels: three poolings leave one response."""


def load(
    backbone: Backbone, weights: str, statistics: str, device: torch.device, size: int
) -> tuple[VGGTrunk, Statistics, dict[str, str]]:
    """A trunk and its statistics on ``device``, for images of ``size`` pixels, and where both come from.

    Arguments as of `novelty.methods.piad.PIAD`. NoveltyError where the files are missing or do not belong together.
    """
    if size < SMALLEST:
        raise NoveltyError(f"{LAYER} sees nothing in {size} pixels: set data.image_size to {SMALLEST} or more.")
    try:
        trunk = load_trunk(backbone, weights)
        found = load_statistics(statistics, trunk, weights)
    except NoveltyError as error:  # the options have the same names here as there
        raise NoveltyError(str(error).replace("method.", "figure.")) from error
    about = {
        "backbone": f"{backbone} {trunk.source}",
        "weights_sha256": trunk.digest,
        "layer": LAYER,
        "statistics": found.source,
    }
    return trunk.to(device), Statistics(found.mean.to(device), found.std.to(device), found.source), about
