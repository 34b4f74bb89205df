"""Bars of a table: one group a column, one colour a row, what was printed as a mark."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from novelty.errors import NoveltyError
from novelty.figures import style
from novelty.figures.base import Columns, Numbers
from novelty.figures.cells import CellFigure, Run, distinct, in_words, pooled
from novelty.tables import Layout, published

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing

OURS, PRINTED, MEAN = "ours", "printed", "mean"

Bar = tuple[str, str, str, float, float, int]
"""Group, bar, source ("ours" or "printed"), value, std over seeds and seeds (nan and 0 of printed values)."""


class Bars(CellFigure):
    """Means over seeds (and over the members of a column), with their standard deviation as a whisker.

    metrics:   of the records; several only with ``over="metrics"``.
    over:      what stands along the axis: the columns and their mean, or the metrics, each the mean over all columns.
    published: printed blocks, one a metric ("puzzle_ae/table7_mnist_1_12"), whose columns have the names of ours.
    beside:    printed rows that are drawn as outlined bars of their own: methods that are not run.
    mean:      whether the mean of all columns stands beside several of them.
    base:      where bars begin: 0, or 0.5 for AUROC, which is chance.
    """

    def __init__(
        self,
        *,
        metrics: Sequence[str] = ("auroc",),
        over: Literal["columns", "metrics"] = "columns",
        published: Sequence[str] = (),
        beside: Sequence[str] = (),
        mean: bool = True,
        base: float = 0.0,
        names: Mapping[str, str] | None = None,
        paper: str = "",
    ) -> None:
        super().__init__(names=names, paper=paper)
        if not metrics or (over == "columns" and len(metrics) > 1):
            raise NoveltyError(f"figure.metrics is {list(metrics)}: give one, or several with figure.over=metrics.")
        if published and len(published) != len(metrics):
            raise NoveltyError(f"figure.published names {len(published)} blocks for {len(metrics)} metrics: one each.")
        self.metrics, self.over, self.base = tuple(metrics), over, base
        self.published, self.beside, self.mean = tuple(published), tuple(beside), mean

    def admit(self, layout: Layout) -> None:
        for block in self.published:
            self.require_names("beside", self.beside, [row["method"] for row in published(block)["rows"]])
        if self.beside and not self.published:
            raise NoveltyError("figure.beside names printed rows: figure.published must say of which block.")

    def gather(self, runs: Sequence[Run]) -> Numbers:
        """One table of bars, ours and printed."""
        found: list[Bar] = []
        for place, metric in enumerate(self.metrics):
            columns = list(dict.fromkeys(run.cell.column for run in runs))
            for row in dict.fromkeys(run.cell.row for run in runs):
                own = [run for run in runs if run.cell.row == row]
                for group, members in self._groups(own, columns, metric).items():
                    whole = max(Counter(run.cell.seed for run in members).values())
                    done = [run for run in members if run.record is not None]
                    seeds = np.array([run.cell.seed for run in done])
                    places = np.array([f"{run.cell.column} {run.cell.member}" for run in done])
                    point = pooled(seeds, places, np.array([run.metric(metric) for run in done]), whole)
                    if point is not None:
                        found.append((group, row, OURS, point.mean, point.std, point.seeds))
            if self.published:
                shown = [*dict.fromkeys(run.cell.row for run in runs), *self.beside]
                block = published(self.published[place])
                if self.over == "metrics":
                    found += [(metric, *bar[1:]) for bar in printed_bars(block, (), shown)]
                else:
                    found += [bar for bar in printed_bars(block, columns, shown) if self.mean or bar[0] != MEAN]
        if not any(entry[2] == OURS for entry in found):
            raise NoveltyError("No bar has all of its cells yet: the same command runs what is missing.")
        return numbers_of(found)

    def _groups(self, own: Sequence[Run], columns: Sequence[str], metric: str) -> dict[str, list[Run]]:
        """What stands along the axis, and the cells of a row that are averaged for it."""
        if self.over == "metrics":
            return {metric: list(own)}
        groups = {column: [run for run in own if run.cell.column == column] for column in columns}
        groups = {column: members for column, members in groups.items() if members}
        return groups | ({MEAN: list(own)} if self.mean and len(columns) > 1 else {})

    def finding(self, numbers: Numbers) -> str:
        table = numbers.tables["numbers"]
        groups = distinct(table["group"])
        each = self.over == "metrics" or not self.mean
        told = groups if each else [MEAN if MEAN in groups else groups[0]]
        said = []
        for group in told:
            here = table["group"] == group
            parts = []
            for bar in distinct(table["bar"][here]):
                values = _values(table, group, bar)
                ours = f"{values[OURS][0]:.3f}" if OURS in values else ""
                mark = f"printed {values[PRINTED][0]:.3f}" if PRINTED in values else ""
                parts.append(f"{self.name(bar)} " + (f"{ours} ({mark})" if ours and mark else ours or mark))
            what = in_words(group if self.over == "metrics" else self.metrics[0])
            said.append(f"{what}{'' if self.over == 'metrics' else f' ({self.name(group)})'}: {', '.join(parts)}")
        return "; ".join(said)

    def draw(self, numbers: Numbers) -> Drawing:
        table = numbers.tables["numbers"]
        groups, bars = distinct(table["group"]), distinct(table["bar"])
        if MEAN in groups:
            groups = [*(group for group in groups if group != MEAN), MEAN]
        drawing = style.sheet(height=2.8, width=style.WIDTH if len(groups) * len(bars) > 8 else 4.8)
        (axes,) = style.panels(drawing, ["" if self.over == "metrics" else in_words(self.metrics[0])], 1)
        width = 0.8 / len(bars)
        for place, bar in enumerate(bars):
            colour = style.COLOURS[place % len(style.COLOURS)]
            for middle, group in enumerate(groups):
                x = middle + (place - (len(bars) - 1) / 2) * width
                self._draw_bar(axes, _values(table, group, bar), x, width, colour)
        if MEAN in groups:
            axes.axvline(len(groups) - 1.5, color=style.FAINT, linewidth=0.8, zorder=0)
        labels = [in_words(group) if self.over == "metrics" else self.name(group) for group in groups]
        axes.set_xticks(range(len(groups)), [_wrapped(label, len(groups)) for label in labels])
        axes.set_xlim(-0.55, len(groups) - 0.45)
        axes.set_ylim(bottom=self.base)
        self._key(axes, table, bars)
        return drawing

    def _draw_bar(
        self, axes: Axes, values: dict[str, tuple[float, float]], x: float, width: float, colour: str
    ) -> None:
        if OURS in values:
            height, std = values[OURS]
            axes.bar(x, height - self.base, 0.9 * width, bottom=self.base, color=colour)
            if not np.isnan(std):
                axes.errorbar(x, height, std, fmt="none", ecolor=style.INK, elinewidth=0.8, capsize=1.5)
            if PRINTED in values:
                half = 0.45 * width
                axes.plot([x - half, x + half], [values[PRINTED][0]] * 2, color=style.INK, linewidth=1.5)
        elif PRINTED in values:
            height = values[PRINTED][0]
            axes.bar(
                x, height - self.base, 0.9 * width - 0.01, bottom=self.base, facecolor="white", edgecolor=colour,
                linewidth=0.9, hatch="////", hatch_linewidth=0.4,
            )  # fmt: skip

    def _key(self, axes: Axes, table: Columns, bars: Sequence[str]) -> None:
        """Names of the bars in their colours, and what a black mark is, above the plot."""
        entries = []
        for place, bar in enumerate(bars):
            ran = OURS in table["source"][table["bar"] == bar]
            entries.append((self.name(bar) + ("" if ran else " (printed)"), style.COLOURS[place % len(style.COLOURS)]))
        both = any(len(_values(table, group, bar)) == 2 for group in distinct(table["group"]) for bar in bars)
        style.key(axes, [*entries, *([("— printed", style.INK)] if both else [])])


def numbers_of(bars: Sequence[Bar]) -> Numbers:
    """Bars as the one table that is drawn."""
    names = ("group", "bar", "source", "value", "std", "seeds")
    return Numbers({"numbers": {n: np.array(c) for n, c in zip(names, zip(*bars, strict=True), strict=True)}}, {})


def printed_bars(block: Mapping[str, Any], columns: Sequence[str], rows: Sequence[str]) -> list[Bar]:
    """Values of a printed block's ``rows`` as fractions of its unit: ``columns``, and their mean unless that is one."""
    names, unit = [str(name) for name in block["columns"]], float(block["unit_max"] or 1)
    wanted = [*columns, *([MEAN] if len(columns) != 1 else [])]
    found: list[Bar] = []
    for row in (row for row in block["rows"] if row["method"] in rows):
        values = dict(zip(names, row["values"], strict=True)) | {MEAN: row["mean"]}
        shown = [name for name in wanted if values.get(name) is not None]
        found += [(name, row["method"], PRINTED, values[name] / unit, float("nan"), 0) for name in shown]
    return found


def _wrapped(label: str, groups: int) -> str:
    """A label in lines that fit below one of so many groups: a page of text has about 110 letters of this size."""
    return textwrap.fill(label, max(6, 100 // groups), break_long_words=False)


def _values(table: Columns, group: str, bar: str) -> dict[str, tuple[float, float]]:
    """Source -> value and standard deviation of a bar."""
    here = np.flatnonzero((table["group"] == group) & (table["bar"] == bar))
    return {str(table["source"][i]): (float(table["value"][i]), float(table["std"][i])) for i in here}
