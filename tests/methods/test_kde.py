"""KDE: oracles 1 and 2 of the fact sheet "baselines_deterministic", section 1, and the contract of a fitted method."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.special import logsumexp
from scipy.stats import multivariate_normal

from novelty.errors import NoveltyError
from novelty.info import DataInfo
from novelty.methods.kde import BANDWIDTHS, KDE, held_out_log_density, log_density
from novelty.scores import grad_ready

INFO = DataInfo(channels=1, image_size=8, train_size=40)


def images(n: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(n, 1, 8, 8, generator=torch.Generator().manual_seed(seed))


def calibrated(**options: object) -> KDE:
    method = KDE(info=INFO, **options)
    with torch.inference_mode():
        method.calibrate(images(40).split(16))
    return method


def test_two_points() -> None:
    points = torch.tensor([[0.0, 0.0], [2.0, 0.0]], dtype=torch.float64)
    x = torch.tensor([[1.0, 0.0], [0.0, 3.0]], dtype=torch.float64)
    density = log_density(x, points, torch.tensor(1.0, dtype=torch.float64))
    assert density.tolist() == pytest.approx([-2.337877, -6.904096], abs=1e-6)


def test_high_dimension_is_exact() -> None:
    """scikit-learn's KernelDensity errs by 169 here (64 dimensions, bandwidth 0.5)."""
    points = torch.randn(200, 64, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    x = points.numpy()
    expected = logsumexp([multivariate_normal(p, 0.25).logpdf(x[:5]) for p in x], axis=0) - np.log(200)
    ours = log_density(points[:5], points, torch.tensor(0.5, dtype=torch.float64))
    assert ours.numpy() == pytest.approx(expected, rel=1e-10)


def test_grid() -> None:
    assert len(BANDWIDTHS) == 20
    assert [BANDWIDTHS[k] for k in (0, 1, 9, 19)] == pytest.approx([0.0441942, 0.0625, 1.0, 32.0], abs=1e-7)


def test_held_out_likelihood_is_that_of_contiguous_folds() -> None:
    points = torch.randn(11, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    grid = (0.5, 2.0)
    cuts = [0, 2, 4, 6, 8, 11]
    parts = [points[start:stop] for start, stop in pairwise(cuts)]
    for width, ours in zip(grid, held_out_log_density(points, grid, 5, chunk_mib=0), strict=True):
        h = torch.tensor(width, dtype=torch.float64)
        held = [log_density(p, torch.cat([*parts[:k], *parts[k + 1 :]]), h) for k, p in enumerate(parts)]
        torch.testing.assert_close(ours, torch.cat(held).mean())


OPTIONS = ({}, {"features": "raw"}, {"features": "pca"}, {"lsa_like": True}, {"chunk_mib": 0})


@pytest.mark.parametrize("options", OPTIONS)
def test_scores_alike_in_any_batch_with_gradients(options: dict[str, object]) -> None:
    method = calibrated(**options)
    test = images(8, seed=1)
    with torch.inference_mode():
        together = method.score(test)["nll"].image
        apart = torch.cat([method.score(one)["nll"].image for one in test.split(1)])
    assert (together.shape, together.dtype) == ((8,), torch.float32)
    assert together.isfinite().all()
    torch.testing.assert_close(together, apart, atol=1e-5, rtol=0)
    with torch.inference_mode(), grad_ready(test) as leaf:
        (slope,) = torch.autograd.grad(method.score(leaf)["nll"].image.sum(), leaf)
    assert slope.isfinite().all()
    assert slope.abs().amax((1, 2, 3)).min() > 0


def test_checkpoint_round_trip() -> None:
    method, fresh = calibrated(), KDE(info=INFO)
    fresh.load_state_dict(method.state_dict())
    assert torch.equal(fresh.score(images(3))["nll"].image, method.score(images(3))["nll"].image)


def test_lsa_like_is_labelled() -> None:
    method = calibrated(lsa_like=True)
    assert method.points.shape == (40, 16)
    assert method.width == 0.6
    assert "printed row" in method.provenance()["bandwidth"]
    assert KDE(info=INFO).provenance() == {}


def test_chosen_bandwidth_is_on_the_grid_and_a_number_wins() -> None:
    assert calibrated().width.item() in BANDWIDTHS
    assert calibrated(bandwidth=0.7).width == 0.7


def test_bad_options() -> None:
    for options in ({"bandwidth": 0.0}, {"grid": []}, {"folds": 1}, {"lsa_like": True, "bandwidth": 1.0}):
        with pytest.raises(NoveltyError):
            KDE(info=INFO, **options)
    with pytest.raises(NoveltyError, match="3 normal images cannot be cut into 5 folds"):
        KDE(info=INFO, features="raw").calibrate([images(3)])
