"""Puzzle-AE: what its training must and must not do, what its scores, attacks and pictures are."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from lightning.pytorch.plugins.precision import MixedPrecision
from small_puzzle_ae import SIDE, Watch, fit, puzzle_ae
from torch import Tensor
from torch.nn import functional as F

from novelty.data.datamodule import TrainingBatches
from novelty.errors import NoveltyError, Stopped
from novelty.evaluation.attacks import fgsm
from novelty.methods.puzzle_ae import PuzzleAE, discriminator_loss, puzzles, solving
from novelty.methods.puzzle_ae.attack import frozen, noisy

# --- training -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [
    {"attack": "pgd", "pgd_steps": 2}, {"attack": "random"}, {"attack": "none"}, {"attack_form": "repo"},
    {"attack_target": "original"}, {"attack_form": "repo", "attack_target": "original"}, {"grid": 3},
    {"per_batch": True}, {"per_batch": True, "grid": 3, "channels": 3}, {"hidden_tile": False, "discriminator": False},
    {"discriminator": False, "channels": 3}, {"error": "l2", "aggregate": "min"}, {"traits": ("texture",)},
    {"traits": ("texture",), "test_permutations": "all", "aggregate": "max"},
])  # fmt: skip
def test_every_choice_trains_and_scores(options: dict[str, Any]) -> None:
    watch = Watch()
    method = fit(puzzle_ae(**options), watch)
    judged = {"loss/feature_matching", "loss/discriminator"} if method.discriminator else set()
    assert set(watch.logged[0]) == {"loss/reconstruction"} | judged
    assert all(math.isfinite(value) for step in watch.logged for value in step.values())
    images = torch.rand(3, options.get("channels", 1), SIDE, SIDE)
    method.calibrate([images])
    with torch.no_grad():
        scores = method.score(images)
    assert list(scores) == ["min", "max", "avg"]
    assert all(named.image.isfinite().all() for named in scores.values())
    least, most, mean = (scores[name].image for name in ("min", "max", "avg"))
    assert (least < mean).all()
    assert (mean < most).all()
    assert method.primary == options.get("aggregate", "avg")
    assert (scores["avg"].map is not None) == method.maps == (method.primary == "avg")


def step_by_hand(method: PuzzleAE, images: Tensor) -> tuple[list[Tensor], list[Tensor]]:
    """Gradients of U-Net and discriminator as the paper has them: total loss with everything attached, then D's."""
    assert method.discriminator is not None
    solved, judge = method.unet(images), method.discriminator
    matching = F.mse_loss(judge.features(solved), judge.features(images))
    total = F.mse_loss(solved, images) + 0.02 * matching
    own = torch.autograd.grad(total, list(method.unet.parameters()))
    judged = discriminator_loss(judge(images), judge(solved.detach()))
    return list(own), list(torch.autograd.grad(judged, list(judge.parameters())))


def test_one_pass_of_the_discriminator_gives_the_gradients_of_four() -> None:
    method = puzzle_ae(feature_weight=0.02)
    assert method.discriminator is not None
    images = torch.rand(4, 1, SIDE, SIDE)
    expected = step_by_hand(method, images)
    calls = 0

    def called(*_: Any) -> None:
        nonlocal calls
        calls += 1

    method.discriminator.body.register_forward_hook(called)
    learned: list[list[Tensor | None]] = []

    class Keep:
        def __init__(self, network: torch.nn.Module) -> None:
            self.network = network
            self.param_groups = [{"params": list(network.parameters())}]

        def zero_grad(self) -> None:
            self.network.zero_grad()

        def step(self) -> None:
            learned.append([p.grad for p in self.network.parameters()])

    optimizers = Keep(method.unet), Keep(method.discriminator)
    losses = method._learn_together(method.discriminator, method.unet(images), images, *optimizers)
    assert calls == 2
    for found, wanted in zip(learned, expected, strict=True):
        for a, b in zip(found, wanted, strict=True):
            assert a is not None
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-7)
    assert losses["reconstruction"].item() == pytest.approx(F.mse_loss(method.unet(images), images).item())


