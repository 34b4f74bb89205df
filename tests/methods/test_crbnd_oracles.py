"""CRBND against the oracles of its fact sheet (section 7); the eighth is a test of the protocol's sizes."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from novelty.evaluation import metrics
from novelty.info import DataInfo
from novelty.methods.crbnd import CRBND
from novelty.methods.crbnd.images import (
    Degradation,
    add_noise,
    blur_kernels,
    charbonnier,
    coarse_dropout,
    connect,
    cropped,
    motion_blur,
    padded,
)


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize(
    ("difference", "loss", "slope"), [(0.0, 0.001, 0.0), (0.001, 0.00141421, 0.707107), (3.0, 3.000000167, 1.0)]
)
def test_oracle_1_charbonnier(difference: float, loss: float, slope: float) -> None:
    x = torch.tensor(difference, dtype=torch.float64, requires_grad=True)
    found = charbonnier(x, torch.zeros_like(x))
    (gradient,) = torch.autograd.grad(found, x)
    assert found.item() == pytest.approx(loss, abs=5e-9)
    assert gradient.item() == pytest.approx(slope, abs=5e-7)


def test_oracle_2_connective_images() -> None:
    x, rebuilt, degraded = (torch.full((1, 1, 1, 1), value, dtype=torch.float64) for value in (0.8, 0.6, 0.2))
    assert connect(x, rebuilt, 0.5).item() == pytest.approx(0.7)
    assert connect(x, degraded, 0.5).item() == pytest.approx(0.5)
    assert connect(x, rebuilt, 1.0).item() == connect(x, degraded, 1.0).item() == 0.8


@pytest.mark.parametrize("per_channel", [False, True])
def test_oracle_3_coarse_dropout(per_channel: bool) -> None:
    x = torch.rand(40, 3, 32, 32) + 0.01
    assert torch.equal(coarse_dropout(x, 0.0, 8, per_channel), x)
    assert not coarse_dropout(x, 1.0, 8, per_channel).any()
    kept = coarse_dropout(x, 0.1, 8, per_channel)
    dropped = kept == 0
    assert torch.equal(kept[~dropped], x[~dropped])
    cells = dropped.unfold(2, 4, 4).unfold(3, 4, 4).flatten(4)  # 8x8 cells of 16 pixels, each dropped whole or kept
    assert torch.equal(cells.all(-1), cells.any(-1))
    assert cells.any(-1).float().mean().item() == pytest.approx(0.1, abs=0.02)
    assert torch.equal(dropped, dropped[:, :1].expand_as(dropped)) is not per_channel
    assert len(dropped.flatten(1).unique(dim=0)) > 35  # nearly every image has a mask of its own


def test_oracle_4_nothing_passes_by_the_bottleneck() -> None:
    network = CRBND(DataInfo(3, 32, 10)).reconstructor.eval()
    one, other = torch.rand(2, 3, 32, 32), torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        bottleneck, rebuilt = network.encoder(one), network(one)
        assert bottleneck.shape == (2, 256, 4, 4)
        assert torch.equal(network.decoder(bottleneck), rebuilt)
        # Another image with this bottleneck put in its place becomes the first one, whatever else the encoder found.
        assert not torch.equal(network(other), rebuilt)
        put_in = network.encoder.register_forward_hook(lambda *_: bottleneck)
        assert torch.equal(network(other), rebuilt)
        put_in.remove()


@pytest.mark.parametrize(
    ("channels", "side", "parameters"), [(1, 28, (1_776_897, 240_737)), (3, 64, (1_777_603, 241_313))]
)
def test_oracle_5_parameters_and_shapes(channels: int, side: int, parameters: tuple[int, int]) -> None:
    method = CRBND(DataInfo(channels, side, 10)).eval()
    assert (count(method.reconstructor), count(method.classifier)) == parameters
    images = torch.rand(2, channels, side, side)
    with torch.no_grad():
        assert method.reconstruct(images).shape == images.shape
        inside = padded(images, method.multiple)
        assert inside.shape[-1] == {28: 32, 64: 64}[side]
        assert method.reconstructor(inside).shape == inside.shape
        assert torch.equal(cropped(inside, side), images)
    assert inside.sum().item() == pytest.approx(images.sum().item())  # zeros around them


def test_oracle_6_an_impulse_becomes_five_pixels() -> None:
    kernel = blur_kernels(torch.tensor([2]), torch.tensor([0.0]), 2)
    assert kernel.shape == (1, 5, 5)
    impulse = torch.zeros(1, 1, 11, 11)
    impulse[0, 0, 5, 5] = 1
    blurred = motion_blur(impulse, kernel)[0, 0]
    expected = torch.zeros(11, 11)
    expected[5, 3:8] = 0.2
    torch.testing.assert_close(blurred, expected)
    upright = motion_blur(impulse, blur_kernels(torch.tensor([2]), torch.tensor([math.pi / 2]), 2))[0, 0]
    torch.testing.assert_close(upright, expected.T, atol=1e-6, rtol=0)


@given(st.integers(1, 7), st.floats(0, math.pi))
@settings(max_examples=50, deadline=None)
def test_oracle_6_kernels_sum_to_one_and_leave_constants(half: int, angle: float) -> None:
    kernel = blur_kernels(torch.tensor([half]), torch.tensor([angle]), 7)
    assert kernel.min() >= 0
    assert kernel.sum().item() == pytest.approx(1, abs=1e-6)
    torch.testing.assert_close(kernel, kernel.flip(1, 2), atol=1e-6, rtol=0)  # a line through the centre
    flat = torch.full((1, 2, 16, 16), 0.7)
    torch.testing.assert_close(motion_blur(flat, kernel), flat)


def test_every_image_has_its_own_kernel() -> None:
    images = torch.rand(3, 2, 16, 16)
    kernels = blur_kernels(torch.tensor([1, 4, 7]), torch.tensor([0.1, 1.0, 2.0]), 7)
    together = motion_blur(images, kernels)
    for i in range(3):
        torch.testing.assert_close(motion_blur(images[i : i + 1], kernels[i : i + 1]), together[i : i + 1])


@pytest.mark.parametrize(
    ("outliers", "floor"), [(10, 0.947368), (20, 0.888889), (30, 0.823529), (40, 0.75), (50, 0.666667)]
)
def test_oracle_7_f1_of_calling_everything_normal(outliers: int, floor: float) -> None:
    novel = np.arange(100) < outliers
    assert metrics.f1(np.full(100, -1.0), novel, 0.0, "normal") == pytest.approx(floor, abs=5e-7)


def test_oracle_9_f1_of_the_inliers() -> None:
    novel = ~np.array([1, 1, 1, 0, 0], dtype=bool)
    called_novel = ~np.array([1, 1, 0, 1, 0], dtype=bool)
    logits = np.where(called_novel, 1.0, -1.0)
    assert metrics.f1(logits, novel, 0.0, "normal") == pytest.approx(0.666667, abs=5e-7)


# --- strengths: decisions of the sheet ------------------------------------------------------------------------------


@pytest.mark.parametrize(("side", "blur", "cells"), [(28, (3, 7), 8), (32, (3, 7), 8), (64, (6, 14), 16)])
def test_strengths_grow_with_the_side(side: int, blur: tuple[int, int], cells: int) -> None:
    method = CRBND(DataInfo(1, side, 10))
    assert method.degradation.blur == blur
    assert method.dropout_cells == cells


def test_half_of_the_negatives_are_blurred_and_half_are_noisy() -> None:
    torch.manual_seed(0)
    flat = torch.full((400, 1, 32, 32), 0.5)
    spread = Degradation("either", (3, 7), (0.05, 0.1))(flat).flatten(1).std(1)
    blurred = spread < 1e-5  # blur leaves a constant image alone
    assert 160 < blurred.sum().item() < 240
    assert 0.045 < spread[~blurred].min().item() < 0.06 < 0.09 < spread.max().item() < 0.105


def test_blur_lengths_and_angles_differ_between_images() -> None:
    torch.manual_seed(0)
    impulse = torch.zeros(200, 1, 33, 33)
    impulse[:, :, 16, 16] = 1
    blurred = Degradation("blur", (3, 7), (0.2, 0.3))(impulse)
    centred = torch.arange(-16.0, 17.0)
    energy: Tensor = blurred * (centred[:, None].square() + centred.square())
    variances = energy.sum((1, 2, 3)) * 3  # of a line of 2k + 1 points: k (k + 1), a little more by sharing pixels
    for k in range(3, 8):
        assert (((variances - k * (k + 1)) > -0.1) & ((variances - k * (k + 1)) < 2)).sum() > 20
    assert ((variances > 11.9) & (variances < 58)).all()
    across = (blurred * centred.abs()).sum((1, 2, 3)) > (blurred * centred.abs()[:, None]).sum((1, 2, 3))
    assert 60 < across.sum() < 140


def test_noise_is_clamped() -> None:
    noisy = add_noise(torch.rand(4, 1, 8, 8), 2.0)
    assert noisy.min() == 0
    assert noisy.max() == 1
