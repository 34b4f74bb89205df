"""One look for every plot of the project, on paper and on a screen.

Plots are saved on opaque white: black ink stays readable where a page is dark, which a transparent picture's does not.
Colours are those of Okabe and Ito, which colour-blind readers tell apart; names stand at the lines, not in a legend.
Nothing here touches pyplot or the settings of the process that draws.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import matplotlib.style
import torch
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Drawing
from torch import Tensor

from novelty.results.records import write

BLUE, ORANGE, GREEN, PINK, SKY, YELLOW = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00"
COLOURS = (BLUE, ORANGE, GREEN, PINK, SKY, YELLOW)
INK, MUTED, FAINT = "#1A1A1A", "#666666", "#D9D9D9"

WIDTH = 7.0
"""Inches: a page of text, so that 8 points in the figure are 8 points in print."""

RESOLUTION = 200
"""Dots an inch of the PNG."""

RULES: dict[str, Any] = {
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "savefig.dpi": RESOLUTION,
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 6,
    "axes.labelsize": 8,
    "axes.labelcolor": INK,
    "axes.edgecolor": MUTED,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.prop_cycle": cycler(color=COLOURS),
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 3,
    "ytick.major.size": 3,
    "text.color": INK,
    "lines.linewidth": 1.5,
    "lines.markersize": 4,
    "lines.solid_capstyle": "round",
    "svg.fonttype": "path",
    "svg.hashsalt": "novelty",
}


@contextmanager
def styled() -> Iterator[None]:
    """Within it plots are made by these rules alone, whatever a person's matplotlibrc says."""
    with matplotlib.style.context(["default", RULES]):
        yield


def sheet(height: float, width: float = WIDTH) -> Drawing:
    """An empty drawing of so many inches, which finds room for its own labels."""
    return Drawing(figsize=(width, height), layout="constrained")


def save(drawing: Drawing, folder: Path, name: str = "figure") -> list[Path]:
    """``<name>.png`` and ``<name>.svg``, by atomic rename; the same drawing gives the same bytes."""
    paths = [folder / f"{name}.png", folder / f"{name}.svg"]
    with styled():
        for path, metadata in zip(paths, ({"Software": None}, {"Date": None}), strict=True):
            write(path, partial(drawing.savefig, metadata=metadata))
    return paths


def show_images(axes: Axes, images: Sequence[Tensor]) -> None:
    """Images (C, S, S) in [0, 1] below each other, pixel by pixel, without axes; grey where C is 1."""
    size = images[0].shape[-1]
    white = torch.ones(images[0].shape[0], between(size), size)
    rows = [row for image in images for row in (image.cpu().clamp(0, 1), white)][:-1]
    pixels = torch.cat(rows, dim=1).permute(1, 2, 0).numpy()
    pixels = pixels if pixels.shape[-1] == 3 else pixels[..., 0]
    axes.imshow(pixels, cmap="gray", vmin=0, vmax=1, interpolation="nearest", extent=(0, size, len(pixels), 0))
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
    axes.set_anchor("N")


def between(size: int) -> int:
    """Pixels of white between two images of `show_images`."""
    return max(1, size // 16)


def remark(axes: Axes, x: float, y: float, text: str, **options: Any) -> None:
    """A quiet note inside a plot, at a place in shares of the axes unless ``transform`` says otherwise."""
    axes.text(x, y, text, **{"transform": axes.transAxes, "color": MUTED, "fontsize": 7, **options})


def footnote(drawing: Drawing, text: str) -> None:
    """What the whole drawing rests on, in one quiet line at its foot."""
    drawing.supxlabel(text, x=0.01, ha="left", fontsize=6.5, color=MUTED)


def panels(drawing: Drawing, titles: Sequence[str], across: int, one_scale: bool = False) -> list[Axes]:
    """Axes side by side, ``across`` in a line, each with its title; places that are left over stay empty.

    one_scale: of the y axis, for all of them.
    """
    lines = -(-len(titles) // across)
    grid = drawing.subplots(lines, min(across, len(titles)), squeeze=False, sharey=one_scale).flatten().tolist()
    for axes in grid[len(titles) :]:
        axes.remove()
    for axes, title in zip(grid, titles, strict=False):
        axes.set_title(title)
    return grid[: len(titles)]


def key(axes: Axes, entries: Sequence[tuple[str, str]]) -> None:
    """Names in their colours in one line above a plot, right of its title, for what has no line to stand at."""
    from matplotlib.artist import Artist
    from matplotlib.offsetbox import AnchoredOffsetbox, HPacker, TextArea

    words: list[Artist] = [TextArea(name, textprops={"color": colour, "fontsize": 7}) for name, colour in entries]
    packed = HPacker(children=words, pad=0, sep=10)
    axes.add_artist(
        AnchoredOffsetbox(
            "lower right", child=packed, frameon=False, pad=0, borderpad=0.2,
            bbox_to_anchor=(1, 1), bbox_transform=axes.transAxes,
        )
    )  # fmt: skip


def write_below(axes: Axes, text: str, line: int, colour: str, outside: bool = False) -> None:
    """The ``line``-th line (from 0) under a picture: centred, or left of it as the name of what stands in the line."""
    x, to_left, align = (0.0, -4, "right") if outside else (0.5, 0, "center")
    axes.annotate(
        text, (x, 0), (to_left, -4 - 11 * line), xycoords="axes fraction", textcoords="offset points",
        ha=align, va="top", color=colour,
    )  # fmt: skip


def name_lines(axes: Axes, ends: Mapping[str, tuple[float, float, str]], gap: float = 0.075) -> None:
    """Names at the right ends of lines, name -> (x, y, colour), set apart where they would overlap.

    gap: smallest distance of two names, as a share of the y axis, whose limits must be final.
    """
    low, high = axes.get_ylim()
    names = sorted(ends, key=lambda name: ends[name][1])
    heights = set_apart([ends[name][1] for name in names], gap * (high - low))
    for name, height in zip(names, heights, strict=True):
        x, _, colour = ends[name]
        axes.annotate(
            name, (x, height), (5, 0), textcoords="offset points", color=colour, va="center", annotation_clip=False
        )


def set_apart(ascending: Sequence[float], gap: float) -> list[float]:
    """Heights at least ``gap`` apart and near the given ones: neighbours that are too close share their middle.

    (0, 1, 1.2) with a gap of 1 become (-0.27, 0.73, 1.73).
    """
    groups: list[tuple[float, int]] = []  # middle and number of each run of neighbours
    for value in ascending:
        middle, count = float(value), 1
        while groups and middle - gap * (count - 1) / 2 - (groups[-1][0] + gap * (groups[-1][1] - 1) / 2) < gap:
            other, number = groups.pop()
            middle, count = (middle * count + other * number) / (count + number), count + number
        groups.append((middle, count))
    return [middle + gap * (place - (count - 1) / 2) for middle, count in groups for place in range(count)]
