"""Kernel density estimation on pixels or on their principal components."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import ClassVar, Literal

import torch
from torch import Tensor

from novelty.errors import NoveltyError
from novelty.info import DataInfo
from novelty.methods.base import Fitted
from novelty.nn.features import collect, fit_projection, project, rows_within, squared_distances
from novelty.scores import Scores

BANDWIDTHS: tuple[float, ...] = tuple(2.0 ** (k / 2 - 4.5) for k in range(20))
"""2^-4.5 .. 2^5 in steps of 2^0.5: the grid of the Deep SVDD code (fact sheet "baselines_deterministic", section 1)."""


class KDE(Fitted):
    """Gaussian kernel density; the score is -log p of the features of an image.

    features:    raw pixels in [0, 1], their PCA, or whitened PCA [sheet: decision, whitened].
    variance:    share of the variance of the normal images that PCA keeps [decision 0.95].
    components:  a number of components in place of ``variance``.
    bandwidth:   h; None = the value of ``grid`` with the highest mean log-likelihood of held-out normal images.
    grid:        candidates for h [Deep SVDD code].
    folds:       contiguous folds of the normal images for that choice [5 in the Deep SVDD code].
    lsa_like:    16 whitened components, h = 0.6: what the KDE row of the LSA and PIAD papers looks like. Identified by
                 comparing with the *printed* row, so a table must label it; no honest choice leads there.
    chunk_mib:   memory for the kernel matrix, in MiB; no influence on the scores.
    """

    primary = "nll"
    fitted: ClassVar[tuple[str, ...]] = ("mean", "axes", "points", "width")
    scoring: ClassVar[frozenset[str]] = frozenset({"chunk_mib"})

    mean: Tensor | None
    axes: Tensor | None
    points: Tensor
    width: Tensor

    def __init__(
        self,
        *,
        info: DataInfo,
        features: Literal["raw", "pca", "pca_whiten"] = "pca_whiten",
        variance: float = 0.95,
        components: int | None = None,
        bandwidth: float | None = None,
        grid: Sequence[float] = BANDWIDTHS,
        folds: int = 5,
        lsa_like: bool = False,
        chunk_mib: int = 256,
    ) -> None:
        super().__init__(info, batch_size=min(1000, info.train_size))
        if lsa_like:
            if components is not None or bandwidth is not None or features != "pca_whiten":
                raise NoveltyError("lsa_like sets features, components and bandwidth: leave these three unset.")
            components, bandwidth = 16, 0.6
        if min(grid, default=0.0) <= 0 or (bandwidth is not None and bandwidth <= 0):
            raise NoveltyError("Bandwidths must be positive, and the grid must hold at least one.")
        if folds < 2:
            raise NoveltyError(f"folds is {folds}: choosing a bandwidth needs at least 2.")
        self.features = features
        self.variance = variance
        self.components = components
        self.bandwidth = bandwidth
        self.grid = tuple(grid)
        self.folds = folds
        self.lsa_like = lsa_like
        self.chunk_mib = chunk_mib

    @torch.inference_mode(False)  # tensors made in inference mode would refuse gradients of the scores later
    @torch.no_grad()
    def calibrate(self, batches: Iterable[Tensor]) -> None:
        """Stores the features of all normal images and chooses the bandwidth."""
        images = collect(batches).to(self.device)
        if self.features != "raw":
            self.mean, self.axes = fit_projection(images, self.features, self.variance, self.components)
        self.points = project(images, self.mean, self.axes)
        width = self.bandwidth
        if width is None:
            likelihoods = held_out_log_density(self.points, self.grid, self.folds, self.chunk_mib)
            width = self.grid[int(likelihoods.argmax())]
        self.width = torch.tensor(width, dtype=torch.float64, device=self.device)

    def score(self, images: Tensor) -> dict[str, Scores]:
        """``nll``: -log density of the features."""
        x = project(images, self.mean, self.axes)
        rows = rows_within(len(self.points), self.chunk_mib)
        density = torch.cat([log_density(part, self.points, self.width) for part in torch.split(x, rows)])
        return {"nll": Scores(-density.float())}

    def provenance(self) -> dict[str, str]:
        return {"bandwidth": "identified from the printed row of the LSA and PIAD papers"} if self.lsa_like else {}


def log_density(x: Tensor, points: Tensor, width: Tensor) -> Tensor:
    """Log of the Gaussian kernel density with bandwidth ``width`` () of ``points`` (m, d) at x (n, d): (n,)."""
    return _log_density(squared_distances(x, points), points.shape[1], width)


def _log_density(squared: Tensor, dimension: int, width: Tensor) -> Tensor:
    volume = 0.5 * dimension * torch.log(2 * math.pi * width**2)
    return (squared / (-2 * width**2)).logsumexp(1) - math.log(squared.shape[1]) - volume


def held_out_log_density(points: Tensor, grid: Sequence[float], folds: int, chunk_mib: int = 256) -> Tensor:
    """Mean log-density of points (n, d), each under the other contiguous folds, per bandwidth: (len(grid),)."""
    n, dimension = points.shape
    if n < folds:
        raise NoveltyError(f"{n} normal images cannot be cut into {folds} folds: set method.bandwidth, or fewer folds.")
    bounds = [n * k // folds for k in range(folds + 1)]
    widths = torch.tensor(grid, dtype=torch.float64, device=points.device)
    total = torch.zeros_like(widths)
    for start, stop in pairwise(bounds):
        others = torch.cat([points[:start], points[stop:]])
        for part in torch.split(points[start:stop], rows_within(len(others), chunk_mib)):
            squared = squared_distances(part, others)
            # One width at a time: all at once would need this matrix len(grid) times.
            total += torch.stack([_log_density(squared, dimension, width).sum() for width in widths])
    return total / n
