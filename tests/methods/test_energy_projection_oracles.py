"""Oracles of the fact sheet "energy_projection", section 7 (2 and 3, of SSIM, are in tests/nn/test_ssim.py)."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn

from novelty.errors import NoveltyError
from novelty.info import DataInfo
from novelty.methods.energy_projection.autoencoders import AEL2, AESSIM
from novelty.methods.energy_projection.descent import Rule, descend
from novelty.methods.energy_projection.losses import LearnedGaussian, UnitGaussian, kl_to_standard_normal
from novelty.methods.energy_projection.networks import build_networks, check_side
from novelty.methods.energy_projection.resnet import ResidualBlock
from novelty.methods.energy_projection.vae import VAE, GammaVAE


def count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize(("method", "channels", "encoder", "total"), [
    (AEL2, 3, 525_348, 1_050_599), (AESSIM, 3, 525_348, 1_050_599), (AEL2, 1, 524_324, 1_048_549),
    (VAE, 3, 730_248, 1_255_499), (GammaVAE, 3, 730_248, 1_255_500), (VAE, 1, 729_224, 1_253_449),
])  # fmt: skip
def test_oracle_1_parameters(method: type[AEL2], channels: int, encoder: int, total: int) -> None:
    with torch.device("meta"):
        built = method(info=DataInfo(channels, 128, 10))
    assert count(built.encoder) == encoder
    assert count(built) == total


def test_oracle_1_shapes() -> None:
    encoder, decoder = build_networks(DataInfo(3, 128, 10))
    assert isinstance(encoder, nn.Sequential)
    x, sides = torch.rand(2, 3, 128, 128), []
    for layer in encoder:
        x = layer(x)
        sides += [x.shape[-1]] if isinstance(layer, nn.Conv2d) else []
    assert sides == [64, 32, 32, 16, 16, 8, 8, 8, 1]
    assert x.shape == (2, 100, 1, 1)
    rebuilt = decoder(x)
    assert rebuilt.shape == (2, 3, 128, 128)
    assert 0 < rebuilt.min() < rebuilt.max() < 1
    activated = [layer for layer in encoder if isinstance(layer, nn.LeakyReLU)]
    assert [a.negative_slope for a in activated] == [0.2] * 8
    assert not any(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in (*encoder.modules(), *decoder.modules()))


@pytest.mark.parametrize("side", [32, 48, 64, 256])
def test_other_sides(side: int) -> None:
    encoder, decoder = build_networks(DataInfo(1, side, 10), width=4, latent=5)
    assert encoder(torch.rand(2, 1, side, side)).shape == (2, 5, 1, 1)
    assert decoder(torch.rand(2, 5, 1, 1)).shape == (2, 1, side, side)


@pytest.mark.parametrize("side", [8, 16, 28, 100])
def test_sides_that_do_not_fit(side: int) -> None:
    with pytest.raises(NoveltyError, match=r"data\.image_size to 128"):
        check_side(side)


def test_oracle_4_gamma() -> None:
    distance = LearnedGaussian().double()
    x, y = torch.zeros(2, 3, 4, 4, dtype=torch.float64), torch.full((2, 3, 4, 4), 0.2, dtype=torch.float64)
    per_dimension = distance(x, y) / 48
    torch.testing.assert_close(per_dimension, torch.full_like(per_dimension, 0.938939), rtol=0, atol=1e-6)
    (slope,) = torch.autograd.grad(per_dimension.mean(), distance.raw_log_gamma)
    assert slope.item() == pytest.approx(1 - 0.04)
    with torch.no_grad():
        distance.raw_log_gamma.fill_(math.log(0.2))
    per_dimension = distance(x, y) / 48
    torch.testing.assert_close(per_dimension, torch.full_like(per_dimension, -0.190499), rtol=0, atol=1e-6)
    (slope,) = torch.autograd.grad(per_dimension.mean(), distance.raw_log_gamma)
    assert slope.item() == pytest.approx(0, abs=1e-12)
    assert distance.weight().item() == pytest.approx(12.5)
    assert UnitGaussian()(x, y).tolist() == pytest.approx([0.5 * 48 * 0.04] * 2)


def test_gamma_is_bounded_and_finds_back() -> None:
    distance = LearnedGaussian()
    with torch.no_grad():
        distance.raw_log_gamma.fill_(-50)
    x, y = torch.zeros(1, 1, 2, 2), torch.full((1, 1, 2, 2), 0.1)
    loss = distance(x, y)
    assert loss.isfinite().all()
    assert distance.log_gamma.item() == -6
    (slope,) = torch.autograd.grad(loss.sum(), distance.raw_log_gamma)
    assert slope < 0  # descent raises gamma


def test_oracle_5_kl() -> None:
    mean, deviation = torch.tensor([[1.0, 0.0]]), torch.tensor([[1.0, 0.5]])
    assert kl_to_standard_normal(mean, 2 * deviation.log()).item() == pytest.approx(0.818147, abs=1e-6)
    assert kl_to_standard_normal(torch.zeros(3, 2), torch.zeros(3, 2)).tolist() == [0, 0, 0]


# --- oracles 6 and 7: the linear autoencoder f(x) = (x1, 0) -----------------------------------------------------------


def linear(x: Tensor) -> tuple[Tensor, Tensor]:
    rebuilt = x * torch.tensor([1.0, 0.0]).to(x)
    return rebuilt, (x - rebuilt).square().flatten(1).sum(1)


def start(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64).view(1, 1, 1, -1)


def energies(rule: Rule) -> tuple[list[float], Tensor]:
    """E of x_0, x_1, ... and x_T."""
    x0 = start(1, 1)

    def energy(x: Tensor) -> float:
        return float(linear(x)[1] + rule.l1 * (x - x0).abs().sum())

    trace = [energy(x0)]
    found = descend(x0, linear, rule, watch=lambda _, x: trace.append(energy(x)))
    assert found.iterations.tolist() == [rule.iterations]
    assert len(trace) == rule.iterations + 1
    return trace, found.images.flatten()


def test_oracle_6_standard_small_step() -> None:
    trace, end = energies(Rule(tuned=False, alpha=0.1, iterations=200))
    assert trace[:6] == pytest.approx([1, 0.65, 0.433775, 0.295391, 0.206825, 0.150143], abs=1e-6)
    assert all(after <= before + 1e-12 for before, after in pairwise(trace))
    assert trace[-1] == pytest.approx(0.049375, abs=1e-9)
    assert end.tolist() == pytest.approx([1, 0.025])


def test_oracle_6_standard_large_step() -> None:
    trace, _ = energies(Rule(tuned=False, alpha=0.5, iterations=5))
    assert trace == pytest.approx([1, 0.05, 0.049375, 0.049375, 0.049375, 0.049375], abs=1e-9)


def test_oracle_6_tuned() -> None:
    trace, end = energies(Rule(alpha=0.1, iterations=100))
    assert trace[:6] == pytest.approx([1, 0.65, 0.506081, 0.420768, 0.363382, 0.321819], abs=1e-6)
    assert end[1].item() == pytest.approx(0.1626, abs=1e-4)
    assert energies(Rule(alpha=0.1, iterations=10_000))[1][1].item() == pytest.approx(0.0284, abs=1e-4)
    trace, end = energies(Rule(alpha=0.5, iterations=4))
    assert trace == pytest.approx([1, 0.05, 0.05, 0.05, 0.05])
    assert end.tolist() == [1, 0]


@pytest.mark.parametrize("tuned", [False, True])
def test_oracle_7_what_does_not_move(tuned: bool) -> None:
    rule = Rule(tuned, l1=0, iterations=10)
    assert torch.equal(descend(start(0.3, 0), linear, rule).images, start(0.3, 0))  # on the manifold
    masked = descend(start(0.3, 1), linear, rule, mask=start(1, 0)).images
    assert torch.equal(masked, start(0.3, 1))  # Omega = 0

    def crossed(x: Tensor) -> tuple[Tensor, Tensor]:  # f = (x2, x2): its error lies at x1, its gradient at both
        rebuilt = x[..., 1:].expand_as(x)
        return rebuilt, (x - rebuilt).square().flatten(1).sum(1)

    moved = descend(start(1, 0.2), crossed, Rule(tuned, l1=0, alpha=0.1, iterations=3)).images.flatten()
    assert (moved[1] == 0.2) == tuned  # no error at x2: the tuned update leaves it
    assert moved[0] != 1


# --- oracle 9: TwoStageVAE --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("width", "latent", "encoder", "decoder"),
    [(32, 128, 3_399_008, 16_250_467), (16, 64, 1_147_056, 4_065_843)],
)
def test_oracle_9_parameters(width: int, latent: int, encoder: int, decoder: int) -> None:
    with torch.device("meta"):
        built = GammaVAE(info=DataInfo(3, 64, 10), networks="resnet", width=width, latent=latent)
    assert count(built.encoder) == encoder
    assert count(built.decoder) == decoder
    norms = [m for m in built.modules() if isinstance(m, nn.BatchNorm2d)]
    assert {(m.eps, m.momentum) for m in norms} == {(1e-5, 0.001)}
    assert sum(isinstance(m, ResidualBlock) for m in built.modules()) == 4 + 5


def test_oracle_9_shapes() -> None:
    encoder, decoder = build_networks(DataInfo(3, 64, 10), "resnet", latent=8, per_code=2, width=4)
    code = encoder(torch.rand(2, 3, 64, 64))
    assert code.shape == (2, 16, 1, 1)
    sides, x = [], code[:, :8]
    for layer in decoder[0]:
        x = layer(x)
        sides += [x.shape[-1]] if isinstance(layer, nn.ConvTranspose2d) else []
    assert sides == [4, 8, 16, 32, 64]
    assert x.shape == (2, 3, 64, 64)
    with pytest.raises(NoveltyError, match=r"data\.image_size to 64"):
        build_networks(DataInfo(3, 48, 10), "resnet")
