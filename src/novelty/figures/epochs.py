"""Test AUROC while the training goes on: one line a named score, one panel a cell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from novelty.errors import NoveltyError
from novelty.figures import style
from novelty.figures.base import Columns, Numbers
from novelty.figures.cells import CellFigure, Run, distinct, one_cell_each
from novelty.tables import Layout

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing


class Epochs(CellFigure):
    """Curves of records whose evaluation watches the training (``evaluation=stability``), mean and std over seeds.

    scores: which of the named ones, in this order; none = all that were watched.
    last:   how many of the last epochs the finding looks at (20, as Puzzle-AE reports its numbers).
    across: panels side by side.
    """

    def __init__(
        self,
        *,
        scores: Sequence[str] = (),
        last: int = 20,
        across: int = 4,
        names: Mapping[str, str] | None = None,
        paper: str = "",
    ) -> None:
        super().__init__(names=names, paper=paper)
        if last < 1 or across < 1:
            raise NoveltyError(f"figure.last is {last} and figure.across {across}: both must be at least 1.")
        self.scores, self.last, self.across = tuple(scores), last, across

    def admit(self, layout: Layout) -> None:
        one_cell_each(layout)

    def gather(self, runs: Sequence[Run]) -> Numbers:
        """One table: panel, score, epoch, seed, auroc."""
        several = len({run.cell.row for run in runs}) > 1
        found: list[tuple[Any, ...]] = []
        for run in (run for run in runs if run.record is not None):
            curve = run.done.get("curve")
            if not curve or not curve["epoch"]:
                raise NoveltyError(
                    f"The record of {run.title} has no curve: its cells need evaluation=stability, "
                    "and a method that trains in epochs."
                )
            self.require_names("scores", self.scores, curve["auroc"])
            panel = " · ".join(map(self.name, [run.cell.row, run.cell.column] if several else [run.cell.column]))
            for score in self.scores or curve["auroc"]:
                for epoch, value in zip(curve["epoch"], curve["auroc"][score], strict=True):
                    if value is not None:  # a score that this phase of the training does not have
                        found.append((panel, score, epoch, run.cell.seed, value))
        names = ("panel", "score", "epoch", "seed", "auroc")
        return Numbers({"numbers": {n: np.array(c) for n, c in zip(names, zip(*found, strict=True), strict=True)}}, {})

    def finding(self, numbers: Numbers) -> str:
        table = numbers.tables["numbers"]
        panels = distinct(table["panel"])
        said = []
        for score in distinct(table["score"]):
            ends = [e for panel in panels if len(e := self._end(table, panel, score))]
            mean = np.mean([values.mean() for values in ends])
            moves = max(float(np.ptp(values)) for values in ends)
            said.append(f"{self.name(score)} {mean:.3f}, moving by at most {moves:.3f}")
        epochs = min(self.last, len(np.unique(table["epoch"])))
        where = f"{len(panels)} panels" if len(panels) > 1 else panels[0]
        return f"test AUROC over the last {epochs} epochs, mean of {where}: {'; '.join(said)}"

    def _end(self, table: Columns, panel: str, score: str) -> np.ndarray:
        """Mean over seeds in each of the last epochs."""
        return curve_of(table, panel, score)[1][-self.last :]

    def draw(self, numbers: Numbers) -> Drawing:
        table = numbers.tables["numbers"]
        titles = distinct(table["panel"])
        across = min(self.across, len(titles))
        height = 1.9 * -(-len(titles) // across) + 0.3
        drawing = style.sheet(height=height + (0.6 if across == 1 else 0), width=style.WIDTH if across > 1 else 4.8)
        colours = dict(zip(distinct(table["score"]), style.COLOURS * 9, strict=False))
        grid = style.panels(drawing, titles, across, one_scale=True)
        ends = [self._draw_panel(axes, table, title, colours) for axes, title in zip(grid, titles, strict=True)]
        for place, axes in enumerate(grid):
            if place % across == across - 1 or place + 1 == len(titles):
                style.name_lines(axes, ends[place], gap=0.09)
            if place % across == 0:
                axes.set_ylabel("test AUROC")
            if place + across >= len(titles):
                axes.set_xlabel("epoch")
        return drawing

    def _draw_panel(
        self, axes: Axes, table: Columns, panel: str, colours: Mapping[str, str]
    ) -> dict[str, tuple[float, float, str]]:
        """Lines of a panel, and where they end: name -> (x, y, colour)."""
        ends = {}
        for score, colour in colours.items():
            epochs, mean, std = curve_of(table, panel, score)
            if not len(epochs):
                continue
            if np.nan_to_num(std).any():
                axes.fill_between(epochs, mean - std, mean + std, color=colour, alpha=0.15, linewidth=0)
            axes.plot(epochs, mean, color=colour, linewidth=1.1, marker="o" if len(epochs) == 1 else "")
            ends[self.name(score)] = (float(epochs[-1]), float(mean[-1]), colour)
        axes.locator_params(axis="x", integer=True)
        axes.margins(x=0.02)
        return ends


def curve_of(table: Columns, panel: str, score: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Epochs that every seed has, and mean and standard deviation over seeds in each: (n,) each, std nan for one."""
    here = (table["panel"] == panel) & (table["score"] == score)
    seeds = np.unique(table["seed"][here])
    epochs = [
        e for e in np.unique(table["epoch"][here]) if np.count_nonzero(here & (table["epoch"] == e)) == len(seeds)
    ]
    values = [table["auroc"][here & (table["epoch"] == epoch)] for epoch in epochs]
    std = [v.std(ddof=1) if len(seeds) > 1 else np.nan for v in values]
    return np.array(epochs), np.array([v.mean() for v in values]), np.array(std)
