"""Puzzle-AE against the oracles of its fact sheet (section 7)."""

from __future__ import annotations

import math
from collections import Counter
from itertools import permutations

import numpy as np
import pytest
import torch
from data.annotated import layout
from small_puzzle_ae import Solver
from torch import Tensor, nn

from novelty.data.protocols.one_vs_all import OneVsAll
from novelty.evaluation.counts import auroc
from novelty.evaluation.metrics import count, fpr_at_tpr
from novelty.info import DataInfo
from novelty.methods.puzzle_ae import PuzzleAE, discriminator_loss, puzzles
from novelty.methods.puzzle_ae.attack import ascended, noisy
from novelty.methods.puzzle_ae.networks import Discriminator
from novelty.nn.unet import UNet

TWO_BY_TWO = torch.arange(4.0).view(1, 1, 2, 2)


def method(channels: int = 1, side: int = 16, **options: object) -> PuzzleAE:
    torch.manual_seed(0)
    small = {"width": 4, "discriminator_width": 4} | options
    return PuzzleAE(DataInfo(channels, side, 100), **small)  # type: ignore[arg-type]


def parameters(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def test_oracle_1_permutations_by_displacement() -> None:
    every = Counter(puzzles.displaced(order) for order in permutations(range(4)))
    assert every == {0: 1, 2: 6, 3: 8, 4: 9}
    listed = puzzles.permutations_of(2)
    assert len(listed) == len(puzzles.chosen(2, "all")) == 23
    assert [listed[number] for number in puzzles.chosen(2, "transpositions")] == [
        (0, 1, 3, 2), (0, 2, 1, 3), (0, 3, 2, 1), (1, 0, 2, 3), (2, 1, 0, 3), (3, 1, 2, 0),
    ]  # fmt: skip


@pytest.mark.parametrize("order", puzzles.permutations_of(2) + puzzles.permutations_of(3))
def test_oracle_2_inverse_puzzles_are_the_image(order: tuple[int, ...]) -> None:
    images = torch.rand(2, 3, 12, 12)
    rows = torch.tensor([order, order])
    there = puzzles.puzzles(images, rows)
    assert not torch.equal(there, images)
    assert torch.equal(puzzles.puzzles(there, puzzles.inverse(rows)), images)


@pytest.mark.parametrize(("order", "expected"), [
    ((1, 0, 2, 3), [[1.0, 0.0], [2.0, 3.0]]),
    ((1, 2, 3, 0), [[1.0, 2.0], [3.0, 0.0]]),
])  # fmt: skip
def test_oracle_2_pieces_by_place(order: tuple[int, ...], expected: list[list[float]]) -> None:
    assert puzzles.puzzles(TWO_BY_TWO, torch.tensor([order]))[0, 0].tolist() == expected
    assert puzzles.all_puzzles(TWO_BY_TWO, torch.tensor([order]))[0, 0].tolist() == expected


@pytest.mark.parametrize(("channels", "side", "features", "judging", "unet", "half"), [
    (1, 28, (256, 3, 3), 659_456, 17_257_409, 4_315_617),
    (1, 30, (256, 3, 3), 659_456, 17_257_409, 4_315_617),
    (3, 32, (256, 4, 4), 663_296, 17_258_691, 4_316_259),
    (1, 128, (1024, 4, 4), 11_162_368, 17_257_409, 4_315_617),
    (3, 128, (1024, 4, 4), 11_164_416, 17_258_691, 4_316_259),
])  # fmt: skip
def test_oracle_3_parameters_and_shapes(
    channels: int, side: int, features: tuple[int, ...], judging: int, unet: int, half: int
) -> None:
    with torch.device("meta"):
        x = torch.rand(2, channels, side, side)
        network, discriminator = UNet(channels, side), Discriminator(channels, side)
        assert network(x).shape == x.shape
        assert discriminator.features(x).shape == (2, *features)
        assert discriminator(x).shape == (2,)
        assert discriminator.head.kernel_size == features[1:]
        assert parameters(UNet(channels, side, 32)) == half
    assert parameters(network) == unet
    assert parameters(discriminator) == judging


def test_discriminator_starts_as_dcgan_does() -> None:
    torch.manual_seed(0)
    discriminator = Discriminator(3, 32)
    kernels = [layer.weight for layer in discriminator.modules() if isinstance(layer, nn.Conv2d)]
    assert all(kernel.std().item() == pytest.approx(0.02, rel=0.05) for kernel in kernels)
    norms = [layer for layer in discriminator.modules() if isinstance(layer, nn.BatchNorm2d)]
    assert len(norms) == 2
    assert all(norm.weight.mean().item() == pytest.approx(1, abs=0.01) and not norm.bias.any() for norm in norms)
    assert all(layer.bias is None for layer in discriminator.modules() if isinstance(layer, nn.Conv2d))


def test_oracle_4_hidden_tiles() -> None:
    colour = torch.tensor([1.0, 0.0, 0.5]).view(1, 3, 1, 1).expand(4, 3, 4, 4)
    hidden = torch.arange(4)
    tiles = puzzles.hide(puzzles.split(colour, 2), hidden)
    for image, tile in enumerate(hidden.tolist()):
        assert (tiles[image, tile] == 0.5).all()
        others = [place for place in range(4) if place != tile]
        assert torch.equal(tiles[image, others], puzzles.split(colour, 2)[image, others])
    grey = torch.rand(4, 1, 6, 6) + 0.1
    changed = puzzles.join(puzzles.hide(puzzles.split(grey, 2), hidden)) != grey
    assert changed.sum((1, 2, 3)).tolist() == [9] * 4


def test_oracle_5_fgsm() -> None:
    puzzle = torch.full((2, 1, 4, 4), 0.5)
    start = torch.empty(2, 1, 4, 4).uniform_(-0.1, 0.1)
    rule = (puzzle, puzzle, start, 0.1, 2.0)
    assert torch.equal(ascended(lambda x: 2 * x, *rule), torch.full_like(start, 0.1))
    assert torch.equal(ascended(lambda x: x, *rule), 0.1 * start.sign())
    assert torch.equal(ascended(lambda x: 0 * x, *rule), start)
    for steps in (1, 5):
        delta = ascended(lambda x: x.roll(1, -1) ** 2, puzzle, puzzle, start, 0.1, 0.03, steps)
        assert delta.abs().max() <= 0.1
    assert torch.equal(noisy(lambda x: 2 * x, puzzle, None, start, epsilon=0.1, step=2.0), puzzle + 0.1)


def test_the_code_adds_its_start_twice() -> None:
    puzzle = torch.full((1, 1, 4, 4), 0.5)
    start = torch.full_like(puzzle, 0.06)
    found = noisy(lambda x: 2 * x, puzzle, None, start, epsilon=0.1, step=2.0, form="repo")
    torch.testing.assert_close(found, torch.full_like(puzzle, 0.66))
    assert noisy(lambda x: 2 * x, puzzle * 2, None, start, epsilon=0.1, step=2.0, form="repo").max() == 1


def test_oracle_6_normalised_scores() -> None:
    """Errors (0.2, 0.1, 0.4) of three puzzles over validation means (0.1, 0.1, 0.8) are (2, 1, 0.5)."""
    built = method()
    built.tested = torch.tensor([0, 1, 2])
    built.normal_errors[0, :3] = torch.tensor([0.1, 0.1, 0.8])
    offsets = torch.tensor([0.2, 0.1, 0.4]).sqrt().view(3, 1, 1, 1)
    image = torch.full((1, 1, 16, 16), 0.5)
    built.unet = Solver(lambda x: x + offsets)  # type: ignore[assignment]
    found = {name: scores.image.item() for name, scores in built.score(image).items()}
    assert found == pytest.approx({"min": 0.5, "max": 2, "avg": 3.5 / 3}, rel=1e-5)
    built.normal_errors *= 7
    assert built.score(image)["avg"].image.item() == pytest.approx(3.5 / 3 / 7, rel=1e-5)


def test_oracle_6_a_common_factor_leaves_auroc() -> None:
    built, images = method(), torch.rand(20, 1, 16, 16)
    novel = torch.arange(20) % 2 == 0

    def area() -> float:
        with torch.no_grad():
            return float(auroc(count(built.score(images)["max"].image.double().numpy(), novel.numpy())))

    built.calibrate([torch.rand(5, 1, 16, 16)])
    before = area()
    built.normal_errors *= 4
    assert area() == before


def test_oracle_7_a_perfect_solver_makes_no_error() -> None:
    built = method(aggregate="max")
    image = torch.rand(1, 1, 16, 16)
    built.unet = Solver(lambda x: puzzles.puzzles(x, puzzles.inverse(built.listed)))  # type: ignore[assignment]
    assert all(scores.image.item() == 0 for scores in built.score(image).values())
    built.unet = Solver(lambda x: x)  # type: ignore[assignment]
    assert built.score(image)["min"].image.item() > 0
    assert all(scores.image.item() == 0 for scores in built.score(torch.full_like(image, 0.3)).values())


def test_oracle_8_losses() -> None:
    """MSE 0.5 and matching loss 2 are 0.54 with lambda 0.02; a discriminator that says 0.5 loses ln 2."""
    zeros = torch.zeros(6)
    assert discriminator_loss(zeros, zeros).item() == pytest.approx(math.log(2))
    assert discriminator_loss(torch.tensor([2.0]), torch.tensor([-1.0])).item() == pytest.approx(
        -(math.log(1 / (1 + math.exp(-2))) + math.log(1 - 1 / (1 + math.exp(1)))) / 2
    )


class Doubling(nn.Module):
    """In the discriminator's place: f_D(x) = 2 x."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Parameter(torch.ones(()))

    def features(self, x: Tensor) -> Tensor:
        return 2 * x

    def judge(self, features: Tensor) -> Tensor:
        return self.head * features.flatten(1).mean(1)


@pytest.mark.parametrize(("weight", "total"), [({}, 0.54), ({"feature_weight": 0.5}, 1.5)])
def test_oracle_8_the_total_is_what_the_unet_learns_from(weight: dict[str, float], total: float) -> None:
    """Black images, solved as a grey of sqrt(0.5) by a U-Net of this one parameter, and features twice as bright: MSE
    0.5 and matching loss 2. Both grow with the square of the grey, so its gradient times half of it is the total loss.
    """
    built, images, judge = method(**weight), torch.zeros(3, 1, 16, 16), Doubling()
    grey = nn.Parameter(torch.tensor(math.sqrt(0.5)))
    optimizer, other = torch.optim.SGD([grey], 0.0), torch.optim.SGD(judge.parameters(), 0.0)
    losses = built._learn_together(judge, grey.expand_as(images), images, optimizer, other)  # type: ignore[arg-type]
    assert losses["reconstruction"].item() == pytest.approx(0.5)
    assert losses["feature_matching"].item() == pytest.approx(2)
    assert grey.grad is not None
    assert (grey.grad * grey / 2).item() == pytest.approx(total)


@pytest.mark.parametrize(("anomalies", "rate"), [([100.0] * 20, 0), ([4.5] * 20, 0.5), ([5.0] * 20, 0.5)])
def test_oracle_9_false_alarms_at_99_percent(anomalies: list[float], rate: float) -> None:
    scores, novel = np.r_[np.arange(10.0), anomalies], np.r_[np.zeros(10, bool), np.ones(20, bool)]
    assert fpr_at_tpr(scores, novel, 0.99) == rate


@pytest.mark.parametrize(("images", "carved"), [
    *zip((5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949),
         (888, 1011, 894, 920, 876, 813, 888, 940, 878, 892), strict=True),
    (6000, 900), (5000, 750), (57, 9), (90, 14), (88, 13),
    *zip((209, 224, 219, 280, 264, 391, 245, 220, 267, 320, 230, 60, 213, 247, 240),
         (31, 34, 33, 42, 40, 59, 37, 33, 40, 48, 34, 9, 32, 37, 36), strict=True),
])  # fmt: skip
def test_oracle_10_validation(images: int, carved: int) -> None:
    split = OneVsAll(validation=0.15).split(layout((images, 5), (3, 3)))
    assert (len(split.train), len(split.validation)) == (images - carved, carved)
