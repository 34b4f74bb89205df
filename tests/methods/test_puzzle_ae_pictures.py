"""What Puzzle-AE shows: of images that are scored, and of its training."""

from __future__ import annotations

import pytest
import torch
from small_puzzle_ae import SIDE, puzzle_ae

from novelty.methods.puzzle_ae import puzzles


@pytest.mark.parametrize("form", ["paper", "repo"])
def test_pictures_of_the_training_show_tile_and_noise(form: str) -> None:
    method, images = puzzle_ae(attack_form=form, epsilon=0.05), torch.rand(6, 1, SIDE, SIDE) * 0.6 + 0.2
    state = torch.random.get_rng_state()
    with torch.inference_mode():
        found, again = method.training_pictures(images), method.training_pictures(images)
    assert torch.equal(state, torch.random.get_rng_state())
    assert list(found) == ["puzzle", "noise", "solved"]
    for name, shown in found.items():
        assert shown.shape == images.shape
        assert 0 <= shown.min() <= shown.max() <= 1
        assert torch.equal(shown, again[name])
    assert ((puzzles.split(found["puzzle"], 2).flatten(2).amax(2) == 0).sum(1) == 1).all()  # the hidden tile
    # The step saturates: almost everywhere all that epsilon allows, up or down; black tiles can only have more.
    noise = found["noise"][found["puzzle"] > 0]
    assert noise.min() < 0.01
    assert noise.max() > 0.99
    assert (found["noise"][found["puzzle"] == 0] >= 0.5).all()
    if form == "paper":
        assert (((noise - 0.5).abs() - 0.5).abs() < 1e-5).float().mean() > 0.99
        reach = (found["noise"] - 0.5) * 2 * 0.05
        with torch.no_grad():
            solved = method.unet((found["puzzle"] + reach).clamp(0, 1)).clamp(0, 1)
        torch.testing.assert_close(solved, found["solved"], rtol=1e-4, atol=1e-5)
    assert list(puzzle_ae(attack="none").training_pictures(images)) == ["puzzle", "solved"]
    assert puzzle_ae(grid=3, side=28).training_pictures(torch.rand(1, 1, 28, 28))["noise"].shape[-1] == 28
    assert all(p.grad is None and p.requires_grad for p in method.unet.parameters())


@pytest.mark.parametrize("grid", [2, 3])
def test_pictures(grid: int) -> None:
    method, images = puzzle_ae(channels=3, grid=grid), torch.rand(6, 3, SIDE, SIDE)
    with torch.inference_mode():
        found, again = method.pictures(images), method.pictures(images)
    assert list(found) == ["puzzle", "solved"]
    for name, shown in found.items():
        assert shown.shape == images.shape
        assert 0 <= shown.min() <= shown.max() <= 1
        assert torch.equal(shown, again[name])
    if grid == 2:
        assert torch.equal(found["puzzle"].flatten(2).sort().values, images.flatten(2).sort().values)
    assert not torch.equal(found["puzzle"], images)
