"""A metric against a swept value: one line a row, or a named score."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from novelty.errors import NoveltyError
from novelty.figures import style
from novelty.figures.base import Columns, Numbers
from novelty.figures.cells import CellFigure, Point, Run, distinct, in_words, pooled
from novelty.tables import Layout

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing

Curve = dict[float, float]
MARKERS = "oDs^vP"


class Lines(CellFigure):
    """Mean over the members of a column (classes), with the standard deviation over seeds as a band.

    The swept value is a column's name, or, with ``scores``, a place in lists of scores of one record.

    metric:     of the record, such as "auroc" or "f1".
    metrics:    line -> metric, where a row has several lines; the axis is still called after ``metric``.
    x:          what is swept, in words.
    log:        whether it is swept in factors.
    scores:     line -> names of scores, one a value (images disturbed by 0.05, 0.1: ``avg@fgsm-0.05``, ...).
    values:     what these names stand for.
    panels:     title -> rows; None for a single panel of all.
    references: name -> value -> height: lines to hold the others against, such as the F1 of always saying "normal".
    printed:    row (or line of ``scores``) -> value -> height: points that the paper prints.
    """

    def __init__(
        self,
        *,
        metric: str = "auroc",
        metrics: Mapping[str, str] | None = None,
        x: str = "",
        log: bool = False,
        scores: Mapping[str, Sequence[str]] | None = None,
        values: Sequence[float] = (),
        panels: Mapping[str, Sequence[str]] | None = None,
        references: Mapping[str, Mapping[float, float]] | None = None,
        printed: Mapping[str, Mapping[float, float]] | None = None,
        names: Mapping[str, str] | None = None,
        paper: str = "",
    ) -> None:
        super().__init__(names=names, paper=paper)
        if scores and metrics:
            raise NoveltyError("figure.scores and figure.metrics both name the lines of a row: give one of them.")
        if log and any(value <= 0 for value in values):
            raise NoveltyError("figure.log is true and figure.values has 0, or less: leave one of them out.")
        self.metric, self.x, self.log = metric, x, log
        self.metrics = {str(line): named for line, named in (metrics or {"": metric}).items()}
        self.scores = {str(line): tuple(named) for line, named in (scores or {}).items()}
        self.values = tuple(float(value) for value in values)
        for line, named in self.scores.items():
            if len(named) != len(self.values):
                raise NoveltyError(
                    f"figure.scores has {len(named)} scores for {line} and figure.values {len(self.values)} values: "
                    "give one score a value."
                )
        self.panels = {str(title): tuple(rows) for title, rows in (panels or {}).items()}
        self.references = _curves("references", references)
        self.printed = _curves("printed", printed)

    def admit(self, layout: Layout) -> None:
        rows = [row.name for row in layout.rows]
        self.require_names("panels", (row for shown in self.panels.values() for row in shown), rows)
        self.require_names("printed", self.printed, self.scores or rows)
        if self.scores:
            if len(layout.columns) > 1:
                raise NoveltyError("figure.scores are the points of each line: give the figure a single column.")
            return
        for column in layout.columns:
            value = _number(column.name, "a column of a figure of lines must be a number")
            if self.log and value <= 0:
                raise NoveltyError(f"figure.log is true and a column is {column.name}: leave one of them out.")

    def gather(self, runs: Sequence[Run]) -> Numbers:
        """One table: row, line (within it), x, seed, member, members (how many make a point), value."""
        whole = Counter(run.key for run in runs)
        found: list[tuple[Any, ...]] = []
        for run in (run for run in runs if run.record is not None):
            about = (run.cell.seed, " ".join(run.cell.member), whole[run.key])
            if self.scores:
                for line, named in self.scores.items():
                    for value, score in zip(self.values, named, strict=True):
                        found.append((run.cell.row, line, value, *about, run.metric(self.metric, score)))
            else:
                for line, metric in self.metrics.items():
                    found.append((run.cell.row, line, float(run.cell.column), *about, run.metric(metric)))
        names = ("row", "line", "x", "seed", "member", "members", "value")
        return Numbers({"numbers": {n: np.array(c) for n, c in zip(names, zip(*found, strict=True), strict=True)}}, {})

    def finding(self, numbers: Numbers) -> str:
        table = numbers.tables["numbers"]
        said = []
        for row, line in _lines(table):
            points = points_of(table, row, line)
            if not points:
                said.append(f"{self._label(table, row, line)} has no whole point yet")
                continue
            ends = [next(iter(points.items())), *(list(points.items())[-1:] if len(points) > 1 else [])]
            heights = " and ".join(f"{_with_spread(point)} at {x:g}" for x, point in ends)
            said.append(f"{self._label(table, row, line)} {in_words(self.metric)} {heights}")
        missing = len({(r, line, x) for r, line, x in _places(table)}) - sum(
            len(points_of(table, *key)) for key in _lines(table)
        )
        seeds = len(np.unique(table["seed"]))
        return (
            f"{'; '.join(said)}; {seeds} seed{'s' if seeds > 1 else ''}"
            f"{f'; {missing} points still lack cells' if missing else ''}"
        )

    def draw(self, numbers: Numbers) -> Drawing:
        table = numbers.tables["numbers"]
        rows = distinct(table["row"])
        shown = {t: [row for row in self.panels[t] if row in rows] for t in self.panels} or {
            in_words(self.metric): rows
        }
        shown = {title: own for title, own in shown.items() if own}
        drawing = style.sheet(height=2.9, width=style.WIDTH if len(shown) > 1 else 4.8)
        for axes, own in zip(style.panels(drawing, list(shown), len(shown)), shown.values(), strict=True):
            self._draw_panel(axes, table, own)
        return drawing

    def _draw_panel(self, axes: Axes, table: Columns, rows: Sequence[str]) -> None:
        ends: dict[str, tuple[float, float, str]] = {}
        own = [(row, line) for row, line in _lines(table) if row in rows]
        swept = sorted(set(table["x"][np.isin(table["row"], rows)].tolist()))
        for place, (row, line) in enumerate(own):
            colour, marker = style.COLOURS[place % len(style.COLOURS)], MARKERS[place % len(MARKERS)]
            points = points_of(table, row, line)
            if points:
                x, mean = np.array(list(points)), np.array([point.mean for point in points.values()])
                std = np.nan_to_num([point.std for point in points.values()])
                if std.any():
                    axes.fill_between(x, mean - std, mean + std, color=colour, alpha=0.15, linewidth=0)
                axes.plot(x, mean, color=colour, marker=marker)
                ends[self._label(table, row, line)] = (x[-1], float(mean[-1]), colour)
            printed = self.printed.get(line or row, {})
            if printed:
                axes.plot(list(printed), list(printed.values()), linestyle="none", marker="x", color=colour)
                last = max(printed)
                ends[f"{self._label(table, row, line)}, printed"] = (last, printed[last], colour)
        for name, curve in self.references.items():
            known = {x: height for x, height in curve.items() if x in swept}
            if known:
                axes.plot(list(known), list(known.values()), color=style.MUTED, linewidth=1, linestyle=(0, (4, 2)))
                ends[name] = (max(known), known[max(known)], style.MUTED)
        if self.log:
            axes.set_xscale("log")
        axes.set_xticks(swept, _labels(swept, self.log))
        axes.minorticks_off()
        axes.set_xlabel(self.x)
        if self.panels:
            axes.set_ylabel(in_words(self.metric))
        if len(swept) == 1:
            axes.margins(x=0.5)
        right = max(swept)
        style.name_lines(axes, {name: (right, height, colour) for name, (_, height, colour) in ends.items()})

    def _label(self, table: Columns, row: str, line: str) -> str:
        """A line in words; the row stands before a line of ``scores`` only where there are several."""
        parts = [self.name(row)] if not line or len(distinct(table["row"])) > 1 else []
        return ": ".join([*parts, *([self.name(line)] if line else [])])


def points_of(table: Columns, row: str, line: str) -> dict[float, Point]:
    """Swept value -> the point there, ascending; values without a whole seed are left out."""
    of = (table["row"] == row) & (table["line"] == line)
    found = {}
    for x in sorted(set(table["x"][of].tolist())):
        here = of & (table["x"] == x)
        whole = int(table["members"][here].max())
        point = pooled(table["seed"][here], table["member"][here], table["value"][here], whole)
        if point is not None:
            found[float(x)] = point
    return found


def _lines(table: Columns) -> list[tuple[str, str]]:
    return list(dict.fromkeys(zip(table["row"].tolist(), table["line"].tolist(), strict=True)))


def _places(table: Columns) -> list[tuple[str, str, float]]:
    return list(zip(table["row"].tolist(), table["line"].tolist(), table["x"].tolist(), strict=True))


def _labels(swept: Sequence[float], log: bool) -> list[str]:
    """Rising values as they are written at the axis; empty for one that would touch its neighbour on the left."""
    places = np.log(swept) if log else np.array(swept)
    room = 0.11 * (places[-1] - places[0])
    labels, last = [""] * len(swept), -np.inf
    for i, (value, place) in enumerate(zip(swept, places.tolist(), strict=True)):
        if place - last >= room:
            labels[i], last = f"{value:.3g}", place
    return labels


def _with_spread(point: Point) -> str:
    return f"{point.mean:.3f}" + ("" if np.isnan(point.std) else f" ± {point.std:.3f}")


def _number(text: Any, rule: str) -> float:
    try:
        return float(text)
    except (TypeError, ValueError) as error:
        raise NoveltyError(f"{text} is no number: {rule}.") from error


def _curves(option: str, given: Mapping[str, Mapping[float, float]] | None) -> dict[str, Curve]:
    """Names to curves in ascending order; NoveltyError where one is no mapping of numbers to numbers."""
    rule = f"figure.{option} maps each name to {{value: height}}"
    curves = {}
    for name, curve in (given or {}).items():
        if not isinstance(curve, Mapping):
            raise NoveltyError(f"figure.{option}.{name} is {curve}: {rule}.")
        curves[str(name)] = dict(sorted((_number(x, rule), _number(y, rule)) for x, y in curve.items()))
    return curves
