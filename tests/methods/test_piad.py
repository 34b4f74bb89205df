"""PIAD: what its training must and must not do (with the ninth oracle of its fact sheet), and its scores."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from lightning.pytorch.plugins.precision import MixedPrecision
from small_piad import SIDE, Batches, StepSeed, fit, piad
from torch import Tensor, nn

from novelty.errors import NoveltyError
from novelty.info import DataInfo
from novelty.methods.piad import PIAD
from novelty.methods.piad.weights import GradientWeight, relative_weight
from novelty.scores import grad_ready

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*LeafSpec:FutureWarning",  # Lightning's own, with torch 2.14
    "ignore:.*isinstance.treespec:FutureWarning",
    "ignore:.*does not have many workers:UserWarning",
)

KINDS = ("rel_perc_l1", "perc_l1", "perc", "mse")


def gradients(loss: Tensor, network: nn.Module) -> list[Tensor | None]:
    return list(torch.autograd.grad(loss, list(network.parameters()), retain_graph=True, allow_unused=True))


def test_oracle_9_one_backward_pass_gives_each_network_its_own_weight() -> None:
    method = piad()
    real, noise = torch.rand(4, 1, SIDE, SIDE) * 2 - 1, torch.randn(4, *method.code)
    reconstruction, generator_loss, encoder_loss = method._losses(real, noise, torch.tensor(1.0))
    assert all(g is None or not g.any() for g in gradients(generator_loss, method.encoder))
    assert all(g is None or not g.any() for g in gradients(encoder_loss, method.image_generator))
    expected = []
    for gamma, network, loss in (
        (3.0, method.image_generator, generator_loss),
        (0.25, method.encoder, encoder_loss),
    ):
        pairs = zip(gradients(reconstruction, network), gradients(loss, network), strict=True)
        expected.append([gamma * r + a for r, a in pairs])
    together = method._losses(real, noise, torch.tensor(0.25 / 3))
    total = 3 * together[0] + together[1] + together[2]
    for network, wanted in zip((method.image_generator, method.encoder), expected, strict=True):
        for found, value in zip(gradients(total, network), wanted, strict=True):
            torch.testing.assert_close(found, value, rtol=1e-4, atol=1e-5)


# --- training -------------------------------------------------------------------------------------------------------


def test_each_step_trains_its_own_networks_and_nothing_else() -> None:
    method = fit(piad(weight_every=100, iterations=1))
    assert method.iteration == 1
    assert all(p.grad is not None for network in method._modules.values() if network is not method.reconstruction_loss
               for p in network.parameters())  # fmt: skip
    assert all(p.grad is None and not p.requires_grad for p in method.reconstruction_loss.parameters())
    assert method.schedule.batches_per_step == 3
    frozen = piad(critic_learning_rate=0.0, iterations=1)
    before = [p.detach().clone() for p in frozen.image_critic.parameters()]
    moving = [p.detach().clone() for p in frozen.encoder.parameters()]
    fit(frozen)
    assert all(torch.equal(a, b) for a, b in zip(before, frozen.image_critic.parameters(), strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(moving, frozen.encoder.parameters(), strict=True))


def test_critic_gradients_are_those_of_the_critics_alone() -> None:
    """What the G/E step leaves in the critics' .grad is what the last critic step put there."""
    method = piad(iterations=1)
    kept: list[Tensor] = []

    class Watch(StepSeed):
        def on_before_optimizer_step(self, trainer: L.Trainer, module: Any, optimizer: Any) -> None:
            kept[:] = [p.grad.clone() for p in method.image_critic.parameters()]

    fit(method, callback=Watch())
    # The hook's last call stands before the step of G and E: after their backward pass.
    real = method.image_critic.parameters()
    assert all(torch.equal(a, p.grad) for a, p in zip(kept, real, strict=True) if p.grad is not None)


def test_gammas_follow_the_gradient_norms() -> None:
    callback = StepSeed()
    method = fit(piad(), callback=callback)
    assert method.generator_weight.history.shape[:2] == (2, 2)  # updates before iterations 0 and 2
    layers = sum(isinstance(m, nn.Conv2d) for m in method.image_generator.modules())
    assert method.generator_weight.history.shape[2] == layers
    gammas = [step["gamma/generator"] for step in callback.logged]
    assert gammas[0] == gammas[1] != gammas[2] == gammas[3]
    assert gammas[0] != 1
    history = method.generator_weight.history
    assert gammas[3] == pytest.approx(relative_weight(history[:, 0], history[:, 1]), rel=1e-6)
    fixed = fit(piad(weight_policy="fixed", gamma=10.0), callback=callback)
    assert fixed.generator_weight.gamma.item() == fixed.encoder_weight.gamma.item() == 10
    assert not len(fixed.generator_weight.history)


