"""What was logged while a run trained: losses, weights, and the test AUROC of chosen epochs."""

from __future__ import annotations

import csv
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Drawing

from novelty.figures.style import COLOURS, sheet, styled

Series = dict[str, tuple[np.ndarray, np.ndarray]]
"""Name -> (steps (n,), values (n,)), steps rising."""

KINDS = {"loss": "training loss", "weight": "weights of the losses"}
"""What is drawn of a log: names that begin so, and what the axis says."""


def read_log(folder: Path) -> Series:
    """Everything in ``<folder>/metrics*.csv``, parts of a run that was cut joined; later lines win where steps meet."""
    found: dict[str, dict[int, float]] = defaultdict(dict)
    older = sorted(folder.glob("metrics.*.csv"), key=lambda path: int(path.suffixes[-2][1:]))
    for path in [*older, folder / "metrics.csv"]:
        if not path.is_file():
            continue
        with path.open(encoding="utf-8", newline="") as file:
            for line in csv.DictReader(file):
                for name, value in line.items():
                    if value and name not in ("step", "epoch") and line.get("step"):
                        found[name][int(line["step"])] = float(value)
    ordered = {name: sorted(points.items()) for name, points in found.items()}
    return {name: (np.array([s for s, _ in p]), np.array([v for _, v in p])) for name, p in ordered.items()}


DASHES = ("-", (0, (4, 1.5)), (0, (1, 1)))


def training(log: Series, curve: dict[str, Any] | None = None) -> Drawing | None:
    """Losses, weights and the test AUROC, where the evaluation asked for it, each in a panel; None for an empty log."""
    panels = {words: _starting(log, kind) for kind, words in KINDS.items()}
    if curve is not None:
        steps = np.asarray(curve["step"])
        panels["test AUROC (a diagnosis: nothing was chosen by it)"] = {
            name: (steps, np.asarray(values, dtype=float)) for name, values in curve["auroc"].items()
        }
    panels = {words: series for words, series in panels.items() if series}
    if not panels:
        return None
    with styled():
        drawing = sheet(1.9 * len(panels))
        for axes, (words, series) in zip(
            drawing.subplots(len(panels), squeeze=False)[:, 0], panels.items(), strict=True
        ):
            _lines(axes, series)
            axes.set(title=words, xlabel="training step")
        return drawing


def _starting(log: Series, kind: str) -> Series:
    return {name.split("/", 1)[1]: points for name, points in log.items() if name.startswith(f"{kind}/")}


def _lines(axes: Axes, series: Series) -> None:
    """One line a name, broken where the colours come round again; logarithmic over more than two decades."""
    for place, (name, (steps, values)) in enumerate(series.items()):
        again, colour = divmod(place, len(COLOURS))
        look: dict[str, Any] = {"color": COLOURS[colour], "linestyle": DASHES[again % len(DASHES)], "linewidth": 1}
        axes.plot(steps, values, label=name, marker="o" if len(steps) < 3 else None, **look)
    every = np.concatenate([values[np.isfinite(values)] for _, values in series.values()])
    if len(every) and every.min() > 0 and every.max() > 100 * every.min():
        axes.set_yscale("log")
    axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1), borderaxespad=0)
