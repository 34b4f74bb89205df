"""Where a run sees defects and where they are: anomaly maps of test images, with both contours."""

from __future__ import annotations

import numpy as np
import torch
from matplotlib.figure import Figure as Drawing
from torch import Tensor

from novelty.data.datamodule import to_float
from novelty.figures.cells import Trained
from novelty.figures.overlay import overlays
from novelty.figures.style import styled

SHOWN = 6
"""Defective test images, evenly spaced, so that kinds of defects that stand in order all have their turn."""

REFERENCE = 32
"""Training images from whose maps the threshold comes: no label is read for it."""

QUANTILE = 0.99


def localisation(trained: Trained, score: str) -> Drawing | None:
    """A sheet of defective test images under the map of ``score``; None where there are no masks or no maps."""
    images, split = trained.images, trained.split
    if images.masks is None:
        return None
    defective = split.test[images.masks[torch.from_numpy(split.test)].flatten(1).any(1).numpy()]
    if not len(defective):
        return None
    index = defective[np.linspace(0, len(defective) - 1, min(SHOWN, len(defective))).round().astype(int)]
    maps, normal = _maps(trained, index, score), _maps(trained, split.train[:REFERENCE], score)
    if maps is None or normal is None:
        return None
    shown = torch.from_numpy(index)
    with styled():
        return overlays(
            to_float(images.pixels[shown]),
            maps,
            images.masks[shown].numpy().astype(bool),
            float(np.quantile(normal, QUANTILE)),
            named=f"{100 * QUANTILE:g} % of the pixels of {min(REFERENCE, len(split.train))} training images are below",
        )


def _maps(trained: Trained, index: np.ndarray, score: str) -> np.ndarray | None:
    """Maps (n, S, S) of images of the data set; None where the method gives none with this score."""
    found: list[Tensor] = []
    with torch.inference_mode():
        for places in torch.split(torch.from_numpy(index), trained.batch):
            part = to_float(trained.images.pixels[places]).to(trained.device)
            map_ = trained.method.test_step((part, places), 0)[score].map
            if map_ is None:
                return None
            found.append(map_.float().cpu()[:, 0])
    return torch.cat(found).numpy()
