"""Where a method sees a defect and where it is: anomaly maps over images, with contours of both.

Heat is one hue that grows darker; the contour of the ground truth is blue and whole, that of the map black and dashed,
each with a white rim, so that they are told apart on bright and dark images, in grey print, and by the colour-blind.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure as Drawing
from matplotlib.lines import Line2D
from matplotlib.patheffects import AbstractPathEffect, withStroke
from torch import Tensor

from novelty.errors import NoveltyError
from novelty.figures import style

HEAT = LinearSegmentedColormap.from_list("heat", ["#FFFFFF", "#FDD9A8", style.ORANGE, "#5C1F00"])
"""From nothing to novel, on paper."""

TRUTH: dict[str, Any] = {"color": style.BLUE, "linestyle": "-"}
FOUND: dict[str, Any] = {"color": style.INK, "linestyle": (0, (2.2, 1.2))}

_RIM: list[AbstractPathEffect] = [withStroke(linewidth=1.8, foreground="white")]
_LUMINANCE = (0.299, 0.587, 0.114)
_OPAQUE = 0.85


def overlay(
    axes: Axes,
    image: Tensor,
    map_: np.ndarray,
    mask: np.ndarray | None,
    threshold: float,
    *,
    limits: tuple[float, float],
) -> None:
    """An image (C, S, S) in [0, 1], in grey, under the heat of its map (S, S), with the contours of both.

    mask: (S, S) bool, True on defects; None draws no ground truth.  threshold: the second contour goes around all
    pixels with ``map >= threshold``.  limits: values of the map from which, and up to which, heat grows.
    """
    style.show_images(axes, [_grey(image)])
    side = image.shape[-1]
    axes.imshow(map_, cmap=_see_through(HEAT), norm=_norm(limits), extent=(0, side, side, 0), interpolation="nearest")
    if mask is not None:
        outline(axes, mask, TRUTH)
    outline(axes, map_ >= threshold, FOUND)  # last: between dashes the other stays in sight


def outline(axes: Axes, region: np.ndarray, line: dict[str, Any]) -> None:
    """The contour of ``region`` (S, S) bool, closed at the edge of the image too; nothing where it is empty."""
    if not region.any():
        return
    padded = np.pad(region, 1).astype(float)
    place = np.arange(-1, len(region) + 1) + 0.5
    limits = axes.axis()
    contour = axes.contour(
        place, place, padded, levels=[0.5], colors=line["color"], linestyles=[line["linestyle"]], linewidths=0.9
    )
    contour.set_path_effects(_RIM)
    axes.axis(limits)


def overlays(
    images: Tensor,
    maps: np.ndarray,
    masks: np.ndarray | None,
    threshold: float,
    *,
    named: str,
    titles: Sequence[str] | None = None,
) -> Drawing:
    """A sheet: image, ground truth, map and segmentation of images (n, C, S, S) in [0, 1], one in a row.

    maps: (n, S, S); one scale of heat for all, from their 1 % to their 99.9 % quantile.  masks: (n, S, S) bool; without
    them that column is missing.  threshold: of the segmentation; ``named`` says in the legend where it comes from, such
    as "99 % of normal pixels" or "best Dice, oracle".  titles: names of the rows.

    Raises NoveltyError where there is no image, or sizes differ.
    """
    _check(images, maps, masks, titles)
    limits = _limits(maps)
    columns = ["image", *([] if masks is None else ["ground truth"]), "map", "segmentation"]
    size = (style.WIDTH - 0.55 - 0.2 * (titles is not None)) / len(
        columns
    )  # inches; beside them stand scale and titles
    drawing = style.sheet(height=size * len(images) + 0.6)
    grid = drawing.subplots(len(images), len(columns), squeeze=False)
    for row, image in enumerate(images):
        mask = None if masks is None else masks[row]
        for name, axes in zip(columns, grid[row], strict=True):
            _draw(name, axes, image, maps[row], mask, threshold, limits)
            if row == 0:
                axes.set_title(name, loc="center")
        if titles is not None:
            grid[row, 0].set_ylabel(titles[row])
    _scale(drawing, grid, limits, threshold)
    _legend(drawing, masks is not None, f"map ≥ {threshold:.4g} ({named})")
    return drawing


def _draw(
    column: str,
    axes: Axes,
    image: Tensor,
    map_: np.ndarray,
    mask: np.ndarray | None,
    threshold: float,
    limits: tuple[float, float],
) -> None:
    if column == "segmentation":
        overlay(axes, image, map_, mask, threshold, limits=limits)
        return
    style.show_images(axes, [image])
    if column == "map":
        side = image.shape[-1]
        axes.imshow(map_, cmap=HEAT, norm=_norm(limits), extent=(0, side, side, 0), interpolation="nearest")
        axes.spines[:].set_visible(True)
        axes.spines[:].set_color(style.FAINT)
    if column == "ground truth" and mask is not None:
        outline(axes, mask, TRUTH)


def _scale(drawing: Drawing, grid: np.ndarray, limits: tuple[float, float], threshold: float) -> None:
    """The colours of the maps, right of all rows, with the threshold where it lies among them."""
    image = grid[0, -2].images[-1]
    bar = drawing.colorbar(image, ax=grid.ravel().tolist(), extend="both", fraction=0.02, pad=0.01, aspect=40)
    bar.outline.set_linewidth(0.4)
    if limits[0] <= threshold <= limits[1]:
        bar.ax.axhline(threshold, color=style.INK, linewidth=0.9, linestyle=FOUND["linestyle"], path_effects=_RIM)


def _legend(drawing: Drawing, truth: bool, found: str) -> None:
    lines = {"ground truth": TRUTH} if truth else {}
    handles = [
        Line2D([], [], **line, linewidth=1.2, label=name, path_effects=_RIM)
        for name, line in {**lines, found: FOUND}.items()
    ]
    drawing.legend(handles=handles, loc="outside lower center", ncols=2, frameon=False, handlelength=3)


def _limits(maps: np.ndarray) -> tuple[float, float]:
    low, high = (float(value) for value in np.quantile(maps, (0.01, 0.999)))
    return (low, high) if high > low else (low - 0.5, low + 0.5)


def _norm(limits: tuple[float, float]) -> Normalize:
    return Normalize(*limits, clip=True)


def _see_through(heat: Colormap) -> LinearSegmentedColormap:
    """``heat`` with its low end transparent, so that the image stays in sight where nothing is novel."""
    colours = heat(np.linspace(0, 1, 256))
    colours[:, 3] = np.linspace(0, _OPAQUE, 256)
    return LinearSegmentedColormap.from_list("overlay", colours)


def _grey(image: Tensor) -> Tensor:
    """(1, S, S): heat over a coloured image would be read as its colour."""
    if image.shape[0] == 1:
        return image
    return (image * image.new_tensor(_LUMINANCE)[:, None, None]).sum(0, keepdim=True)


def _check(images: Tensor, maps: np.ndarray, masks: np.ndarray | None, titles: Sequence[str] | None) -> None:
    expected = (len(images), *images.shape[-2:])
    if not len(images):
        raise NoveltyError("A sheet of overlays needs at least one image.")
    for name, found in [("maps", maps.shape), *([] if masks is None else [("masks", masks.shape)])]:
        if tuple(found) != expected:
            raise NoveltyError(f"Images {tuple(images.shape)} need {name} of shape {expected}: got {tuple(found)}.")
    if titles is not None and len(titles) != len(images):
        raise NoveltyError(f"{len(images)} images need as many titles: got {len(titles)}.")
