"""Inpainting: holes that follow from a seed, what may change, and how well it is filled."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from novelty.errors import NoveltyError
from novelty.info import DataInfo
from novelty.methods.energy_projection.autoencoders import AEL2
from novelty.methods.energy_projection.inpaint import baseline, inpaint, noise_squares, quality
from novelty.methods.energy_projection.projection import EnergyProjection

INFO = DataInfo(3, 64, 12)


def images(count: int = 4) -> Tensor:
    return torch.rand(count, 3, 64, 64, generator=torch.Generator().manual_seed(1))


def projector() -> EnergyProjection:
    torch.manual_seed(0)
    return EnergyProjection(info=INFO, autoencoder=AEL2(info=INFO, width=4, latent=5), iterations=8).eval()


def test_holes_are_squares_at_places_of_their_own() -> None:
    x = images()
    holes = noise_squares(x)
    assert holes.mask.sum((1, 2, 3)).tolist() == [400] * 4
    assert len({tuple(m.nonzero()[0].tolist()) for m in holes.mask}) == 4
    for mask in holes.mask[:, 0]:
        rows, columns = mask.any(1).nonzero().flatten(), mask.any(0).nonzero().flatten()
        assert len(rows) == len(columns) == 20
        assert mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].all()
    outside = holes.mask.expand_as(x) == 0
    assert torch.equal(holes.images[outside], x[outside])
    inside = holes.images[~outside]
    assert inside.min() >= 0
    assert inside.max() < 1
    assert inside.mean().item() == pytest.approx(0.5, abs=0.02)
    assert not torch.equal(inside, x[~outside])


def test_holes_follow_from_seed_and_number_alone() -> None:
    x = images()
    together = noise_squares(x, seed=3)
    for number in range(4):
        alone = noise_squares(x[number : number + 1], seed=3, first=number)
        assert torch.equal(alone.images[0], together.images[number])
        assert torch.equal(alone.mask[0], together.mask[number])
    assert not torch.equal(noise_squares(x, seed=4).mask, together.mask)
    with pytest.raises(NoveltyError, match="A hole of 65 px does not fit into images of 64x64"):
        noise_squares(x, side=65)


def test_a_known_mask_keeps_all_else_and_blindness_does_not() -> None:
    method, holes = projector(), noise_squares(images())
    outside = holes.mask.expand_as(holes.images) == 0
    filled = inpaint(method, holes).images
    assert torch.equal(filled[outside], holes.images[outside])
    assert not torch.equal(filled[~outside], holes.images[~outside])
    blind = inpaint(method, holes, blind=True).images
    assert not torch.equal(blind[outside], holes.images[outside])
    torch.testing.assert_close(blind, method.project(holes.images).images)  # the tuned update, as for anomalies
    rebuilt = baseline(method, holes)
    assert torch.equal(rebuilt[outside], holes.images[outside])
    torch.testing.assert_close(rebuilt[~outside], method.autoencoder.reconstruct(holes.images)[~outside])
    assert torch.equal(baseline(method, holes, blind=True), method.autoencoder.reconstruct(holes.images))


def test_lambda_can_be_left_out() -> None:
    method, holes = projector(), noise_squares(images())
    assert not torch.equal(inpaint(method, holes).images, inpaint(method, holes, l1=0.0).images)
    method.rule = method.rule.__class__(l1=0.0, iterations=8)
    torch.testing.assert_close(inpaint(method, holes).images, inpaint(method, holes, l1=0.0).images)


def test_filling_lowers_the_loss() -> None:
    method, holes = projector(), noise_squares(images())

    def loss(x: Tensor) -> Tensor:
        return method.autoencoder.energy(x, method.autoencoder.reconstruct(x)).detach()

    assert (loss(inpaint(method, holes, l1=0.0).images) < loss(holes.images)).all()


def test_quality_looks_inside_the_hole_alone() -> None:
    x = torch.full((2, 3, 64, 64), 0.5)
    mask = noise_squares(x).mask
    exact = quality(x, x, mask)
    assert exact.psnr.tolist() == [math.inf, math.inf]
    torch.testing.assert_close(exact.ssim, torch.ones(2))
    assert exact.l1.tolist() == [0, 0]
    far = quality(x, x + 0.1 * mask, mask)
    torch.testing.assert_close(far.psnr, torch.full((2,), 20.0))
    torch.testing.assert_close(far.l1, torch.full((2,), 0.1))
    assert (far.ssim < 1).all()
    outside = quality(x, x + 0.3 * (1 - mask), mask)
    assert outside.l1.tolist() == [0, 0]
    torch.testing.assert_close(quality(x, x + 7 * mask, mask).l1, torch.full((2,), 0.5))  # clamped to 1
