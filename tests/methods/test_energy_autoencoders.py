"""The four autoencoders: losses by their definitions, the maps of Table 2, gradients, learning."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from novelty.errors import NoveltyError
from novelty.info import DataInfo
from novelty.methods.energy_projection.autoencoders import AEL2, AESSIM, ConvAutoencoder
from novelty.methods.energy_projection.losses import kl_to_standard_normal
from novelty.methods.energy_projection.vae import VAE, GammaVAE
from novelty.nn.ssim import dssim_map

METHODS = [AEL2, AESSIM, VAE, GammaVAE]
TABLE_2 = {"loss_grad", "loss_grad_x_error", "kl_grad", "kl_grad_x_error"}


def small(method: type[ConvAutoencoder], channels: int = 2, **options: Any) -> Any:
    torch.manual_seed(0)
    built = method(info=DataInfo(channels, 32, 12), **{"width": 4, "latent": 6} | options)
    return built.eval()


def images(count: int = 3, channels: int = 2, seed: int = 1) -> Tensor:
    return torch.rand(count, channels, 32, 32, generator=torch.Generator().manual_seed(seed))


def test_losses_by_their_definitions() -> None:
    x = images()
    for method in METHODS:
        built = small(method)
        torch.manual_seed(7)
        losses = built.losses(x)
        torch.manual_seed(7)
        y = built.reconstruct(x)
        if isinstance(built, VAE):
            mean, log_variance = built.encode(x)
            y = built.decoder(mean + torch.randn(3, 6, 1, 1) * log_variance.exp().sqrt())
            torch.testing.assert_close(losses["kl"], kl_to_standard_normal(mean, log_variance).sum() / 3)
        squared = (x - y).square().sum() / 3
        expected = {
            AEL2: squared,
            AESSIM: dssim_map(x, y).mean(),
            VAE: squared / 2,
            GammaVAE: squared / 2 + 2 * 32 * 32 * 0.9189385,
        }
        torch.testing.assert_close(losses["reconstruction"], expected[method])
        assert set(losses) == {"reconstruction", *(["kl"] if isinstance(built, VAE) else [])}


@pytest.mark.parametrize("method", METHODS)
def test_energy_is_what_the_projection_wants_of_it(method: type[ConvAutoencoder]) -> None:
    built, x, y = small(method), images(), images(seed=2)
    expected = dssim_map(x, y).sum((1, 2, 3)) if method is AESSIM else (x - y).square().sum((1, 2, 3))
    torch.testing.assert_close(built.energy(x, y), expected)


@pytest.mark.parametrize("method", [VAE, GammaVAE])
@pytest.mark.parametrize("networks", ["bergmann", "resnet"])
def test_gradient_maps_are_gradients_of_the_loss(method: type[VAE], networks: str) -> None:
    built, x = small(method, networks=networks).double(), images().double()

    def kl(x: Tensor) -> Tensor:
        return kl_to_standard_normal(*built.encode(x))

    def loss(x: Tensor) -> Tensor:
        return kl(x) + built.distance(x, built.reconstruct(x))

    maps = built.gradient_maps(x)
    assert set(maps) == TABLE_2
    error = (x - built.reconstruct(x)).square()
    for name, function in (("loss_grad", loss), ("kl_grad", kl)):
        slope = torch.autograd.functional.jacobian(lambda x, f=function: f(x).sum(), x).abs()
        torch.testing.assert_close(maps[name], slope.mean(1, keepdim=True))
        torch.testing.assert_close(maps[f"{name}_x_error"], (slope * error).mean(1, keepdim=True))  # not mean * mean


@pytest.mark.parametrize("method", METHODS)
def test_scores_in_inference_mode_and_gradients_through_the_primary(method: type[ConvAutoencoder]) -> None:
    built, x = small(method), images()
    with torch.inference_mode():
        scores = built.score(x.clone())
    assert set(scores) == {"dssim", "squared_error"} | (TABLE_2 if isinstance(built, VAE) else set())
    for named in scores.values():
        assert named.map is not None
        assert named.map.shape == (3, 1, 32, 32)
        torch.testing.assert_close(named.map.mean((1, 2, 3)), named.image)
    leaf = x.clone().requires_grad_()
    (slope,) = torch.autograd.grad(built.score(leaf)["dssim"].image.sum(), leaf)
    assert slope.abs().sum() > 0
    assert all(p.grad is None for p in built.parameters())
    assert built.pictures(x)["reconstruction"].shape == x.shape


def test_vae_scores_are_those_of_the_mean_code() -> None:
    built, x = small(VAE), images()
    mean, _ = built.encode(x)
    rebuilt = built.decoder(mean)
    torch.testing.assert_close(built.reconstruct(x), rebuilt)
    torch.testing.assert_close(built.reconstruct_with(x, torch.zeros(1, 6, 1, 1)), rebuilt)
    assert not torch.equal(built.reconstruct_with(x, torch.ones(1, 6, 1, 1)), rebuilt)


def test_the_residual_network_gives_the_logarithm_of_the_deviation() -> None:
    built, x = small(VAE, networks="resnet"), images()
    torch.testing.assert_close(built.encode(x)[1], 2 * built.encoder(x)[:, 6:])
    built = small(VAE)
    torch.testing.assert_close(built.encode(x)[1], built.encoder(x)[:, 6:])


@pytest.mark.parametrize("method", METHODS)
def test_losses_fall_and_half_precision_keeps_them(method: type[ConvAutoencoder]) -> None:
    torch.manual_seed(0)
    built = method(info=DataInfo(1, 32, 16), width=4, latent=4, learning_rate=3e-3)
    square = torch.zeros(1, 1, 32, 32)
    square[..., 8:24, 8:24] = 1
    x = square * torch.linspace(0.2, 1, 16)[:, None, None, None]
    optimizer = built.configure_optimizers()
    trace = []
    for _ in range(60):
        loss = torch.stack(list(built.losses(x).values())).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        trace.append(loss.item())
    assert trace[-1] < trace[0] - 0.1 * abs(trace[0])
    torch.manual_seed(3)
    full = built.losses(x)
    torch.manual_seed(3)
    with torch.autocast("cpu", torch.bfloat16):
        half = built.losses(x)
    for name, value in full.items():
        assert half[name].dtype == torch.float32
        torch.testing.assert_close(half[name], value, rtol=0.05, atol=0.05)


def test_the_learning_rate_is_halved() -> None:
    built = small(GammaVAE, halve_every=2)
    found = built.configure_optimizers()
    optimizer, scheduler = found["optimizer"], found["lr_scheduler"]
    rates = []
    for _ in range(5):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    assert rates == pytest.approx([1e-4, 1e-4, 5e-5, 5e-5, 2.5e-5])


@pytest.mark.parametrize("option", ["latent", "width", "halve_every", "learning_rate", "epochs", "batch_size"])
def test_bad_options_are_one_sentence(option: str) -> None:
    with pytest.raises(NoveltyError, match=f"{option}.* is 0"):
        AEL2(info=DataInfo(1, 32, 10), **{option: 0})