def test_gradient_norms_are_of_each_loss_alone() -> None:
    method = piad()
    real, noise = torch.rand(4, 1, SIDE, SIDE) * 2 - 1, torch.randn(4, *method.code)
    method._update_weights(real, noise)
    reconstruction, generator_loss, encoder_loss = method._losses(real, noise, torch.tensor(1.0))
    for weight, network, loss in (
        (method.generator_weight, method.image_generator, generator_loss),
        (method.encoder_weight, method.encoder, encoder_loss),
    ):
        for row, one in ((0, loss), (1, reconstruction)):
            kernels = [m.weight for m in network.modules() if isinstance(m, nn.Conv2d)]
            norms = [g.norm().item() for g in torch.autograd.grad(one, kernels, retain_graph=True)]
            assert weight.history[0, row].tolist() == pytest.approx(norms, rel=1e-4)
    assert all(p.grad is None for p in method.parameters())


@pytest.mark.parametrize("kind", ["mse", "rel_perc_l1"])
def test_resumed_equals_uninterrupted(kind: str, tmp_path: Path) -> None:
    whole = StepSeed(save_after=3, path=tmp_path / "half.ckpt")
    uninterrupted = fit(piad(reconstruction=kind, iterations=6), callback=whole)
    again = StepSeed()
    resumed = fit(piad(reconstruction=kind, iterations=6), resume=tmp_path / "half.ckpt", callback=again)
    assert resumed.iteration == uninterrupted.iteration == 6
    assert again.logged == whole.logged[3:]
    assert torch.equal(resumed.encoder_weight.history, uninterrupted.encoder_weight.history)
    states = resumed.state_dict(), uninterrupted.state_dict()
    assert states[0].keys() == states[1].keys()
    for name, value in states[0].items():
        if isinstance(value, Tensor):
            assert torch.equal(value, states[1][name]), name
    assert not any("trunk" in name or "mean" in name for name in states[0])


def test_state_round_trip(tmp_path: Path) -> None:
    method = fit(piad())
    torch.save(method.state_dict(), tmp_path / "m.pt")
    other = piad()
    nn.init.zeros_(other.encoder[0].weight)
    other.load_state_dict(torch.load(tmp_path / "m.pt", weights_only=True))
    x = torch.rand(5, 1, SIDE, SIDE)
    with torch.inference_mode():
        assert torch.equal(method.score(x)["rel_perc_l1"].image, other.score(x)["rel_perc_l1"].image)
    assert other.iteration == 4
    assert torch.equal(other.generator_weight.history, method.generator_weight.history)
    assert other.generator_weight.gamma == method.generator_weight.gamma


@pytest.mark.parametrize("options", [
    {"reconstruction": "perc", "drift_on": "real"},
    {"reconstruction": "perc_l1", "weight_reduce": "median", "weight_cut": "repo", "weight_last": 1},
    {"channels": 3, "networks": "lsun", "reconstruction": "mse", "critic_rounds": 3},
    {"channels": 3, "networks": "auto", "variant": "repo", "reconstruction": "mse"},
    {"backbone": "vgg16", "dx_extra_block": False},
])  # fmt: skip
def test_every_choice_trains(options: dict[str, Any]) -> None:
    callback = StepSeed()
    fit(piad(iterations=3, **options), callback=callback)
    assert all(math.isfinite(value) for step in callback.logged for value in step.values())
    assert set(callback.logged[0]) == {
        "loss/reconstruction", "loss/critic_image", "loss/critic_code", "loss/generator", "loss/encoder",
        "gamma/generator", "gamma/encoder",
    }  # fmt: skip


def test_mixed_precision_and_channels_last_train_alike() -> None:
    plain, mixed = StepSeed(), StepSeed()
    fit(piad(), callback=plain)
    fit(piad().to(memory_format=torch.channels_last), callback=mixed, precision="bf16-mixed")
    for a, b in zip(plain.logged, mixed.logged, strict=True):
        assert b == pytest.approx(a, rel=0.1, abs=0.05)


def test_few_images_still_make_a_step() -> None:
    assert fit(piad(reconstruction="mse"), Batches(2, images=3)).iteration == 2


