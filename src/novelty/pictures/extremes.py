"""The test images at the ends of the ranking, with their scores."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure as Drawing
from torch import Tensor

from novelty.figures.style import MUTED, sheet, show_images, styled, write_below
from novelty.pictures.ranking import NORMAL, NOVEL

ACROSS = 10


def ends(scores: np.ndarray, novel: np.ndarray, across: int = ACROSS) -> dict[str, np.ndarray]:
    """Positions of up to ``across`` test images in each of four lines, the most telling first.

    Ties stand in the order of the images.
    """
    rising = np.argsort(scores, kind="stable")
    falling = np.argsort(-scores, kind="stable")
    return {
        "novel, highest scores": falling[novel[falling]][:across],
        "novel, lowest scores": rising[novel[rising]][:across],
        "normal, lowest scores": rising[~novel[rising]][:across],
        "normal, highest scores": falling[~novel[falling]][:across],
    }


def extremes(lines: dict[str, tuple[Tensor, np.ndarray]]) -> Drawing:
    """Lines of images (k, C, S, S) in [0, 1] with their scores (k,), under their names (see `ends`)."""
    with styled():
        drawing = sheet(1.02 * len(lines))
        grid = drawing.subplots(len(lines), ACROSS, squeeze=False)
        for row, (name, (images, scores)) in zip(grid, lines.items(), strict=True):
            for axes in row:
                axes.set_axis_off()
            for axes, image, score in zip(row, images, scores, strict=False):
                show_images(axes, [image])
                axes.set_axis_on()
                write_below(axes, f"{score:#.3g}", 0, MUTED)
            row[0].set_title(name, color=NOVEL if name.startswith("novel") else NORMAL)
        return drawing
