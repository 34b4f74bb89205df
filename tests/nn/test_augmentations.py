"""SimCLR's transformations: a draw determines everything, gradients flow, turns and crops go together."""

from __future__ import annotations

import colorsys
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from novelty.nn.augmentations import Transformation, _blurred, _colour

NOTHING: dict[str, Any] = {"scale": (1.0, 1.0), "flip": 0.0, "jittered": 0.0, "grey": 0.0}


def pictures(count: int, channels: int = 3, side: int = 12) -> Tensor:
    return torch.rand(count, channels, side, side, generator=torch.Generator().manual_seed(2))


def apply(transformation: Transformation, x: Tensor, turn: int = 0, seed: int = 0) -> Tensor:
    torch.manual_seed(seed)
    numbers = transformation.draw(len(x), 1, x.device)
    return transformation(x, numbers, torch.full((len(x),), turn))


def test_nothing_asked_for_nothing_done() -> None:
    # A crop of all the area is square only by chance: none fits, and the whole image is taken.
    x = pictures(4)
    torch.testing.assert_close(apply(Transformation(**NOTHING), x), x)


@pytest.mark.parametrize("turn", range(4))
def test_a_turn_is_rot90_and_comes_before_the_crop(turn: int) -> None:
    x = pictures(6)
    turned = torch.rot90(x, turn, (2, 3))
    torch.testing.assert_close(apply(Transformation(**NOTHING), x, turn), turned)
    crops = Transformation(flip=0.0)
    torch.testing.assert_close(apply(crops, x, turn), apply(crops, turned), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("turn", range(4))
def test_a_flip_comes_before_the_turn(turn: int) -> None:
    x = pictures(6)
    flipped = apply(Transformation(scale=(0.3, 0.6), flip=1.0), x, turn)
    expected = apply(Transformation(scale=(0.3, 0.6), flip=0.0), x.flip(3), turn)
    torch.testing.assert_close(flipped, expected, atol=1e-5, rtol=1e-5)


def test_crops_have_the_shares_and_proportions_that_are_asked_for() -> None:
    transformation = Transformation(scale=(0.08, 0.5))
    torch.manual_seed(0)
    width, height, across, down = transformation._crop(torch.rand(4000, 22)).unbind(1)
    area, ratio = width * height, width / height
    assert 0.08 <= area.min() < 0.09
    assert 0.49 < area.max() <= 0.5 + 1e-6
    assert area.mean().item() == pytest.approx(0.29, abs=0.01)
    assert ratio.min() >= 3 / 4 - 1e-5
    assert ratio.max() <= 4 / 3 + 1e-5
    assert (across.abs() + width <= 1 + 1e-6).all()
    assert (down.abs() + height <= 1 + 1e-6).all()
    fixed = Transformation(scale=(0.54, 0.54))._crop(torch.rand(500, 22))
    torch.testing.assert_close(fixed[:, 0] * fixed[:, 1], torch.full((500,), 0.54))


def test_a_crop_magnifies_its_part_of_the_image() -> None:
    ramp = torch.linspace(0, 1, 64).expand(1, 1, 64, 64)
    numbers = torch.full((1, Transformation().numbers), 0.5)
    middle = Transformation(scale=(0.25, 0.25), flip=0.0)(ramp, numbers, torch.zeros(1))
    assert middle[0, 0, 0, [0, -1]].tolist() == pytest.approx([0.25, 0.75], abs=0.01)


def test_every_image_has_its_own_draw_and_a_draw_repeats() -> None:
    x = pictures(1).expand(8, -1, -1, -1)
    first = apply(Transformation(), x)
    assert len({tuple(one.flatten().tolist()) for one in first}) == 8
    assert torch.equal(first, apply(Transformation(), x))
    numbers = Transformation().draw(2, 3, x.device)
    both = Transformation()(x[:6], numbers, torch.arange(6) % 4)
    alone = Transformation()(x[4:5], numbers[4:5], torch.tensor([0]))
    torch.testing.assert_close(both[4:5], alone)


def test_probabilities() -> None:
    torch.manual_seed(0)
    grey = Transformation(**NOTHING | {"grey": 0.2})
    x = pictures(1).expand(3000, -1, -1, -1)
    found = apply(grey, x)
    share = (found[:, 0] == found[:, 1]).flatten(1).all(1).float().mean()
    assert share.item() == pytest.approx(0.2, abs=0.03)
    jittered = apply(Transformation(**NOTHING | {"jittered": 0.8}), x)
    assert ((jittered - x).abs().flatten(1).amax(1) > 1e-4).float().mean().item() == pytest.approx(0.8, abs=0.03)


def test_colours_change_as_in_hsv() -> None:
    x = pictures(1, side=4)
    x[0, :, 0, 0], x[0, :, 0, 1] = 0.4, 0.0  # a grey and a black pixel
    value, saturation, hue = 0.8, 1.3, 0.07
    found = _colour(x, *(torch.full((1, 1, 1, 1), number) for number in (value, saturation, hue)))
    for place in range(16):
        h, s, v = colorsys.rgb_to_hsv(*x[0].flatten(1)[:, place].tolist())
        expected = colorsys.hsv_to_rgb((h + hue) % 1, min(s * saturation, 1), v * value)
        assert found[0].flatten(1)[:, place].tolist() == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("turn", [0, 3])
def test_gradients_flow_to_every_image_and_stay_finite(channels: int, turn: int) -> None:
    x = pictures(16, channels)
    x[0], x[1] = 0.5, 0.0  # neither hue nor saturation
    x.requires_grad_()
    transformation = Transformation(blur=0.5)
    made = apply(transformation, x, turn)
    assert made.shape == x.shape
    assert made.min() >= 0
    assert made.max() <= 1 + 1e-6
    (slope,) = torch.autograd.grad(made.square().sum(), x)
    assert slope.isfinite().all()
    assert (slope[2:].abs().amax((1, 2, 3)) > 0).all()


def test_gradients_are_the_true_ones() -> None:
    x = pictures(2, side=6).double().mul(0.4).add(0.3).requires_grad_()
    torch.manual_seed(1)
    numbers = Transformation().draw(2, 1, x.device)
    turns = torch.tensor([0, 1])
    (slope,) = torch.autograd.grad(Transformation()(x, numbers, turns).sum(), x)
    step = torch.zeros_like(x)
    step[0, 1, 2, 3] = step[1, 0, 3, 3] = 1e-2
    with torch.no_grad():
        up, down = (Transformation()(x + sign * step, numbers, turns).sum() for sign in (1, -1))
    assert ((up - down) / 2e-2).item() == pytest.approx((slope * step).sum().item() / 1e-2, rel=0.02, abs=1e-3)


def test_blur() -> None:
    x = pictures(2, side=40)
    torch.testing.assert_close(_blurred(x, torch.full((2, 1, 1, 1), 0.01)), x)
    smooth = _blurred(x, torch.tensor([0.5, 2.0]).view(2, 1, 1, 1))
    assert smooth[1].std() < smooth[0].std() < x[0].std()
    torch.testing.assert_close(_blurred(torch.full_like(x, 0.3), torch.ones(2, 1, 1, 1)), torch.full_like(x, 0.3))
    steps = torch.tensor([-2.0, -1, 0, 1, 2])
    kernel = (-0.5 * (steps / 1.5) ** 2).softmax(0)
    grey = F.conv2d(F.pad(x[:1, :1], (2,) * 4, mode="reflect"), torch.outer(kernel, kernel)[None, None])
    torch.testing.assert_close(_blurred(x[:1, :1], torch.full((1, 1, 1, 1), 1.5)), grey, atol=1e-5, rtol=1e-5)
