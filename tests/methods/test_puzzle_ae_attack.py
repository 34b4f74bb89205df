"""What Puzzle-AE's U-Net is given while it trains: puzzles, and the noise on them, by hand."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from small_puzzle_ae import SIDE, Solver, Watch, fit, puzzle_ae
from torch import Tensor

from novelty.methods.puzzle_ae import PuzzleAE, puzzles
from novelty.methods.puzzle_ae.attack import ascended

SEED = 5
PUZZLES = torch.full((3, 1, SIDE, SIDE), 0.5)
WHITE = torch.ones_like(PUZZLES)


def spoiled(method: PuzzleAE, puzzled: Tensor = PUZZLES, images: Tensor = WHITE) -> tuple[Tensor, Tensor]:
    """Puzzles with noise, and the random start of that noise."""
    torch.manual_seed(SEED)
    start = torch.empty_like(puzzled).uniform_(-method.epsilon, method.epsilon)
    torch.manual_seed(SEED)
    return method._spoiled(puzzled, images), start


def linear(slope: float, **options: Any) -> PuzzleAE:
    """U(x) = slope x. Its residual to p = 0.5, slope (p + delta) - p, is above 0 for a slope of 1.6 and |delta| <= 0.1;
    to an image of 1 it is below 0."""
    method = puzzle_ae(**options)
    method.unet = Solver(lambda x: slope * x)  # type: ignore[assignment]
    return method


# --- noise ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("target", "expected"), [("puzzled", 0.6), ("original", 0.4)])
def test_fgsm_drives_the_output_away_from_its_target(target: str, expected: float) -> None:
    found, _ = spoiled(linear(1.6, attack_target=target))
    torch.testing.assert_close(found, torch.full_like(PUZZLES, expected))


@pytest.mark.parametrize(("target", "sign"), [("puzzled", 1), ("original", -1)])
def test_the_form_of_the_code_has_the_target_too(target: str, sign: int) -> None:
    found, start = spoiled(linear(1.6, attack_target=target, attack_form="repo"))
    torch.testing.assert_close(found, PUZZLES + start + 0.1 * sign)


def test_fgsm_is_one_step_of_alpha_whatever_is_said_of_pgd() -> None:
    found, start = spoiled(linear(1.6, alpha=0.02, pgd_steps=5, pgd_alpha=0.01))
    torch.testing.assert_close(found, PUZZLES + (start + 0.02).clamp(-0.1, 0.1))


@pytest.mark.parametrize(("options", "reach"), [
    ({"pgd_steps": 2, "pgd_alpha": 0.03}, 0.06),
    ({"pgd_steps": 2}, 0.05),  # a quarter of epsilon
    ({"pgd_steps": 2, "alpha": 0.5}, 0.05),
    ({"pgd_alpha": 0.02}, 0.14),  # seven steps
    ({}, 0.175),
])  # fmt: skip
@pytest.mark.parametrize(("target", "sign"), [("puzzled", 1), ("original", -1)])
def test_pgd_has_steps_and_a_size_of_its_own(options: dict[str, Any], reach: float, target: str, sign: int) -> None:
    found, start = spoiled(linear(1.6, attack="pgd", attack_target=target, **options))
    torch.testing.assert_close(found, PUZZLES + (start + sign * reach).clamp(-0.1, 0.1))
    assert (found - PUZZLES).unique().numel() > 20  # FGSM's step of 2 would leave one value


def test_pgd_looks_at_the_slope_before_every_step() -> None:
    """U(p + d) - p = 1 - d² is highest at d = 0, which steps of 0.04 cross each time."""
    for steps, expected in ((1, 0.02), (2, -0.02), (3, 0.02)):
        start = torch.full_like(PUZZLES, 0.06)
        found = ascended(lambda x: 1.5 - (x - 0.5) ** 2, PUZZLES, PUZZLES, start, 0.1, 0.04, steps)
        torch.testing.assert_close(found, torch.full_like(PUZZLES, expected))


def test_random_noise_is_the_start_alone() -> None:
    for target in ("puzzled", "original"):
        found, start = spoiled(linear(1.6, attack="random", attack_target=target))
        torch.testing.assert_close(found, PUZZLES + start)
        assert start.abs().max() > 0.09
    dark, start = spoiled(linear(1.6, attack="random"), torch.zeros_like(PUZZLES))
    assert torch.equal(dark, start.clamp_min(0))


def test_without_an_attack_the_puzzle_stays() -> None:
    assert torch.equal(spoiled(linear(1.6, attack="none"))[0], PUZZLES)


@pytest.mark.parametrize(("attack", "least", "most"), [("none", 0, 0), ("random", 1e-6, 0.1), ("fgsm", 0.1, 0.1)])
def test_the_unet_learns_from_puzzles_with_noise(attack: str, least: float, most: float) -> None:
    """Grey images, whose puzzles are themselves: what the U-Net meets in a step's last pass differs by the noise."""
    method = puzzle_ae(attack=attack, hidden_tile=False, discriminator=False, epochs=1)
    met: list[Tensor] = []
    method.unet.register_forward_pre_hook(lambda network, inputs: met.append(inputs[0].detach().clone()))
    watch = Watch()
    fit(method, watch, pixels=torch.full((4, 1, SIDE, SIDE), 51, dtype=torch.uint8))
    assert len(watch.logged) == 1
    noise = (met[-1] - 0.2).abs()
    assert noise.max() <= most + 1e-6
    assert noise.mean() >= least - 1e-6
    assert (attack == "fgsm") == (len(met) == 2)


# --- puzzles ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("grid", [2, 3])
@pytest.mark.parametrize("per_batch", [False, True])
def test_no_hidden_tile_leaves_a_pure_permutation(channels: int, grid: int, per_batch: bool) -> None:
    torch.manual_seed(0)
    images = torch.rand(8, channels, 18, 18) * 0.9 + 0.1
    whole, hidden = (
        puzzle_ae(channels, side=18, grid=grid, per_batch=per_batch, hidden_tile=shown)._puzzled(images)
        for shown in (False, True)
    )
    assert torch.equal(sorted_tiles(whole, grid), sorted_tiles(images, grid))
    assert (whole != images).flatten(1).any(1).all()
    at_home = (puzzles.split(hidden, grid).unsqueeze(2) == puzzles.split(images, grid).unsqueeze(1)).flatten(3).all(3)
    assert at_home.sum((1, 2)).tolist() == [grid**2 - 1] * 8
    if grid == 2:
        every = puzzles.all_puzzles(images, puzzle_ae().listed).view(8, 23, channels, 18, 18)
        assert (every == whole.unsqueeze(1)).flatten(2).all(2).sum(1).tolist() == [1] * 8


def sorted_tiles(images: Tensor, grid: int) -> Tensor:
    """Tiles (B, P, values) of images, whatever their order, in one order."""
    tiles = puzzles.split(images, grid).flatten(2)
    return tiles.gather(1, tiles[..., :1].argsort(1).expand_as(tiles))
