"""Pixel features of the shallow methods: raw, PCA or whitened PCA, in float64 and differentiable in the images."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from novelty.errors import NoveltyError

PixelKind = Literal["raw", "pca", "pca_whiten"]


class Projection(NamedTuple):
    """An affine map of flat images: features = (x - mean) @ axes.

    mean: (D,) float64.  axes: (D, d) float64; orthonormal columns for PCA, divided by the standard deviation along
    each for whitening.
    """

    mean: Tensor
    axes: Tensor


def collect(batches: Iterable[Tensor]) -> Tensor:
    """All images of ``batches`` (B, C, H, W), flat and in order: (n, D) float32, free of inference mode."""
    flat = [batch.detach().flatten(1) for batch in batches]
    if not flat:
        raise NoveltyError("There is no normal image to fit: the training split is empty.")
    return torch.cat(flat)


def fit_projection(
    images: Tensor, kind: Literal["pca", "pca_whiten"], variance: float = 0.95, components: int | None = None
) -> Projection:
    """PCA of flat images (n, D).

    Keeps the fewest components that explain more than the share ``variance`` (the rule of scikit-learn), or
    ``components`` of them where that is given (fewer where the images span fewer directions). Variances are unbiased
    (n - 1), as in scikit-learn. NoveltyError where the images do not vary or ``variance`` is outside (0, 1).
    """
    if components is None and not 0 < variance < 1:
        raise NoveltyError(f"variance is {variance}: the share of variance to keep must lie between 0 and 1.")
    x = images.double()
    mean = x.mean(0)
    x = x - mean
    n, size = x.shape
    # The smaller of the two Gram matrices has the same eigenvalues: 200 images of 128x128x3 need 200x200.
    gram = x @ x.T if n < size else x.T @ x
    values, vectors = torch.linalg.eigh(gram / max(n - 1, 1))
    values, vectors = values.flip(0), vectors.flip(1)
    rank = int((values > values[0] * 1e-12).sum()) if values[0] > 0 else 0
    if not rank:
        raise NoveltyError("The normal images are all alike: principal components need images that differ.")
    shares = values.clamp_min(0).cumsum(0) / values.clamp_min(0).sum()
    wanted = int((shares <= variance).sum()) + 1 if components is None else components
    kept = min(wanted, rank)
    values, axes = values[:kept], vectors[:, :kept]
    if n < size:
        axes = x.T @ axes / ((n - 1) * values).sqrt()
    return Projection(mean, axes / values.sqrt() if kind == "pca_whiten" else axes)


def project(images: Tensor, mean: Tensor | None, axes: Tensor | None) -> Tensor:
    """Features (n, d) float64 of images (n, ...): flat pixels where there is no projection (raw)."""
    x = images.flatten(1).double()
    return x if mean is None or axes is None else (x - mean) @ axes


def squared_distances(x: Tensor, y: Tensor) -> Tensor:
    """(n, m) squared Euclidean distances of x (n, d) and y (m, d), in float64.

    One matrix product, twice differentiable; `torch.cdist` would take a root and square it again, with no gradient
    of its own at 0. In float64 the cancellation is far below the rounding of float32 scores.
    """
    return (x.square().sum(1)[:, None] + y.square().sum(1) - 2 * x @ y.T).clamp_min(0)


def rows_within(columns: int, mebibytes: int) -> int:
    """How many rows of a float64 matrix with ``columns`` columns fit into ``mebibytes``; at least 1."""
    return max(1, mebibytes * 2**20 // (8 * max(columns, 1)))
