"""Overlays: what is drawn where, on images with and without masks, and the legend that names the threshold."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.colors import same_color
from matplotlib.contour import QuadContourSet

from novelty.errors import NoveltyError
from novelty.figures import overlay, style

SIDE = 16


def material(count: int = 2, channels: int = 3) -> tuple[torch.Tensor, np.ndarray, np.ndarray]:
    """Images, maps that are 1 on a square and less elsewhere, masks of a square beside it; the first mask is empty."""
    images = torch.rand(count, channels, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    maps = np.random.default_rng(0).uniform(0, 0.4, (count, SIDE, SIDE)).astype(np.float32)
    maps[:, 4:8, 4:8] = 1
    masks = np.zeros(maps.shape, bool)
    masks[1:, 8:, 6:9] = True
    return images, maps, masks


def contours(axes: Axes) -> list[QuadContourSet]:
    return [drawn for drawn in axes.collections if isinstance(drawn, QuadContourSet)]


def box(contour: QuadContourSet) -> list[float]:
    """Left, top, right, bottom in pixels of the image."""
    extents = contour.get_paths()[0].get_extents()
    return [extents.x0, extents.y0, extents.x1, extents.y1]


@pytest.mark.parametrize("channels", [1, 3])
def test_contours_go_around_the_defect_and_around_what_was_found(channels: int) -> None:
    images, maps, masks = material(channels=channels)
    with style.styled():
        axes = style.sheet(1).subplots()
        overlay.overlay(axes, images[1], maps[1], masks[1], 1.0, limits=(0, 1))  # a pixel at the threshold is found
        truth, found = contours(axes)
    assert same_color(truth.get_edgecolor()[0], style.BLUE)
    assert same_color(found.get_edgecolor()[0], style.INK)
    assert box(truth) == [6, 8, 9, SIDE]  # closed at the edge of the image
    assert box(found) == [4, 4, 8, 8]
    assert axes.axis() == (0, SIDE, SIDE, 0)
    assert axes.images[0].get_array().ndim == 2  # grey under the heat


def test_heat_leaves_the_image_in_sight_where_nothing_is_novel() -> None:
    images, maps, _ = material()
    with style.styled():
        axes = style.sheet(1).subplots()
        overlay.overlay(axes, images[0], maps[0], None, 0.5, limits=(0.5, 1))
        heat = axes.images[1]
        alpha = heat.to_rgba(heat.get_array(), norm=True)[..., 3]
        assert len(contours(axes)) == 1
    assert (alpha[maps[0] < 0.5] == 0).all()
    assert alpha[4:8, 4:8] == pytest.approx(0.85)


@pytest.mark.parametrize("masked", [True, False])
def test_a_sheet_names_its_columns_rows_and_threshold(masked: bool) -> None:
    images, maps, masks = material(3)
    with style.styled():
        drawing = overlay.overlays(
            images, maps, masks if masked else None, 0.123456, named="best Dice, oracle", titles=["good", "cut", "hole"]
        )
        drawing.canvas.draw()
    columns = ["image", *(["ground truth"] if masked else []), "map", "segmentation"]
    axes = drawing.axes
    assert len(axes) == 3 * len(columns) + 1  # and the scale
    assert [one.get_title() for one in axes[: len(columns)]] == columns
    assert [one.get_ylabel() for one in axes[: -1 : len(columns)]] == ["good", "cut", "hole"]
    lines = [text.get_text() for text in drawing.legends[0].get_texts()]
    assert lines == [*(["ground truth"] if masked else []), "map ≥ 0.1235 (best Dice, oracle)"]
    shown = [one.images[-1].norm for one in axes[len(columns) - 2 : -1 : len(columns)]]
    assert len({(norm.vmin, norm.vmax) for norm in shown}) == 1  # one scale for all rows
    bounds = [one.get_tightbbox() for one in axes]
    assert all(box.x0 >= 0 and box.y0 >= 0 for box in bounds)
    assert all(box.x1 <= drawing.bbox.x1 and box.y1 <= drawing.bbox.y1 for box in bounds)


def test_nothing_found_and_a_flat_map_are_drawn_without_complaint() -> None:
    images, maps, masks = material(1)
    with style.styled():
        drawing = overlay.overlays(images, np.zeros_like(maps), masks, 2.0, named="97 % of normal pixels")
        drawing.canvas.draw()
    assert not any(contours(axes) for axes in drawing.axes)


def test_the_same_sheet_gives_the_same_bytes(tmp_path: Path) -> None:
    files = []
    for folder in "ab":
        with style.styled():
            drawing = overlay.overlays(*material(), 0.5, named="a name")
        files.append([path.read_bytes() for path in style.save(drawing, tmp_path / folder)])
    assert files[0] == files[1]


def test_sizes_that_do_not_fit_are_named() -> None:
    images, maps, masks = material()
    with pytest.raises(NoveltyError, match="at least one image"):
        overlay.overlays(images[:0], maps[:0], None, 0.5, named="")
    with pytest.raises(NoveltyError, match=r"maps of shape \(2, 16, 16\): got \(2, 16, 15\)"):
        overlay.overlays(images, maps[..., 1:], masks, 0.5, named="")
    with pytest.raises(NoveltyError, match=r"masks of shape \(2, 16, 16\): got \(1, 16, 16\)"):
        overlay.overlays(images, maps, masks[:1], 0.5, named="")
    with pytest.raises(NoveltyError, match="as many titles: got 1"):
        overlay.overlays(images, maps, masks, 0.5, named="", titles=["one"])
