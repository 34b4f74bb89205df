"""The descent and the method around it: who stops and when, what is kept meanwhile, whose training it is."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from cells import plan, quiet
from torch import Tensor

from novelty.errors import NoveltyError
from novelty.info import DataInfo
from novelty.methods.autoencoder import Autoencoder
from novelty.methods.energy_projection.autoencoders import AEL2, AESSIM
from novelty.methods.energy_projection.descent import Rule, descend
from novelty.methods.energy_projection.projection import EnergyProjection
from novelty.methods.energy_projection.vae import VAE, GammaVAE
from novelty.methods.piad import PIAD
from novelty.methods.reconstruction import Reconstructor
from novelty.nn.ssim import dssim_map
from novelty.training.cell import run_cell

INFO = DataInfo(1, 32, 12)
RULES = [Rule(iterations=12), Rule(tuned=False, alpha=0.05, iterations=12), Rule(adam=0.02, iterations=12)]


def images(count: int = 6, seed: int = 1) -> Tensor:
    """Noise about grey, of more contrast from image to image."""
    noise = torch.rand(count, 1, 32, 32, generator=torch.Generator().manual_seed(seed)) - 0.5
    return 0.5 + noise * torch.linspace(0.5, 1, count)[:, None, None, None]


def around(method: type[Reconstructor] = VAE, **options: Any) -> EnergyProjection:
    """An untrained autoencoder, its projection calibrated on noise."""
    torch.manual_seed(0)
    inner: Any = method
    built = EnergyProjection(
        info=INFO, autoencoder=inner(info=INFO, width=4, latent=5), **{"iterations": 12} | options
    ).eval()
    with torch.no_grad():
        built.calibrate([images(7, seed=2), images(5, seed=3)])
    return built


def trail(
    method: EnergyProjection, x: Tensor, rule: Rule, threshold: Tensor | float | None
) -> tuple[Any, list[Tensor]]:
    """The projection, and the images after each iteration."""
    steps: list[Tensor] = []
    found = descend(x, method._rebuild(), rule, threshold, watch=lambda _, now: steps.append(now.clone()))
    return found, steps


@pytest.mark.parametrize("rule", RULES)
def test_stopped_images_are_frozen_to_the_bit_and_leave_the_batch(rule: Rule) -> None:
    method, x = around(), images()
    x[:2] = method.autoencoder.reconstruct(x[:2]).detach()  # all but on the manifold
    sizes: list[int] = []
    inner = method._rebuild()

    def rebuild(some: Tensor) -> tuple[Tensor, Tensor]:
        sizes.append(len(some))
        return inner(some)

    def energy(some: Tensor) -> Tensor:
        return inner(some)[1].detach()

    alone = energy(x)
    threshold = float(alone[2:].min()) * 0.9
    steps: list[Tensor] = []
    found = descend(x, rebuild, rule, threshold, watch=lambda _, now: steps.append(now.clone()))
    assert found.iterations[:2].tolist() == [0, 0]
    assert torch.equal(found.images[:2], x[:2])
    assert sizes[0] == 6
    assert sizes[1] == 4
    assert sizes == sorted(sizes, reverse=True)
    for row, taken in enumerate(found.iterations.tolist()):
        for number, now in enumerate(steps, start=1):
            assert torch.equal(now[row], found.images[row]) == (number >= taken)
        if taken < rule.iterations:
            assert energy(found.images[row : row + 1]) < threshold
    assert found.iterations.max() > 0


@pytest.mark.parametrize("rule", RULES)
def test_results_do_not_depend_on_who_shares_the_batch(rule: Rule) -> None:
    method, x = around(), images()
    with torch.no_grad():
        threshold = float(method.autoencoder.energy(x, method.autoencoder.reconstruct(x))[2]) * 0.8
    together = descend(x, method._rebuild(), rule, threshold)
    assert len(together.iterations.unique()) > 1
    for row in range(len(x)):
        alone = descend(x[row : row + 1], method._rebuild(), rule, threshold)
        assert alone.iterations.item() == together.iterations[row].item()
        torch.testing.assert_close(alone.images[0], together.images[row], rtol=0, atol=1e-5)


def test_scores_are_those_of_the_projection_and_work_in_inference_mode() -> None:
    method, x = around(), images()
    with torch.inference_mode():
        scores = method.score(x.clone())
    found = method.project(x)
    assert torch.equal(scores["iterations"].image, found.iterations.float())
    for name, expected in (("projection", found.images), ("dssim", method.autoencoder.reconstruct(x))):
        named = scores[name]
        assert named.map is not None
        torch.testing.assert_close(named.map, dssim_map(x, expected))
        torch.testing.assert_close(named.image, named.map.mean((1, 2, 3)))
    assert torch.equal(images(), x)  # the images themselves are left alone
    shown = method.pictures(x)
    assert torch.equal(shown["projection"], found.images.clamp(0, 1))
    assert shown["reconstruction"].shape == x.shape


def test_no_parameter_collects_a_gradient_and_no_graph_outlives_its_iteration() -> None:
    method = around(iterations=10)
    method.training_energies.zero_()  # all go to the end
    alive: list[int] = []

    def look(number: int, now: Tensor) -> None:
        if number in (3, 9):
            gc.collect()
            tensors = [t for t in gc.get_objects() if issubclass(type(t), Tensor) and id(t) not in others]
            assert not any(t.grad_fn is not None for t in tensors)
            alive.append(sum(t.numel() for t in tensors))

    gc.collect()
    others = {id(t) for t in gc.get_objects() if issubclass(type(t), Tensor)}  # tests before this one may hold some
    found = method.project(images(), watch=look)
    assert alive[0] == alive[1]
    assert not found.images.requires_grad
    assert all(p.grad is None for p in method.parameters())
    assert all(p.requires_grad for p in method.parameters())


@pytest.mark.parametrize(("quantile", "rank"), [(0.0, 0), (1.0, -1)])
def test_threshold_is_a_quantile_of_the_training_images(quantile: float, rank: int) -> None:
    method = around(quantile=quantile)
    x = torch.cat([images(7, seed=2), images(5, seed=3)])
    with torch.no_grad():
        energies = method.autoencoder.energy(x, method.autoencoder.reconstruct(x)).sort().values
    torch.testing.assert_close(method.training_energies.sort().values, energies)
    torch.testing.assert_close(method.threshold(), energies[rank])
    assert method.measure([])["stop_below"] == method.threshold().item()
    assert method.project(images()).iterations.sum() < around().project(images()).iterations.sum() or quantile == 0


def test_the_energy_weighs_what_its_name_says() -> None:
    torch.manual_seed(0)
    gamma = GammaVAE(info=INFO, width=4, latent=5)
    with torch.no_grad():
        gamma.distance.raw_log_gamma.fill_(-0.2)
    weight = 0.5 * np.exp(0.4)
    x, options = images(), {"l1": 0.0, "iterations": 3, "update": "standard"}
    by_likelihood = EnergyProjection(info=INFO, autoencoder=gamma, energy="nll", alpha=0.5, **options).eval()
    by_sum = EnergyProjection(info=INFO, autoencoder=gamma, alpha=0.5 * weight, **options).eval()
    torch.testing.assert_close(by_likelihood.project(x).images, by_sum.project(x).images)


def test_sampled_codes_are_drawn_alike_for_every_image_and_every_time() -> None:
    method, x = around(code="sample"), images()
    method.training_energies.zero_()  # all go to the end
    found = method.project(x).images
    assert torch.equal(found, method.project(x).images)
    torch.testing.assert_close(method.project(x[3:4]).images, found[3:4], rtol=0, atol=1e-5)
    method.seed = 1
    assert not torch.equal(found, method.project(x).images)


def test_adam_moves_by_its_rate() -> None:
    method, x = around(optimizer="adam", adam_rate=0.02, iterations=1), images()
    moved = (method.project(x).images - x).abs()
    assert moved.max() <= 0.02 + 1e-6
    assert moved.median() == pytest.approx(0.02, rel=0.05)


@pytest.mark.parametrize("inner", [AEL2, AESSIM, VAE, GammaVAE])
def test_the_tuned_descent_lowers_the_loss_of_every_autoencoder(inner: type[Reconstructor]) -> None:
    method, x = around(inner, l1=0.0, iterations=20), images()
    method.training_energies.zero_()
    projected = method.project(x).images

    def loss(x: Tensor) -> Tensor:
        return method.autoencoder.energy(x, method.autoencoder.reconstruct(x)).detach()

    assert (loss(projected) < loss(x)).all()


def test_other_reconstructions_are_projected_too() -> None:
    torch.manual_seed(0)
    piad = PIAD(INFO, reconstruction="mse", networks="mnist")
    for inner in (piad, Autoencoder(info=INFO, width=4)):
        method = EnergyProjection(info=INFO, autoencoder=inner, iterations=2).eval()
        scores = method.score(images())
        assert scores["projection"].image.min() > 0
        assert set(inner.pictures(images())) == {"reconstruction"}


@pytest.mark.parametrize(("options", "words"), [
    ({"alpha": 0.0}, "method.alpha is 0"), ({"l1": -1.0}, "method.l1 is -1"), ({"quantile": 2.0}, "method.quantile"),
    ({"iterations": 0}, "method.iterations is 0"), ({"optimizer": "adam", "adam_rate": 0.0}, "method.adam_rate is 0"),
])  # fmt: skip
def test_bad_options_are_one_sentence(options: dict[str, Any], words: str) -> None:
    with pytest.raises(NoveltyError, match=words):
        around(**options)


@pytest.mark.parametrize("option", [{"energy": "nll"}, {"code": "sample"}])
def test_options_of_variational_autoencoders_are_theirs(option: dict[str, str]) -> None:
    with pytest.raises(NoveltyError, match=r"method@method\.autoencoder=vae"):
        around(AEL2, **option)


def test_a_method_without_reconstruction_is_refused() -> None:
    with pytest.raises(NoveltyError, match="no Reconstructor"):
        plan("method=energy_projection", "method@method.autoencoder=kde")


@pytest.mark.parametrize("inner", ["vae", "ae_ssim"])
def test_a_training_is_shared_both_ways_and_is_bit_for_bit_the_autoencoders_own(inner: str, runs: Path) -> None:
    own, wrapped = [f"method={inner}"], ["method=energy_projection", f"method@method.autoencoder={inner}"]
    weights: list[dict[str, Tensor]] = []
    scores: list[dict[str, dict[str, np.ndarray]]] = []
    for number, order in enumerate([(own, wrapped), (wrapped, own)]):
        found = {}
        for overrides in order:
            planned = plan(*overrides, f"paths.runs={runs}/{number}")
            before = planned.record.weights.stat().st_mtime_ns if planned.record.weights.is_file() else None
            run_cell(planned, "test", quiet())
            assert before in (None, planned.record.weights.stat().st_mtime_ns)  # not trained again
            with np.load(planned.record.scores) as stored:
                found[overrides[0]] = dict(stored)
        assert len(list((runs / str(number)).glob("*/*/*/model.ckpt"))) == 1
        weights.append(torch.load(planned.record.weights, weights_only=True)["state_dict"])
        scores.append(found)
    assert weights[0].keys() == weights[1].keys()
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    for found in scores:
        np.testing.assert_array_equal(
            found["method=energy_projection"]["score/dssim"], found[f"method={inner}"]["score/dssim"]
        )
    assert scores[0].keys() == scores[1].keys()
    for name, values in scores[0]["method=energy_projection"].items():
        np.testing.assert_array_equal(values, scores[1]["method=energy_projection"][name])


def test_other_options_score_the_same_training_anew(runs: Path) -> None:
    base = ["method=energy_projection", "method@method.autoencoder=ae_l2"]
    first, second = plan(*base), plan(*base, "method.alpha=0.1")
    assert first.record.training == second.record.training
    assert first.record.scoring != second.record.scoring
    assert first.record.training == plan("method=ae_l2").record.training
    assert first.record.scoring != plan("method=ae_l2").record.scoring
    assert first.record.training != plan(*base, "method.autoencoder.latent=7").record.training
