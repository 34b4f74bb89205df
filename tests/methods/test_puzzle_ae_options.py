"""Puzzle-AE's options: those that make no sense, in one sentence each; its optimisers; its discriminator by hand."""

from __future__ import annotations

import re
from typing import Any

import pytest
import torch
from small_puzzle_ae import SIDE, Watch, fit, puzzle_ae
from torch.nn import functional as F

from novelty.errors import NoveltyError
from novelty.methods.puzzle_ae.networks import Discriminator

ABOVE, NOT_BELOW, BETAS = (
    "it must be above 0.",
    "it must be 0 or above.",
    "give two numbers from 0 up to, not including, 1.",
)
PATIENCE = "it must be 0 or above, or null for a rate that stays."
FACTOR = "it must lie between 0 and 1, or method.plateau_patience be null for a rate that stays."


@pytest.mark.parametrize(("options", "sentence"), [
    ({"epsilon": 0.0}, f"method.epsilon is 0.0: {ABOVE}"),
    ({"epsilon": -0.1}, f"method.epsilon is -0.1: {ABOVE}"),
    ({"alpha": 0.0}, f"method.alpha is 0.0: {ABOVE}"),
    ({"alpha": -1.0, "attack_form": "repo"}, f"method.alpha is -1.0: {ABOVE}"),
    ({"pgd_steps": 0}, f"method.pgd_steps is 0: {ABOVE}"),
    ({"attack": "pgd", "pgd_alpha": 0.0}, f"method.pgd_alpha is 0.0: {ABOVE}"),
    ({"pgd_alpha": -0.01}, f"method.pgd_alpha is -0.01: {ABOVE}"),
    ({"width": 0}, f"method.width is 0: {ABOVE}"),
    ({"discriminator_width": 0}, f"method.discriminator_width is 0: {ABOVE}"),
    ({"learning_rate": 0.0}, f"method.learning_rate is 0.0: {ABOVE}"),
    ({"learning_rate": -1.0}, f"method.learning_rate is -1.0: {ABOVE}"),
    ({"discriminator_learning_rate": -1.0}, f"method.discriminator_learning_rate is -1.0: {ABOVE}"),
    ({"weight_decay": -1.0}, f"method.weight_decay is -1.0: {NOT_BELOW}"),
    ({"feature_weight": -1.0}, f"method.feature_weight is -1.0: {NOT_BELOW}"),
    ({"discriminator_betas": (1.0, 0.999)}, f"method.discriminator_betas is [1.0, 0.999]: {BETAS}"),
    ({"discriminator_betas": (0.5, -0.1)}, f"method.discriminator_betas is [0.5, -0.1]: {BETAS}"),
    ({"discriminator_betas": (0.5,)}, f"method.discriminator_betas is [0.5]: {BETAS}"),
    ({"plateau_patience": -1}, f"method.plateau_patience is -1: {PATIENCE}"),
    ({"plateau_factor": 1.0}, f"method.plateau_factor is 1.0: {FACTOR}"),
    ({"plateau_factor": 0.0}, f"method.plateau_factor is 0.0: {FACTOR}"),
    ({"epochs": 0}, "epochs is 0: it must be at least 1."),
])  # fmt: skip
def test_values_that_make_no_sense(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(NoveltyError, match=f"^{re.escape(sentence)}$"):
        puzzle_ae(**options)


@pytest.mark.parametrize(("options", "words"), [
    ({"side": 8}, r"data\.image_size to 16"),
    ({"grid": 3, "permutations": "transpositions"}, "2x2"),
    ({"attack": "pgd", "attack_form": "repo"}, "attack_form=repo"),
])  # fmt: skip
def test_choices_that_do_not_go_together(options: dict[str, Any], words: str) -> None:
    with pytest.raises(NoveltyError, match=words):
        puzzle_ae(**options)


@pytest.mark.parametrize("options", [
    *({"attack": attack, "alpha": 0.0} for attack in ("pgd", "random", "none")),  # FGSM's alone
    {"weight_decay": 0.0, "feature_weight": 0.0, "plateau_patience": 0, "discriminator_betas": (0.0, 0.0)},
    {"plateau_patience": None, "plateau_factor": 1.0},
])  # fmt: skip
def test_values_at_the_edge(options: dict[str, Any]) -> None:
    puzzle_ae(**options)


# --- optimisers -------------------------------------------------------------------------------------------------------


def test_optimisers() -> None:
    method = puzzle_ae()
    assert method.discriminator is not None
    (unet, judge), (plateau,) = method.configure_optimizers()
    assert [id(weight) for weight in unet.param_groups[0]["params"]] == [*map(id, method.unet.parameters())]
    assert [id(weight) for weight in judge.param_groups[0]["params"]] == [*map(id, method.discriminator.parameters())]
    assert settings(unet) == (1e-3, (0.9, 0.999), 1e-5)
    assert settings(judge) == (2e-4, (0.5, 0.999), 0)
    assert plateau.optimizer is unet
    assert (plateau.factor, plateau.patience, plateau.mode) == (0.8, 50, "min")


def test_optimisers_follow_their_options() -> None:
    options = {"learning_rate": 0.1, "weight_decay": 0.2, "plateau_factor": 0.3, "plateau_patience": 4}
    judging = {"discriminator_learning_rate": 0.5, "discriminator_betas": (0.6, 0.7)}
    (unet, judge), (plateau,) = puzzle_ae(**options, **judging).configure_optimizers()
    assert settings(unet) == (0.1, (0.9, 0.999), 0.2)
    assert settings(judge) == (0.5, (0.6, 0.7), 0)
    assert (plateau.factor, plateau.patience) == (0.3, 4)
    (alone,), _ = puzzle_ae(discriminator=False).configure_optimizers()
    assert settings(alone) == (1e-3, (0.9, 0.999), 1e-5)
    steady = puzzle_ae(plateau_patience=None).configure_optimizers()
    assert [settings(optimizer)[0] for optimizer in steady] == [1e-3, 2e-4]


def settings(optimizer: torch.optim.Optimizer) -> tuple[float, tuple[float, float], float]:
    """Learning rate, betas and weight decay of an Adam."""
    assert isinstance(optimizer, torch.optim.Adam)
    (group,) = optimizer.param_groups
    return group["lr"], group["betas"], group["weight_decay"]


@pytest.mark.parametrize("discriminator", [True, False])
def test_without_a_patience_the_rate_stays(discriminator: bool) -> None:
    options = {"epochs": 6, "learning_rate": 0.03, "discriminator": discriminator}
    watch = Watch()
    method = fit(puzzle_ae(plateau_patience=None, **options), watch)
    assert watch.rates == [0.03] * 6
    assert method.epoch_error == 0


# --- the discriminator ------------------------------------------------------------------------------------------------


def test_the_discriminator_written_out() -> None:
    """Sides 32, 16, 8, 4: no normalisation at first; a tenth of what is below 0 would be another slope."""
    torch.manual_seed(0)
    judge, x = Discriminator(3, 32, 4), torch.rand(5, 3, 32, 32)
    weights = {name: 10 * weight for name, weight in judge.state_dict().items()}  # 0.02 leaves little to see
    judge.load_state_dict(weights)

    def leaky(x: torch.Tensor) -> torch.Tensor:
        return torch.where(x > 0, x, 0.2 * x)

    def normal(x: torch.Tensor, layer: str) -> torch.Tensor:
        return F.batch_norm(x, None, None, weights[f"{layer}.weight"], weights[f"{layer}.bias"], training=True)

    def halved(x: torch.Tensor, layer: str) -> torch.Tensor:
        return F.conv2d(x, weights[f"{layer}.weight"], stride=2, padding=1)

    at_16 = leaky(halved(x, "body.0"))
    at_8 = leaky(normal(halved(at_16, "body.2"), "body.3"))
    at_4 = leaky(normal(halved(at_8, "body.5"), "body.6"))
    assert at_4.shape == (5, 16, 4, 4)
    torch.testing.assert_close(judge.features(x), at_4)
    torch.testing.assert_close(judge(x), F.conv2d(at_4, weights["head.weight"]).flatten())


def test_leaky_slopes() -> None:
    layers = [layer for layer in Discriminator(1, SIDE, 4).body if isinstance(layer, torch.nn.LeakyReLU)]
    assert [layer.negative_slope for layer in layers] == [0.2, 0.2]
