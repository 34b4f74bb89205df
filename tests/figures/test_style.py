"""What all plots have in common: the same bytes for the same drawing, and names that do not overlap."""

from __future__ import annotations

import itertools
from pathlib import Path

import matplotlib
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from novelty.figures import style


def _plot() -> style.Drawing:
    with style.styled():
        drawing = style.sheet(height=1.5, width=2)
        axes = drawing.subplots()
        axes.plot([0, 1], [0, 1])
        style.name_lines(axes, {"one": (1, 1.0, style.BLUE), "two": (1, 1.0, style.ORANGE)})
    return drawing


def test_the_same_drawing_gives_the_same_bytes(tmp_path: Path) -> None:
    first, second = style.save(_plot(), tmp_path / "a"), style.save(_plot(), tmp_path / "b")
    assert [path.name for path in first] == ["figure.png", "figure.svg"]
    for one, two in zip(first, second, strict=True):
        assert one.read_bytes() == two.read_bytes()
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == ["figure.png", "figure.svg"]


def test_plots_are_opaque_and_as_wide_as_asked(tmp_path: Path) -> None:
    with Image.open(style.save(_plot(), tmp_path)[0]) as picture:
        assert picture.size == (2 * style.RESOLUTION, 1.5 * style.RESOLUTION)
        assert picture.convert("RGBA").getpixel((0, 0)) == (255, 255, 255, 255)


def test_the_rules_hold_inside_only_and_over_a_persons_own() -> None:
    with matplotlib.rc_context({"font.size": 31, "axes.grid": True}):
        with style.styled():
            assert matplotlib.rcParams["font.size"] == 8
            assert not matplotlib.rcParams["axes.grid"]
        assert matplotlib.rcParams["font.size"] == 31


def test_names_are_set_apart_around_their_middle() -> None:
    assert style.set_apart([0, 1, 1.2], 1) == pytest.approx([-4 / 15, 11 / 15, 26 / 15])
    assert style.set_apart([0, 5], 1) == [0, 5]


@given(st.lists(st.floats(-10, 10), min_size=1, max_size=6).map(sorted), st.floats(0.01, 3))
def test_names_keep_their_order_and_distance(heights: list[float], gap: float) -> None:
    found = style.set_apart(heights, gap)
    assert sum(found) == pytest.approx(sum(heights), abs=1e-6)
    assert all(b - a >= gap - 1e-6 for a, b in itertools.pairwise(found))


@pytest.mark.parametrize("channels", [1, 3])
def test_images_are_shown_below_each_other(channels: int) -> None:
    axes = style.sheet(1).subplots()
    style.show_images(axes, [torch.zeros(channels, 16, 16), torch.full((channels, 16, 16), 2.0)])
    shown = axes.images[0].get_array()
    assert shown.shape[:2] == (33, 16)
    assert (shown[:16] == 0).all()
    assert (shown[16:] == 1).all()  # a white line, then what is clamped
