"""One-class support vector machine on pixels or on their principal components (Schoelkopf et al., 2001)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Literal, NamedTuple

import torch
from torch import Tensor

from novelty.errors import NoveltyError
from novelty.info import DataInfo
from novelty.methods.base import Fitted
from novelty.nn.features import collect, fit_projection, project, rows_within, squared_distances
from novelty.scores import Scores


class OCSVM(Fitted):
    """OC-SVM with RBF kernel k(x, s) = exp(-gamma |x - s|^2); the score is rho - sum_i alpha_i k(x, s_i).

    libsvm (through scikit-learn) solves for alpha, whose sum is nu * n; scoring is ours, in torch and float64.

    features:    raw pixels in [0, 1], their PCA, or whitened PCA [sheet: decision, whitened].
    variance:    share of the variance of the normal images that PCA keeps [decision 0.95].
    components:  a number of components in place of ``variance``.
    nu:          bound on the share of normal images outside [decision 0.1].
    gamma:       of the kernel; None = by ``gamma_rule``.
    gamma_rule:  "dimension": 1/d with d features [decision]; "scale": 1/(d * variance over all features).
    chunk_mib:   memory for the kernel matrix, in MiB; no influence on the scores.

    The papers' choices of gamma by test labels are not offered: methods never see labels. A fixed ``gamma`` on raw
    features covers each point of their grids.
    """

    primary = "distance"
    fitted: ClassVar[tuple[str, ...]] = ("mean", "axes", "vectors", "alpha", "rho", "width")
    scoring: ClassVar[frozenset[str]] = frozenset({"chunk_mib"})

    mean: Tensor | None
    axes: Tensor | None
    vectors: Tensor
    alpha: Tensor
    rho: Tensor
    width: Tensor

    def __init__(
        self,
        *,
        info: DataInfo,
        features: Literal["raw", "pca", "pca_whiten"] = "pca_whiten",
        variance: float = 0.95,
        components: int | None = None,
        nu: float = 0.1,
        gamma: float | None = None,
        gamma_rule: Literal["dimension", "scale"] = "dimension",
        chunk_mib: int = 256,
    ) -> None:
        super().__init__(info, batch_size=min(1000, info.train_size))
        if not 0 < nu <= 1:
            raise NoveltyError(f"nu is {nu}: it must lie in (0, 1].")
        if gamma is not None and gamma <= 0:
            raise NoveltyError(f"gamma is {gamma}: it must be positive, or null for the rule.")
        self.features = features
        self.variance = variance
        self.components = components
        self.nu = nu
        self.gamma = gamma
        self.gamma_rule = gamma_rule
        self.chunk_mib = chunk_mib

    @torch.inference_mode(False)  # tensors made in inference mode would refuse gradients of the scores later
    @torch.no_grad()
    def calibrate(self, batches: Iterable[Tensor]) -> None:
        """Fits the support vectors on the features of all normal images."""
        images = collect(batches).to(self.device)
        if self.features != "raw":
            self.mean, self.axes = fit_projection(images, self.features, self.variance, self.components)
        x = project(images, self.mean, self.axes)
        gamma = self.gamma
        if gamma is None:
            gamma = 1 / (x.shape[1] * (float(x.var(correction=0)) if self.gamma_rule == "scale" else 1.0))
        self.vectors, self.alpha, self.rho = fit_machine(x, gamma, self.nu)
        self.width = torch.tensor(gamma, dtype=torch.float64, device=self.device)

    def score(self, images: Tensor) -> dict[str, Scores]:
        """``distance``: how far outside the boundary, in units of the kernel sum; 0 on it, negative inside."""
        x = project(images, self.mean, self.axes)
        machine = Machine(self.vectors, self.alpha, self.rho)
        rows = rows_within(len(self.vectors), self.chunk_mib)
        outside = torch.cat([signed_distance(part, machine, self.width) for part in torch.split(x, rows)])
        return {"distance": Scores(outside.float())}


class Machine(NamedTuple):
    """A fitted OC-SVM: support vectors (m, d), alpha (m,), rho (), all float64."""

    vectors: Tensor
    alpha: Tensor
    rho: Tensor


def fit_machine(x: Tensor, gamma: float, nu: float) -> Machine:
    """Solves the OC-SVM of features x (n, d) on the CPU; the result lies on the device of ``x``."""
    from sklearn.svm import OneClassSVM  # a slow import that only fitting needs

    solved = OneClassSVM(kernel="rbf", gamma=gamma, nu=nu, tol=1e-6, cache_size=500).fit(x.cpu().numpy())
    arrays = (solved.support_vectors_, solved.dual_coef_[0], -solved.intercept_[0])
    return Machine(*(torch.tensor(array, dtype=torch.float64, device=x.device) for array in arrays))


def signed_distance(x: Tensor, machine: Machine, gamma: float | Tensor) -> Tensor:
    """rho - sum_i alpha_i exp(-gamma |x - s_i|^2) for x (n, d): (n,)."""
    return machine.rho - torch.exp(-gamma * squared_distances(x, machine.vectors)) @ machine.alpha