def test_reconstruction_learns() -> None:
    callback = StepSeed()
    options = {"weight_policy": "fixed", "gamma": 100.0, "learning_rate": 2e-3, "reconstruction": "mse"}
    fit(piad(iterations=60, **options), Batches(60, plain=True), callback=callback)
    losses = [step["loss/reconstruction"] for step in callback.logged]
    assert sum(losses[-5:]) / 5 < 0.1  # one grey for all images leaves 1/3


def test_divergence_stops_with_a_sentence() -> None:
    method = piad(reconstruction="mse")
    with torch.no_grad():
        method.image_generator[-1].bias.fill_(math.nan)
    with pytest.raises(NoveltyError, match=r"PIAD diverged: loss/reconstruction is nan at iteration 0 of 4"):
        fit(method)


def test_float16_with_loss_scaling_trains_alike() -> None:
    """Lightning keeps 16-mixed from the CPU; its plugin with a scaler of the CPU's runs there all the same."""
    plain, half = StepSeed(), StepSeed()
    fit(piad(), callback=plain)
    precision = MixedPrecision("16-mixed", "cpu", torch.amp.GradScaler("cpu", init_scale=1024.0))
    method = fit(piad(), callback=half, plugins=[precision])
    assert method.scaler is precision.scaler
    for a, b in zip(plain.logged, half.logged, strict=True):
        assert b == pytest.approx(a, rel=0.1, abs=0.05)


# --- scoring --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_scores(kind: str) -> None:
    method = piad(reconstruction=kind, statistics="none")
    x = torch.rand(8, 1, SIDE, SIDE)
    with torch.inference_mode():
        scores = method.score(x)
        alone = torch.cat([method.eval().score(one)[kind].image for one in x.split(1)])
    assert list(scores) == [method.primary] == [kind]
    image, error_map = scores[kind]
    assert image.shape == (8,)
    assert image.dtype == torch.float32
    assert image.isfinite().all()
    torch.testing.assert_close(image, alone, atol=1e-5, rtol=1e-5)
    assert method.maps == (kind == "mse") == (error_map is not None)
    if error_map is not None:
        assert error_map.shape == (8, 1, SIDE, SIDE)
        torch.testing.assert_close(error_map.mean((1, 2, 3)), image)
    with torch.inference_mode(), grad_ready(x) as leaf:
        (slope,) = torch.autograd.grad(method.score(leaf)[kind].image.sum(), leaf)
    assert slope.abs().amax((1, 2, 3)).min() > 0
    assert all(p.grad is None for p in method.parameters())


def test_reconstructions_are_images() -> None:
    method = piad(reconstruction="mse")
    with torch.no_grad():
        method.image_generator[-1].weight.mul_(100)
        y = method.reconstruct(torch.rand(3, 1, SIDE, SIDE))
    assert y.shape == (3, 1, SIDE, SIDE)
    assert y.min() == 0
    assert y.max() == 1


def test_provenance_and_weights_only_where_needed() -> None:
    assert piad(reconstruction="mse", weights="/nowhere.pth").provenance() == {}
    assert piad(reconstruction="perc").provenance() == {"backbone": "vgg19 random", "weights_sha256": "random"}
    with torch.device("meta"):
        found = PIAD(DataInfo(3, 32, 100)).provenance()
    assert found["backbone"] == "vgg19 imagenet"
    assert found["statistics"].startswith("measured by the PIAD authors")
    with pytest.raises(NoveltyError, match="does not exist"):
        piad(weights="/nowhere.pth")
    with torch.device("meta"), pytest.raises(NoveltyError, match="No feature statistics"):
        PIAD(DataInfo(3, 32, 100), backbone="vgg16")


@pytest.mark.parametrize("name", ["gamma", "weight_every", "weight_last"])
def test_numbers_that_make_no_sense(name: str) -> None:
    with pytest.raises(NoveltyError, match=f"method.{name} is 0"):
        piad(**{name: 0})


def test_random_numbers_are_untouched_by_the_trunk() -> None:
    """The networks of one seed are the same whatever the loss."""
    a, b = piad(reconstruction="mse"), piad(reconstruction="perc")
    assert torch.equal(a.encoder[0].weight, b.encoder[0].weight)


def test_gradient_weight_keeps_its_history_in_double() -> None:
    weight = GradientWeight(1.0, 0.05, 200, "mean", "paper")
    weight.update([torch.full((2,), 3.0)], [torch.full((2,), 1.0)])
    assert weight.history.dtype == torch.float64
    assert weight.gamma.item() == pytest.approx(3)
