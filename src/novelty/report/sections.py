"""Sections of a table's dashboard (`dashboard.spec`) drawn from the records alone, for a page that needs no server.

What W&B and TensorBoard show of what runs logged is drawn here from what runs left: ROC curves from raw scores, curves
of the training from metrics.csv where logs are kept, and bars from the numbers of the record.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from novelty.dashboard.spec import Dashboard, Panel, Section
from novelty.errors import NoveltyError
from novelty.evaluation.metrics import count
from novelty.figures import style
from novelty.pictures.training import Series, read_log
from novelty.report.compare import Line
from novelty.report.match import Record
from novelty.results.logs import FOLDER, numbers
from novelty.results.records import read_arrays

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing

ACROSS = {"overlay": 5, "curves": 3, "bars": 2}
"""Plots side by side."""

KEY = 4
"""Names side by side in the key of colours."""

RATES = np.linspace(0, 1, 101)
"""False positive rates at which ROC curves are averaged."""

POINTS = 200
"""Of a curve of the training at most: an image of this width shows no more, and a page must stay small."""

Named = dict[str, Line]
Curves = dict[str, np.ndarray]
"""Line -> rows of x and y, and of the smallest and largest y where runs differ."""


@dataclass(frozen=True)
class Shown:
    """A section: its heading, what is to be said of it, and its plots if there is anything to plot."""

    title: str
    said: str
    drawing: Drawing | None


def sections_of(board: Dashboard, found: Sequence[Line]) -> list[Shown]:
    """The sections of ``board`` that records of these lines can fill, but for the table's own bars (`plots`)."""
    named = _named(found)
    drawn: dict[str, Callable[[Section, Named], Shown | None]] = {
        "overlay": _overlays,
        "curves": _curves,
        "bars": _bars,
        "media": _pictures,
    }
    own = [section for section in board.sections if not any(set(p.keys) & set(board.values) for p in section.panels)]
    shown = (drawn[section.panels[0].kind](section, named) for section in own)
    return [one for one in shown if one is not None]


def _named(found: Sequence[Line]) -> Named:
    """Lines by row; of one row under several conditions, numbered in the order of the table, as its bars are."""
    seen: Counter[str] = Counter()
    named = {}
    for line in found:
        row = line.row.name
        seen[row] += 1
        named[row if seen[row] == 1 else f"{row} ({seen[row]})"] = line
    return named


def _overlays(section: Section, named: Named) -> Shown | None:
    """A plot a column, in it a line a row."""
    columns: dict[str, Curves] = defaultdict(dict)
    kept = 0
    for name, line in named.items():
        for column, cells in line.filled.items():
            rates = [rate for _, record in cells if (rate := _true_rates(line, record)) is not None]
            kept += len(rates)
            if rates:
                columns[column][name] = np.stack([np.r_[0, RATES], np.r_[0, np.mean(rates, 0)]])
    if not columns:
        return None
    order = [c for c in dict.fromkeys(column for line in named.values() for column in line.filled) if c in columns]
    panel = section.panels[0]

    def unit_square(axes: Axes) -> None:
        axes.plot([0, 1], [0, 1], color=style.FAINT, linewidth=1, zorder=1)
        axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), xlabel=panel.x, ylabel=panel.y, aspect="equal")
        axes.set_xticks([0, 0.5], ["0", "0.5"])
        axes.set_yticks([0, 0.5, 1], ["0", "0.5", "1"])

    drawing = _plots({column: columns[column] for column in order}, list(named), panel, unit_square)
    return Shown(
        section.title,
        f"Of the score that each row counts: mean of the {panel.y} over runs at each {panel.x}. {_of(kept, named)} "
        "have their raw scores here.",
        drawing,
    )


def _true_rates(line: Line, record: Record) -> np.ndarray | None:
    """True positive rate of a record at each of `RATES`; None where it has no raw scores."""
    name = f"score/{line.row.score or record['primary']}"
    try:
        arrays = read_arrays(Path(record["path"]).with_name("scores.npz"))
    except (OSError, NoveltyError):  # not kept, or damaged: the caption counts those that are there
        return None
    if name not in arrays or len(np.unique(arrays["novel"])) < 2:
        return None
    true, false = count(arrays[name], arrays["novel"]).alarms()
    return np.interp(RATES, np.r_[0, false / false[-1]], np.r_[0, true / true[-1]])


def _curves(section: Section, named: Named) -> Shown | None:
    """A plot a logged name, in it a line a row; rows that share a training have one line."""
    logs: dict[str, list[Series]] = defaultdict(list)
    seen: set[Path] = set()
    for name, line in named.items():
        for record in _records(line):
            folder = Path(record["path"]).parents[1]
            if folder not in seen and (log := read_log(folder / FOLDER / "csv")):
                logs[name].append(log)
            seen.add(folder)
    known = {name for own in logs.values() for log in own for name in log}
    plots: dict[str, Curves] = {}
    for panel in section.panels:
        for logged in panel.shown(known):
            plots[logged] = {
                name: _joined([log[logged] for log in own if logged in log])
                for name, own in logs.items()
                if any(logged in log for log in own)
            }
    if not plots:
        return None
    drawing = _plots(plots, list(named), section.panels[0], lambda axes: axes.set_xlabel("training step"))
    count_of = sum(map(len, logs.values()))
    return Shown(
        section.title,
        f"Mean over runs, smallest to largest as a band. {count_of} of {len(seen)} trainings have their logs here "
        "(logger=wandb and logger=tensorboard keep them, or keep=weights).",
        drawing,
    )


