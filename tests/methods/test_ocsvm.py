"""OC-SVM: oracle 3 of the fact sheet "baselines_deterministic", section 1, and the contract of a fitted method."""

from __future__ import annotations

import pytest
import torch
from sklearn.svm import OneClassSVM

from novelty.errors import NoveltyError
from novelty.info import DataInfo
from novelty.methods.ocsvm import OCSVM, fit_machine, signed_distance
from novelty.scores import grad_ready

INFO = DataInfo(channels=1, image_size=8, train_size=40)


def images(n: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(n, 1, 8, 8, generator=torch.Generator().manual_seed(seed))


def calibrated(**options: object) -> OCSVM:
    method = OCSVM(info=INFO, **options)
    with torch.inference_mode():
        method.calibrate(images(40).split(16))
    return method


def test_four_points() -> None:
    points = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [5.0, 5.0]], dtype=torch.float64)
    machine = fit_machine(points, gamma=0.5, nu=0.5)
    assert machine.alpha.tolist() == pytest.approx([0.196735, 0.5, 0.5, 0.803265], abs=1e-5)
    assert machine.alpha.sum().item() == pytest.approx(0.5 * 4)
    assert machine.rho.item() == pytest.approx(0.803265, abs=1e-5)
    x = torch.tensor([[0.0, 0.0], [1.0, 1.0], [5.0, 5.0], [10.0, 10.0]], dtype=torch.float64)
    assert signed_distance(x, machine, 0.5).tolist() == pytest.approx([0, 0.124360, 0, 0.803265], abs=1e-5)


@pytest.mark.parametrize("rule", ["dimension", "scale"])
def test_scores_are_libsvms_negated(rule: str) -> None:
    method = calibrated(features="raw", gamma_rule=rule)
    train, test = images(40).flatten(1).double().numpy(), images(5, seed=1)
    reference = OneClassSVM(nu=0.1, gamma="scale" if rule == "scale" else 1 / 64, tol=1e-6).fit(train)
    expected = -torch.from_numpy(reference.decision_function(test.flatten(1).double().numpy())).float()
    torch.testing.assert_close(method.score(test)["distance"].image, expected)


@pytest.mark.parametrize("options", [{}, {"features": "raw"}, {"features": "pca", "gamma": 0.25}, {"chunk_mib": 0}])
def test_scores_alike_in_any_batch_with_gradients(options: dict[str, object]) -> None:
    method = calibrated(**options)
    test = images(8, seed=1)
    with torch.inference_mode():
        together = method.score(test)["distance"].image
        apart = torch.cat([method.score(one)["distance"].image for one in test.split(1)])
    assert (together.shape, together.dtype) == ((8,), torch.float32)
    assert together.isfinite().all()
    torch.testing.assert_close(together, apart, atol=1e-5, rtol=0)
    with torch.inference_mode(), grad_ready(test) as leaf:
        (slope,) = torch.autograd.grad(method.score(leaf)["distance"].image.sum(), leaf)
    assert slope.isfinite().all()
    assert slope.abs().amax((1, 2, 3)).min() > 0


def test_checkpoint_round_trip() -> None:
    method, fresh = calibrated(), OCSVM(info=INFO)
    fresh.load_state_dict(method.state_dict())
    assert torch.equal(fresh.score(images(3))["distance"].image, method.score(images(3))["distance"].image)


def test_bad_options() -> None:
    for options in ({"nu": 0.0}, {"nu": 1.5}, {"gamma": 0.0}):
        with pytest.raises(NoveltyError, match=next(iter(options))):
            OCSVM(info=INFO, **options)
