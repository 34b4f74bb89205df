"""The autoencoder: sizes, contract, and a floor on the real 8x8 digits of scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from novelty.errors import NoveltyError
from novelty.evaluation.metrics import auroc
from novelty.info import DataInfo
from novelty.methods.autoencoder import Autoencoder, halvings
from novelty.scores import grad_ready


def images(n: int, channels: int = 1, side: int = 8, seed: int = 0) -> torch.Tensor:
    return torch.rand(n, channels, side, side, generator=torch.Generator().manual_seed(seed))


def fit(method: Autoencoder, train: torch.Tensor) -> list[float]:
    """Plain training without Lightning; the loss of every step."""
    optimizer = method.configure_optimizers()
    losses = []
    for _ in range(method.schedule.epochs or 0):
        for batch in train[torch.randperm(len(train))].split(method.schedule.batch_size):
            loss = method.loss(batch)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    return losses


@pytest.mark.parametrize(("side", "sides"), [
    (2, [2, 1]), (8, [8, 4]), (28, [28, 14, 7, 4]), (32, [32, 16, 8, 4]), (64, [64, 32, 16, 8, 4]),
    (128, [128, 64, 32, 16, 8, 4]),
])  # fmt: skip
def test_any_size(side: int, sides: list[int]) -> None:
    assert halvings(side) == sides
    method = Autoencoder(info=DataInfo(3, side, 10))
    x = images(2, 3, side)
    assert method.encoder(x).shape == (2, 32)
    rebuilt = method.reconstruct(x)
    assert rebuilt.shape == x.shape
    for scores in method.score(x).values():
        assert scores.image.shape == (2,)
        assert scores.map is not None
        assert scores.map.shape == (2, 1, side, side)
        torch.testing.assert_close(scores.map.mean((1, 2, 3)), scores.image)


@pytest.mark.parametrize(("loss", "primary"), [("mse", "mse"), ("ssim", "dssim")])
def test_loss_names_the_primary_score_and_falls(loss: str, primary: str) -> None:
    torch.manual_seed(0)
    method = Autoencoder(info=DataInfo(1, 8, 40), loss=loss, epochs=60)
    assert method.primary == primary
    assert set(method.score(images(2))) == {"mse", "dssim"}
    # Blobs at one place with one free number, their brightness, are easily learned.
    blob = torch.zeros(1, 1, 8, 8)
    blob[..., 2:6, 2:6] = 1
    losses = fit(method, blob * torch.linspace(0.3, 1, 40)[:, None, None, None])
    assert losses[-1] < losses[0] / 5


def test_does_not_collapse_to_black() -> None:
    """Bright strokes on black: with a sigmoid output every reconstruction is black after the first steps."""
    torch.manual_seed(0)
    strokes = torch.zeros(128, 1, 28, 28)
    for k, image in enumerate(strokes):
        image[0, 4:24, 6 + k % 16] = 1
        image[0, 4 + k % 20, 6:22] = 1
    method = Autoencoder(info=DataInfo(1, 28, 128), epochs=40)
    assert fit(method, strokes)[-1] < strokes.square().mean() / 2


def test_score_equals_its_definition_and_collects_no_parameter_gradient() -> None:
    method = Autoencoder(info=DataInfo(1, 8, 10))
    x = images(8)
    with torch.inference_mode():
        together = method.score(x)
        apart = [method.score(one) for one in x.split(1)]
        torch.testing.assert_close(together["mse"].image, (x - method.reconstruct(x)).square().mean((1, 2, 3)))
    for name in together:
        torch.testing.assert_close(together[name].image, torch.cat([s[name].image for s in apart]), atol=1e-5, rtol=0)
    with torch.inference_mode(), grad_ready(x) as leaf:
        (slope,) = torch.autograd.grad(method.score(leaf)["mse"].image.sum(), leaf)
    assert slope.abs().amax((1, 2, 3)).min() > 0
    assert all(parameter.grad is None for parameter in method.parameters())


def test_bad_options() -> None:
    for options in ({"latent": 0}, {"width": 0}, {"lr": 0.0}, {"epochs": 0}):
        with pytest.raises(NoveltyError, match=next(iter(options))):
            Autoencoder(info=DataInfo(1, 8, 10), **options)
    with pytest.raises(NoveltyError, match="1 px"):
        Autoencoder(info=DataInfo(1, 1, 10))


def test_learns_digits() -> None:
    """Digit 0 of the 8x8 digits, three quarters for training: the general defaults pass 0.95 within seconds."""
    data = load_digits()
    x = torch.from_numpy((data.images / 16).astype(np.float32))[:, None]
    zeros = np.flatnonzero(data.target == 0)
    test = np.r_[zeros[134:], np.flatnonzero(data.target != 0)]
    torch.manual_seed(0)
    method = Autoencoder(info=DataInfo(1, 8, 134))
    fit(method, x[zeros[:134]])
    with torch.inference_mode():
        scores = method.score(x[test])
    for name in ("mse", "dssim"):
        assert auroc(scores[name].image.numpy(), data.target[test] != 0) >= 0.95
