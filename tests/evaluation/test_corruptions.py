"""Corruptions: values by hand, strengths that rise, noise that belongs to a position."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from novelty.evaluation.corruptions import Kind, corrupt

KINDS: tuple[Kind, ...] = tuple(kind for kind in get_args(Kind) if kind != "grey")
RANDOM = ("gaussian_noise", "shot_noise", "impulse_noise", "motion_blur")
NOISE = RANDOM[:3]


def images(count: int, channels: int, side: int, seed: int = 0) -> Tensor:
    """Clouds: edges and plains of many sizes."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, channels, 9, 9, generator=generator)
    return functional.interpolate(coarse, size=side, mode="bicubic").clamp(0, 1)


@pytest.mark.parametrize("kind", KINDS)
def test_distance_rises_with_severity(kind: Kind) -> None:
    clean = images(6, 3, 32)
    found = [corrupt(kind, clean, torch.arange(6), severity) for severity in range(1, 6)]
    distances = [float((changed - clean).abs().mean()) for changed in found]
    assert distances[0] > 1e-3
    assert distances[0] < distances[2] < distances[4]
    assert distances == sorted(distances)


@pytest.mark.parametrize("side", [8, 28, 33])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("kind", get_args(Kind))
def test_each_image_is_changed_alone_and_stays_an_image(kind: Kind, channels: int, side: int) -> None:
    clean, places = images(3, channels, side), torch.tensor([7, 2, 9])
    together = corrupt(kind, clean, places, 3, seed=5)
    assert together.shape == clean.shape
    assert together.dtype == torch.float32
    assert together.min() >= 0
    assert together.max() <= 1
    alone = [corrupt(kind, clean[[i]], places[[i]], 3, seed=5) for i in range(3)]
    torch.testing.assert_close(torch.cat(alone), together, rtol=0, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_noise_belongs_to_seed_and_position(kind: Kind) -> None:
    same = images(1, 1, 28).expand(2, -1, -1, -1)
    at_two_places = corrupt(kind, same, torch.tensor([3, 4]), 5)
    other_seed = corrupt(kind, same, torch.tensor([3, 4]), 5, seed=1)
    assert torch.equal(at_two_places[0], at_two_places[1]) == (kind not in RANDOM)
    assert torch.equal(at_two_places, other_seed) == (kind not in RANDOM)
    torch.testing.assert_close(at_two_places[:1], corrupt(kind, same[:1], torch.tensor([3]), 5))


def test_noise_has_the_strength_that_is_said() -> None:
    plain, places = torch.full((4, 3, 64, 64), 0.5), torch.arange(4)
    assert float((corrupt("gaussian_noise", plain, places, 2) - plain).std()) == pytest.approx(0.06, rel=0.02)
    shot = corrupt("shot_noise", plain, places, 5)
    assert float(shot.mean()) == pytest.approx(0.5, abs=0.005)
    assert float(shot.var()) == pytest.approx(0.5 / 50, rel=0.05)  # Poisson: variance = mean, in photons
    impulses = corrupt("impulse_noise", plain, places, 5)
    assert float((impulses == 0).float().mean()) == pytest.approx(0.035, rel=0.1)
    assert float((impulses == 1).float().mean()) == pytest.approx(0.035, rel=0.1)
    assert set(impulses.unique().tolist()) == {0.0, 0.5, 1.0}


def test_contrast_and_brightness_by_hand() -> None:
    image = torch.tensor([0.2, 0.6, 0.4, 0.8]).view(1, 1, 2, 2)
    place = torch.tensor([0])
    torch.testing.assert_close(corrupt("contrast", image, place, 2).flatten(), torch.tensor([0.35, 0.55, 0.45, 0.65]))
    pixels = torch.tensor([[0.4, 0.2, 0.1], [0.9, 0.45, 0.0], [0.0, 0.0, 0.0]]).T.reshape(1, 3, 1, 3)
    brighter = corrupt("brightness", pixels, place, 4)[0, :, 0].T
    expected = torch.tensor([[0.6, 0.3, 0.15], [1.0, 0.5, 0.0], [0.2, 0.2, 0.2]])  # value + 0.2, ratios kept
    torch.testing.assert_close(brighter, expected)


@pytest.mark.parametrize("kind", ["gaussian_blur", "motion_blur", "pixelate", "jpeg"])
def test_a_flat_image_is_not_blurred(kind: Kind) -> None:
    flat = torch.full((1, 3, 32, 32), 128 / 255)
    torch.testing.assert_close(corrupt(kind, flat, torch.tensor([0]), 5), flat, rtol=0, atol=1e-5)


def test_blurs_spread_a_point() -> None:
    point = torch.zeros(1, 1, 33, 33)
    point[..., 16, 16] = 1
    blurred = corrupt("gaussian_blur", point, torch.tensor([0]), 5)[0, 0]
    assert float(blurred.sum()) == pytest.approx(1, abs=1e-5)
    rows = torch.arange(33.0) - 16
    assert float((blurred.sum(1) * rows.square()).sum().sqrt()) == pytest.approx(33 / 32, rel=0.02)  # one deviation
    torch.testing.assert_close(blurred, blurred.T)
    trail = corrupt("motion_blur", point, torch.tensor([0]), 5)[0, 0]
    assert float(trail.sum()) == pytest.approx(1, abs=1e-4)
    columns = trail.sum(0)
    assert columns[17:].sum() < 1e-6 or columns[:16].sum() < 1e-6  # to one side


@pytest.mark.parametrize("side", [28, 32, 128])
@pytest.mark.parametrize("severity", [1, 3, 5])
def test_pixelate_is_pillows_box_filter(severity: int, side: int) -> None:
    pixels = (torch.rand(1, 1, side, side, generator=torch.Generator().manual_seed(0)) * 255).round()
    small = int(side * (0.95, 0.9, 0.85, 0.75, 0.65)[severity - 1])
    image = Image.fromarray(pixels[0, 0].to(torch.uint8).numpy())
    for length in (small, side):
        image = image.resize((length, length), Image.Resampling.BOX)
    found = corrupt("pixelate", pixels / 255, torch.tensor([0]), severity)[0, 0] * 255
    torch.testing.assert_close(found, torch.from_numpy(np.array(image)).float(), rtol=0, atol=1.01)  # they round twice


def test_grey_is_luma_in_every_channel() -> None:
    colours = torch.eye(3).reshape(3, 3, 1, 1)  # red, green, blue
    found = corrupt("grey", colours, torch.arange(3))
    expected = torch.tensor([0.299, 0.587, 0.114]).view(3, 1, 1, 1).expand(3, 3, 1, 1)
    torch.testing.assert_close(found, expected)
    white = torch.ones(1, 3, 2, 2)
    torch.testing.assert_close(corrupt("grey", white, torch.tensor([0])), white)
    plain = images(1, 1, 8)
    assert torch.equal(corrupt("grey", plain, torch.tensor([0])), plain)
