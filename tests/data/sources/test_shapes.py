"""Drawn textures and objects: the same on every machine, never twice alike, with masks of what was changed."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cells import plan

from novelty.data.sources import shapes
from novelty.data.sources.drawing import SIDE, cover, distance, frame, grain, noise
from novelty.data.sources.materials import MATERIALS
from novelty.data.sources.shapes import CLASSES, Shapes, picture

CATEGORIES = ("pill", "washer", "weave", "wood")
DRAWN = {"pill": "9e35d25b", "washer": "ef0165b6", "weave": "560d6a96", "wood": "e3bf0419"}
"""What one picture of every class is: a change that is meant bumps `shapes.VERSION`."""


@pytest.mark.parametrize("category", CATEGORIES)
def test_pictures_stay_what_they_were(category: Any) -> None:
    summed = hashlib.sha256()
    for number, defect in enumerate(CLASSES):
        for array in picture(category, number, defect):
            summed.update(array.tobytes())
    assert summed.hexdigest()[:8] == DRAWN[category]


@pytest.mark.parametrize("category", CATEGORIES)
@pytest.mark.parametrize("defect", CLASSES[1:])
def test_a_mask_is_exactly_what_the_defect_changed_and_a_person_sees_it(category: Any, defect: str) -> None:
    for number in range(300, 305):
        (broken, mask), (whole, nothing) = picture(category, number, defect), picture(category, number)
        assert not nothing.any()
        assert np.array_equal(mask, (broken != whole).any(-1))
        assert 30 <= mask.sum() <= SIDE * SIDE // 8
        change = np.abs(broken.astype(int) - whole).max(-1)[mask]
        assert change.mean() > 25
        assert (change > 15).mean() > 0.6
        rows, columns = np.nonzero(mask)
        assert max(np.ptp(rows), np.ptp(columns)) < 0.6 * SIDE


@pytest.mark.parametrize("category", CATEGORIES)
def test_no_two_pictures_are_alike(category: Any) -> None:
    drawn = np.stack([picture(category, number)[0] for number in range(6)]).astype(float)
    assert drawn.shape == (6, SIDE, SIDE, 3)
    differences = np.abs(drawn[:, None] - drawn[None]).mean((2, 3, 4))
    assert differences[~np.eye(6, dtype=bool)].min() > 4
    assert drawn.std() > 20
    assert 40 < drawn.mean() < 200
    assert (drawn == 255).mean() < 0.02


def test_objects_lie_within_the_picture_and_textures_fill_it() -> None:
    for name, material in MATERIALS.items():
        for number in range(20):
            inside = material.draw(shapes.Draws(9, number)).inside
            border = np.concatenate([inside[0], inside[-1], inside[:, 0], inside[:, -1]])
            assert (border == (1 if material.texture else 0)).all()
            assert material.texture or 0.1 < inside.mean() < 0.5, name


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, count in {"TRAIN": 6, "TEST_GOOD": 3, "TEST_DEFECT": 2, "_BLOCK": 4}.items():
        monkeypatch.setattr(shapes, name, count)


def _whole(start: int = 0) -> list[np.ndarray]:
    blocks = list(Shapes(Path("/nowhere"), category="washer").blocks(start))
    flags = [np.full(len(block.labels), block.test) for block in blocks]
    return [np.concatenate(part) for part in ([b.pixels for b in blocks], [b.labels for b in blocks], flags)] + [
        np.concatenate([block.masks for block in blocks if block.masks is not None])
    ]


def test_good_images_come_first_then_defects_in_alphabetical_order(few: None) -> None:
    pixels, labels, test, masks = _whole()
    assert labels.tolist() == [0] * 9 + [1, 1, 2, 2, 3, 3, 4, 4]
    assert test.tolist() == [False] * 6 + [True] * 11
    assert CLASSES == ("good", "hole", "missing_part", "scratch", "stain")
    assert np.array_equal(masks.any((1, 2)), labels > 0)
    assert len(np.unique(pixels.reshape(17, -1), axis=0)) == 17
    assert Shapes(Path("/nowhere")).count == 17


@pytest.mark.parametrize("start", [1, 4, 6, 8, 9, 16])
def test_a_cut_decoding_goes_on(start: int, few: None) -> None:
    assert all(np.array_equal(rest, whole[start:]) for rest, whole in zip(_whole(start), _whole(), strict=True))


def test_nothing_is_left_behind_the_last_image(few: None) -> None:
    assert not list(Shapes(Path("/nowhere")).blocks(17))


def test_counts_and_traits() -> None:
    for category in CATEGORIES:
        source = Shapes(Path("/nowhere"), category=category)  # type: ignore[arg-type]
        assert source.count == 320
        assert source.expected == {"good": (200, 40)} | dict.fromkeys(CLASSES[1:], (0, 20))
        assert source.traits == {"texture" if category in ("weave", "wood") else "object"}
        assert category in source.fingerprint()


def test_its_protocol_is_that_of_mvtec() -> None:
    planned = plan("data=shapes", "method=kde", "budget=full", "budget.max_train=null", "budget.max_test=null")
    images, split = planned.images, planned.split
    assert images.pixels.shape == (320, 3, SIDE, SIDE)
    assert images.masks is not None
    assert planned.normal == ("good",)
    assert (len(split.train), len(split.test), split.novel.sum()) == (200, 120, 80)
    assert np.array_equal(images.masks[split.test].any(-1).any(-1).numpy(), split.novel)


def test_a_shape_covers_half_of_a_pixel_on_its_border() -> None:
    at = frame((0.25, -0.5), (0.6, 0.8), 2.0)
    shown = cover(distance(at, (0, 0)) - 0.1)  # a disc of radius 0.2 about (0.25, -0.5)
    rows, columns = np.nonzero(shown > 0.5)
    steps = (np.arange(SIDE) + 0.5) * 2 / SIDE - 1
    assert abs(steps[columns].mean() - 0.25) < 0.01
    assert abs(steps[rows].mean() + 0.5) < 0.01
    assert abs((shown > 0.5).sum() * (2 / SIDE) ** 2 - np.pi * 0.04) < 0.01


def test_noise_is_smooth_and_grain_is_not() -> None:
    at = frame()
    field = noise(3, 4 * at.u, 4 * at.v)
    assert -1 <= field.min() < -0.5 < 0.5 < field.max() <= 1
    assert np.abs(np.diff(field, axis=0)).max() < 0.25
    drawn = grain((1, 2))
    assert abs(drawn.mean()) < 0.02
    assert abs(drawn.var() - 1) < 0.03
    assert abs((drawn[1:] * drawn[:-1]).mean()) < 0.02