def test_noise_costs_no_parameter_a_gradient() -> None:
    method = puzzle_ae()
    start = torch.empty(2, 1, SIDE, SIDE).uniform_(-0.1, 0.1)
    asked: list[tuple[bool, ...]] = []
    method.unet.last.register_full_backward_hook(lambda layer, into, out: asked.append((into[0] is not None,)))
    with frozen(method.unet):
        assert not any(p.requires_grad for p in method.unet.parameters())
        spoiled = noisy(method.unet, torch.rand(2, 1, SIDE, SIDE), None, start, epsilon=0.1, step=2.0)
    assert asked == [(True,)]
    assert not spoiled.requires_grad
    assert all(p.grad is None and p.requires_grad for p in method.unet.parameters())
    assert 0 <= spoiled.min() <= spoiled.max() <= 1


def test_puzzles_are_drawn_for_each_image_or_for_the_batch() -> None:
    images = torch.rand(64, 1, 1, 1).expand(-1, -1, SIDE, SIDE) * torch.arange(1.0, 5).view(2, 2).repeat_interleave(
        SIDE // 2, 0
    ).repeat_interleave(SIDE // 2, 1)
    method = puzzle_ae()
    puzzled = puzzles.split(method._puzzled(images), 2).amax((2, 3, 4)) / images[:, 0, :1, 0]
    assert len({tuple(row.round().tolist()) for row in puzzled}) > 20
    assert ((puzzled == 0).sum(1) == 1).all()
    whole = puzzles.split(puzzle_ae(per_batch=True)._puzzled(images), 2).amax((2, 3, 4)) / images[:, 0, :1, 0]
    assert len({tuple(row.round().tolist()) for row in whole}) == 1


def test_textures_exchange_two_tiles() -> None:
    method = puzzle_ae(traits=("texture",))
    assert len(method.trained) == len(method.tested) == 6
    assert (torch.tensor([puzzles.displaced(tuple(row)) for row in method.trained.tolist()]) == 2).all()
    assert len(puzzle_ae(traits=("texture",), test_permutations="all").tested) == 23
    assert len(puzzle_ae(traits=("texture",), permutations="all").trained) == 23
    assert len(puzzle_ae(traits=("object",)).trained) == 23


def test_nine_tiles() -> None:
    drawn = puzzles.draw_of_nine(500, torch.device("cpu"))
    assert torch.equal(drawn.sort(1).values, torch.arange(9).expand(500, -1))
    displaced = (drawn != torch.arange(9)).sum(1)
    assert displaced.min() >= 2
    assert displaced.max() == 6
    tested = puzzles.permutations_of(3)
    assert len(set(tested)) == 23
    assert tested == puzzles.permutations_of(3)
    assert all(2 <= puzzles.displaced(order) <= 6 for order in tested)
    images = torch.rand(2, 1, 28, 28)
    extended = puzzles.extend(images, 3)
    assert extended.shape[-1] == 30
    assert torch.equal(puzzles.trim(extended, 28), images)
    assert extended.sum() == pytest.approx(images.sum().item())
    assert extended[..., 0].abs().sum() == extended[..., -1].abs().sum() == 0


def test_cut_inside_an_epoch_the_learning_rate_falls_all_the_same(tmp_path: Path) -> None:
    options = {"epochs": 6, "plateau_patience": 0, "plateau_factor": 0.5, "learning_rate": 0.03}
    watch = Watch()
    whole = fit(puzzle_ae(**options), watch)
    assert len(set(watch.rates)) > 1
    assert whole.epoch_error == 0
    for cut in (2, 3, 8):  # within an epoch of three steps, at its end, within a later one
        resume = tmp_path / f"{cut}.ckpt"
        with pytest.raises(Stopped):
            fit(puzzle_ae(**options), Watch(kill=cut), resume)
        again = Watch()
        resumed = fit(puzzle_ae(**options), again, resume)
        assert again.rates == watch.rates[-len(again.rates) :]
        assert again.logged == watch.logged[-len(again.logged) :]
        assert len(again.logged) == 18 - cut
        for name, value in whole.state_dict().items():
            assert torch.equal(resumed.state_dict()[name], value), (cut, name)


def test_the_rate_follows_the_sum_of_the_epoch() -> None:
    seen: list[float] = []

    class Sum(Watch):
        def on_train_epoch_end(self, trainer: L.Trainer, method: Any) -> None:
            seen.append(float(method.epoch_error))  # callbacks come before the method

    watch = Sum()
    fit(puzzle_ae(plateau_factor=0.1), watch)
    losses = [step["loss/reconstruction"] for step in watch.logged]
    assert seen == pytest.approx([sum(losses[:3]), sum(losses[3:])], rel=1e-6)


def test_two_processes_compute_what_one_does_on_the_joined_batch(tmp_path: Path) -> None:
    class Half(Watch):
        def on_train_start(self, trainer: L.Trainer, method: Any) -> None:
            whole = trainer.train_dataloader
            share = TrainingBatches(whole.pixels, whole.schedule, whole.seed, trainer.global_rank, 2)
            whole.__dict__.update(share.__dict__)

        def on_train_end(self, trainer: L.Trainer, method: Any) -> None:
            torch.save((self.logged, self.rates, method.state_dict()), tmp_path / f"{trainer.global_rank}.pt")

    options = {"epochs": 3, "plateau_patience": 0, "channels": 3}
    joined = Watch()
    one = fit(puzzle_ae(**options), joined)
    fit(puzzle_ae(**options), Half(), devices=2, strategy="ddp_fork")
    for rank in (0, 1):
        logged, rates, state = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        assert rates == joined.rates
        for step, expected in zip(logged, joined.logged, strict=True):
            assert step == pytest.approx(expected, rel=1e-4, abs=1e-6)
        for name, value in one.state_dict().items():
            torch.testing.assert_close(state[name], value, rtol=1e-3, atol=1e-4, msg=name)


def test_mixed_precision_and_channels_last_train_alike() -> None:
    plain, mixed, half = Watch(), Watch(), Watch()
    fit(puzzle_ae(channels=3), plain)
    fit(puzzle_ae(channels=3).to(memory_format=torch.channels_last), mixed, precision="bf16-mixed")
    # Lightning keeps 16-mixed from the CPU; its plugin with a scaler of the CPU's runs there all the same.
    precision = MixedPrecision("16-mixed", "cpu", torch.amp.GradScaler("cpu", init_scale=1024.0))
    fit(puzzle_ae(channels=3), half, plugins=[precision])
    for watch in (mixed, half):
        for a, b in zip(plain.logged, watch.logged, strict=True):
            assert b == pytest.approx(a, rel=0.1, abs=0.05)


def test_puzzles_are_learned() -> None:
    """Four tiles of four greys: a network that left them where they are would lose more than a tenth."""
    tiles = torch.tensor([0, 85, 170, 255], dtype=torch.uint8).view(1, 4, 1, 1, 1)
    pixels = puzzles.join(tiles.expand(8, -1, -1, SIDE // 2, SIDE // 2))
    watch = Watch()
    options = {"epochs": 80, "batch_size": 8, "width": 8, "epsilon": 0.01, "learning_rate": 3e-3}
    method = fit(puzzle_ae(**options), watch, pixels=pixels)
    assert watch.logged[-1]["loss/reconstruction"] < 0.03
    with torch.no_grad():
        (errors,) = method._solve(pixels[:1] / 255, method.listed)
    assert errors.max() < 0.05
    left = puzzles.all_puzzles(pixels[:1] / 255, method.listed) - pixels[:1] / 255
    assert left.square().mean() > 0.1


def test_divergence_stops_with_a_sentence() -> None:
    method = puzzle_ae()
    with torch.no_grad():
        assert method.unet.last.bias is not None
        method.unet.last.bias.fill_(math.nan)
    with pytest.raises(NoveltyError, match=r"Puzzle-AE diverged: its loss is nan in epoch 1 of 2"):
        fit(method)


# --- scoring --------------------------------------------------------------------------------------------------------


def scored(method: PuzzleAE, images: Tensor) -> dict[str, Tensor]:
    with torch.no_grad():
        return {name: scores.image for name, scores in method.score(images).items()}


@pytest.mark.parametrize("grid", [2, 3])
def test_chunks_and_single_permutations_give_the_same_errors(grid: int, monkeypatch: pytest.MonkeyPatch) -> None:
    method, images = puzzle_ae(grid=grid), torch.rand(5, 1, SIDE, SIDE, requires_grad=True)
    whole = method.score(images)["avg"]
    (slope,) = torch.autograd.grad(whole.image.sum(), images)
    monkeypatch.setitem(solving.CHUNK_PIXELS, "cpu", 2 * 23 * SIDE**2)
    assert len(method._chunks(images, 23)) == 3
    chunked = method.score(images)["avg"]
    torch.testing.assert_close(chunked.image, whole.image, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(chunked.map, whole.map, rtol=1e-5, atol=1e-6)
    (again,) = torch.autograd.grad(chunked.image.sum(), images)
    torch.testing.assert_close(again, slope, rtol=1e-4, atol=1e-6)
    with torch.no_grad():
        x = puzzles.extend(images, grid)
        alone = [
            F.mse_loss(method.unet(puzzles.puzzles(x, row.expand(5, -1))), x, reduction="none").mean((1, 2, 3))
            for row in method.listed
        ]
        torch.testing.assert_close(method._solve(images, method.listed)[0], torch.stack(alone, 1), rtol=1e-5, atol=1e-6)
    assert all(p.grad is None for p in method.parameters())


def test_memory_is_bounded_by_the_puzzles_that_are_solved(monkeypatch: pytest.MonkeyPatch) -> None:
    """Textures are tested with six puzzles of an image, but statistics are of all 23."""
    method, images = puzzle_ae(traits=("texture",)), torch.rand(9, 1, SIDE, SIDE)
    monkeypatch.setitem(solving.CHUNK_PIXELS, "cpu", 2 * 23 * SIDE**2)
    solved: list[int] = []
    method.unet.register_forward_pre_hook(lambda network, inputs: solved.append(len(inputs[0])))
    with torch.no_grad():
        method.calibrate([images])
        assert solved == [46, 46, 46, 46, 23]
        solved.clear()
        method.score(images)
        assert solved == [42, 12]
    solved.clear()
    method.attacked(images, lambda objective, x: x if len(x) == 9 else x + 0 * objective(x).sum())
    assert solved == [42, 12]


def test_validation_errors_normalise_each_permutation() -> None:
    method, normal = puzzle_ae(channels=3), torch.rand(7, 3, SIDE, SIDE)
    assert method.calibrates_on == "validation"
    with torch.no_grad():
        method.calibrate(iter(normal.split(3)))
        (errors,) = method._solve(normal, method.listed)
    torch.testing.assert_close(method.normal_errors[0], errors.mean(0))
    torch.testing.assert_close(method.normal_errors[1], (errors * 3 * SIDE**2).sqrt().mean(0))
    assert scored(method, normal)["avg"].mean().item() == pytest.approx(1, rel=1e-5)
    norms = puzzle_ae(channels=3, error="l2")
    norms.load_state_dict(method.state_dict())
    assert scored(norms, normal)["avg"].mean().item() == pytest.approx(1, rel=1e-5)
    assert norms.score(normal)["avg"].map is not None


def test_the_map_is_the_score_by_pixel() -> None:
    method, images = puzzle_ae(channels=3), torch.rand(2, 3, SIDE, SIDE)
    method.calibrate([images])
    found = method.score(images)["avg"]
    assert found.map is not None
    torch.testing.assert_close(found.map.mean((1, 2, 3)), found.image)
    assert puzzle_ae(grid=3, side=28).score(torch.rand(1, 1, 28, 28))["avg"].map.shape == (1, 1, 28, 28)  # type: ignore[union-attr]


def test_scoring_arguments_share_a_training() -> None:
    trained = puzzle_ae(traits=("texture",)).state_dict()
    for options in ({"test_permutations": "all"}, {"error": "l2"}, {"aggregate": "max"}):
        assert set(options) <= PuzzleAE.scoring
        puzzle_ae(traits=("texture",), **options).load_state_dict(trained)


def test_attacks_before_and_after_the_permutation() -> None:
    method, images = puzzle_ae(), torch.rand(3, 1, SIDE, SIDE) * 0.4 + 0.3
    method.calibrate([images])
    with torch.inference_mode():
        moved = method.attacked(images.clone(), partial(fgsm, epsilon=0.1))
        alone = [method.attacked(image[None].clone(), partial(fgsm, epsilon=0.1))[":permuted"] for image in images]
    assert list(moved) == ["", ":permuted"]
    before = scored(method, images)["avg"]
    for way in moved.values():
        assert (way - images).abs().max() <= 0.1 + 1e-6
    assert (scored(method, moved[""])["avg"] > before).all()
    torch.testing.assert_close(moved[""] - images, 0.1 * (moved[""] - images).sign())
    torch.testing.assert_close(torch.cat(alone), moved[":permuted"])
    assert len(moved[":permuted"].sub(images).abs().mul(1e4).round().unique()) > 2  # means of 23 signs
    assert all(p.grad is None for p in method.parameters())


@pytest.mark.parametrize("grid", [2, 3])
def test_an_attack_that_moves_nothing_leaves_the_image(grid: int) -> None:
    images = torch.rand(2, 1, 2 * SIDE, 2 * SIDE)  # larger than in training: by tiles
    moved = puzzle_ae(grid=grid).attacked(images, lambda objective, x: x)
    torch.testing.assert_close(moved[":permuted"], images)
    assert torch.equal(moved[""], images)
