"""Attacks against values by hand, and what holds for any image: the ball, the range, each image alone."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from novelty.errors import NoveltyError
from novelty.evaluation.attacks import fgsm, lowering, pgd, unmoved

IMAGE = torch.tensor([0.5, 0.5, 0.5, 0.95, 0.02, 0.0]).view(1, 1, 2, 3)
SLOPE = torch.tensor([2.0, -0.1, 0.0, 1.0, -1.0, 3.0]).view(1, 1, 2, 3)


def linear(images: Tensor) -> Tensor:
    return (SLOPE * images).flatten(1).sum(1)


def test_fgsm_moves_by_epsilon_along_the_sign_and_stays_in_range() -> None:
    moved = fgsm(linear, IMAGE, epsilon=0.1)
    torch.testing.assert_close(moved.flatten(), torch.tensor([0.6, 0.4, 0.5, 1.0, 0.0, 0.1]))


def test_pgd_reaches_the_corner_of_the_ball_of_a_linear_score() -> None:
    moved = pgd(linear, IMAGE, epsilon=0.1, steps=10, size=0.025)
    torch.testing.assert_close(moved, fgsm(linear, IMAGE, epsilon=0.1))
    halfway = pgd(linear, IMAGE, epsilon=0.1, steps=2, size=0.025)
    torch.testing.assert_close(halfway.flatten()[:3], torch.tensor([0.55, 0.45, 0.5]))


def test_pgd_finds_a_peak_within_the_ball_that_fgsm_passes_by() -> None:
    def peak(images: Tensor) -> Tensor:
        return -(images - 0.53).square().flatten(1).sum(1)

    image = torch.full((1, 1, 2, 2), 0.5)
    assert (pgd(peak, image, epsilon=0.1, steps=10, size=0.025) - 0.53).abs().max() <= 0.025
    torch.testing.assert_close(fgsm(peak, image, epsilon=0.1), image + 0.1)


@given(
    st.integers(0, 10_000), st.sampled_from([0.05, 0.1, 0.2, 1.0]), st.integers(1, 4), st.sampled_from([0.05, 0.3, 2.0])
)
def test_moves_stay_within_the_ball_and_the_range(seed: int, epsilon: float, steps: int, size: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    images, target = torch.rand(3, 1, 4, 4, generator=generator), torch.rand(3, 1, 4, 4, generator=generator)
    attack = partial(pgd, epsilon=epsilon, steps=steps, size=size)
    moved = attack(lambda x: (x - target).square().flatten(1).sum(1), images)
    assert (moved - images).abs().max() <= epsilon + 1e-6
    assert moved.min() >= 0
    assert moved.max() <= 1
    alone = [attack(lambda x, i=i: (x - target[i]).square().flatten(1).sum(1), images[[i]]) for i in range(3)]
    assert torch.equal(torch.cat(alone), moved)


def test_lowering_turns_the_attack_round() -> None:
    moved = lowering(partial(fgsm, epsilon=0.1))(linear, IMAGE)
    torch.testing.assert_close(moved.flatten(), torch.tensor([0.4, 0.6, 0.5, 0.85, 0.12, 0.0]))
    assert linear(moved) < linear(IMAGE)


def test_works_in_inference_mode_and_leaves_parameters_alone() -> None:
    layer = torch.nn.Linear(6, 1)
    with torch.inference_mode():
        moved = fgsm(lambda x: layer(x.flatten(1))[:, 0], IMAGE.clone(), epsilon=0.1)
    assert not torch.equal(moved, IMAGE)
    assert not moved.requires_grad
    assert layer.weight.grad is None


def test_a_pixel_without_a_gradient_in_numbers_stays() -> None:
    image = torch.tensor([0.0, 0.0, 0.5, 0.5]).view(1, 1, 2, 2)  # the root of 0 has none
    moved = fgsm(lambda x: x.square().sum(-1).sqrt().flatten(1).sum(1), image, epsilon=0.1)
    torch.testing.assert_close(moved.flatten(), torch.tensor([0.0, 0.0, 0.6, 0.6]))


def test_the_attack_that_moves_nothing_asks_for_nothing() -> None:
    def never(images: Tensor) -> Tensor:
        raise AssertionError

    assert torch.equal(unmoved(never, IMAGE), IMAGE)


@pytest.mark.parametrize("connected", [False, True])
def test_a_score_without_gradient_is_one_sentence(connected: bool) -> None:
    weight = torch.ones(1, requires_grad=connected)  # a graph, but not to the images
    with pytest.raises(NoveltyError, match=r"no gradient .* evaluation\.robustness\.attacks=\[\]"):
        fgsm(lambda x: x.detach().flatten(1).sum(1) * weight, IMAGE, epsilon=0.1)