def _joined(runs: Sequence[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """Steps that all ``runs`` have passed, and mean, smallest and largest value there: (4, n)."""
    finite = [(steps[np.isfinite(values)], values[np.isfinite(values)]) for steps, values in runs]
    finite = [(steps, values) for steps, values in finite if len(steps)]
    if not finite:
        return np.empty((4, 0))
    first, last = max(steps[0] for steps, _ in finite), min(steps[-1] for steps, _ in finite)
    every = np.unique(np.concatenate([steps for steps, _ in finite]))
    every = every[(every >= first) & (every <= last)]
    chosen = every[np.unique(np.linspace(0, len(every) - 1, min(POINTS, len(every))).round().astype(int))]
    values = np.stack([np.interp(chosen, steps, values) for steps, values in finite])
    return np.stack([chosen, values.mean(0), values.min(0), values.max(0)])


def _bars(section: Section, named: Named) -> Shown | None:
    """A plot a panel, in it a bar a row: the mean over its runs, whatever their columns."""
    heights: dict[str, dict[str, float]] = {}
    for panel in section.panels:
        for name, line in named.items():
            values = [value for record in _records(line) for value in _values(panel, record)]
            if values:
                heights.setdefault(panel.title, {})[name] = float(np.mean(values))
    if not heights:
        return None
    with style.styled():
        drawing = style.sheet(-(-len(heights) // ACROSS["bars"]) * (0.6 + 0.22 * len(named)))
        for axes, bars in zip(style.panels(drawing, list(heights), ACROSS["bars"]), heights.values(), strict=True):
            colours = [_look(list(named), name)["color"] for name in bars]
            drawn = axes.barh(list(bars), list(bars.values()), color=colours)
            axes.invert_yaxis()
            axes.bar_label(drawn, fmt="%.3g", fontsize=7, padding=2)
            axes.margins(x=0.15)
    machines = dict.fromkeys(machine for line in named.values() for machine in line.environment("hardware"))
    return Shown(section.title, f"Mean over runs, on {'; '.join(machines)}.", drawing)


def _values(panel: Panel, record: Record) -> list[float]:
    logged = numbers(record)
    return [logged[name] for name in panel.shown(set(logged))]


def _pictures(section: Section, named: Named) -> Shown | None:
    """Where the pages of runs are that show them: their pictures would make this page too large to send."""
    records = [record for line in named.values() for record in _records(line)]
    pages = [page for record in records if (page := Path(record["path"]).with_name("page.html")).is_file()]
    if not pages:
        return None
    said = f"{_of(len(pages), named)} were drawn with pictures=true: each has a page of its own, the first {pages[0]}."
    return Shown(section.title, said, None)


def _records(line: Line) -> Iterator[dict[str, Any]]:
    return (record for cells in line.filled.values() for _, record in cells)


def _of(number: int, named: Named) -> str:
    return f"{number} of {sum(1 for line in named.values() for _ in _records(line))} records"


def _plots(plots: Mapping[str, Curves], names: Sequence[str], panel: Panel, finish: Callable[[Axes], Any]) -> Drawing:
    """Curves side by side, a title each, and one key of colours for all of them."""
    across = min(ACROSS[panel.kind], len(plots))
    width = min(style.WIDTH, 2.6 * across)
    key = 0.2 + 0.16 * -(-len(names) // KEY)
    with style.styled():
        drawing = style.sheet(key + -(-len(plots) // across) * (width / across + 0.35), width)
        handles = {}
        for axes, curves in zip(style.panels(drawing, list(plots), across), plots.values(), strict=True):
            for name, (x, y, *band) in curves.items():
                look = _look(names, name)
                (handles[name],) = axes.plot(x, y, linewidth=1, marker="o" if len(x) < 3 else None, **look)
                if band and (band[0] < band[1]).any():
                    axes.fill_between(x, *band, color=look["color"], alpha=0.15, linewidth=0)
            finish(axes)
            axes.label_outer()
        drawing.legend(handles.values(), handles, loc="outside lower center", ncols=KEY, frameon=False, fontsize=7)
    return drawing


def _look(names: Sequence[str], name: str) -> dict[str, Any]:
    """Colour and dashes of a line: those that its bars have, broken where the colours come round again."""
    again, colour = divmod(list(names).index(name), len(style.COLOURS))
    return {"color": style.COLOURS[colour], "linestyle": ("-", "--", ":")[again % 3]}
