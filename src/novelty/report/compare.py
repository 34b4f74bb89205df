"""Printed against measured: means, spreads, intervals, verdicts."""

from __future__ import annotations

import math
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal

import numpy as np

from novelty.report.match import Conditions, Filled, Record, made
from novelty.tables import Cell, Row, Table

Verdict = Literal["reproduced", "better", "worse", "not comparable", "incomplete", "not run"]
MARGIN = 0.01
"""A printed value within one point of ours counts as reproduced even where it lies outside a very narrow interval."""
MINIMUM_REPETITIONS = 3
DRAW = "protocol.repeat="
LAST_EPOCHS = "_mean_last_"
"""In the names of metrics that are means over the last epochs of a training; variance and std have names alike."""


@dataclass(frozen=True)
class Measured:
    """One cell of ours.

    mean, std:   over repetitions, of means over the members of the column; a repetition is a seed or, where a column
                 averages over draws of the split (``protocol.repeat``), a seed and a draw.
    interval:    95 %, Student's t, from 3 repetitions on.
    complete:    whether every other member of the column is there.
    """

    mean: float
    std: float | None
    interval: tuple[float, float] | None
    repetitions: int
    complete: bool


@dataclass(frozen=True)
class Line:
    """Our side of one printed row, under one set of conditions.

    reason:  why it is not comparable with print; empty where it is.
    filled:  column -> the records behind it, with their cells.
    """

    row: Row
    conditions: Conditions
    cells: dict[str, Measured]
    reason: str
    filled: dict[str, list[tuple[Cell, Record]]] = field(default_factory=dict)

    @property
    def records(self) -> list[Record]:
        """Every record behind the line."""
        return [record for cells in self.filled.values() for _, record in cells]

    @property
    def age(self) -> tuple[int, tuple[str, str]]:
        """Versions of method, framework and metrics added up, and when the newest record was made: higher is newer."""
        version = sum(number for _, number in self.conditions.versions)
        return version, max((made(record) for record in self.records), default=("", ""))

    def environment(self, name: str) -> list[str]:
        """What the records say of the ``hardware`` or ``commit`` that made them, each once."""
        return list(dict.fromkeys(str(record["environment"].get(name) or "unknown") for record in self.records))


def measure(table: Table, row: Row, column: str, filled: Sequence[tuple[Cell, Record]]) -> Measured | None:
    """Aggregate the records of one cell of the table; None where none of them has the metric (FID without weights)."""
    sizes = Counter(_draw(member) for c in table.columns if c.name == column for member in c.members)
    found: dict[tuple[int, str], list[float]] = {}
    for cell, record in filled:
        if (value := value_of(table, row, record)) is not None:
            found.setdefault((cell.seed, _draw(cell.member)), []).append(value)
    if not found:
        return None
    whole = {key: values for key, values in found.items() if len(values) == sizes[key[1]]}
    means = np.array([np.mean(values) for values in (whole or found).values()])
    count = len(means)
    std = float(means.std(ddof=1)) if count > 1 else None
    interval = None
    if std is not None and count >= MINIMUM_REPETITIONS:
        from scipy.special import stdtrit  # Student's t; scipy.stats takes seconds to import

        half = float(stdtrit(count - 1, 0.975)) * std / math.sqrt(count)
        interval = (float(means.mean()) - half, float(means.mean()) + half)
    return Measured(float(means.mean()), std, interval, count, bool(whole))


def _draw(member: Sequence[str]) -> str:
    """Which draw of the split a member of a column is; empty where the column does not average over draws."""
    return next((override for override in member if override.lstrip("+").startswith(DRAW)), "")


def value_of(table: Table, row: Row, record: Record, metric: str = "") -> float | None:
    """What a record says of the table's metric, or another; None where it has no such number (FID without weights)."""
    known = {**record.get("measured", {}), **record["metrics"].get(row.score or record["primary"], {})}
    value = known.get(metric or table.metric)
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not abs(value) <= sys.float_info.max:
        return None
    return float(value)


def over_epochs(table: Table, line: Line, statistic: str) -> dict[str, float]:
    """Column -> "variance" or "std" of the metric over the last epochs of a training, mean over our trainings.

    Empty where the table's metric is no mean over epochs, or nothing was trained for more than one.
    """
    if LAST_EPOCHS not in table.metric:
        return {}
    _, last = table.metric.split(LAST_EPOCHS)
    metric = table.metric.replace("_mean_", f"_{statistic}_")
    found = {}
    for column, cells in line.filled.items():
        known = [
            value
            for _, record in cells
            if (value := value_of(table, line.row, record, metric)) is not None
            and (value_of(table, line.row, record, f"epochs_last_{last}") or 0) > 1
        ]
        if known:
            found[column] = float(np.mean(known))
    return found


def reason_against(row: Row, conditions: Conditions) -> str:
    """Why records under ``conditions`` must not be held against print; empty where they may."""
    reasons = [row.differs] if row.differs else []
    if not conditions.published_length:
        reasons.append(f"budget {conditions.length}")
    if conditions.copy != "original":
        reasons.append(f"data: {conditions.copy}")
    provenance = dict(conditions.provenance)
    reasons += [
        f"{name}: {provenance.get(name, 'unknown')} in place of {wanted}"
        for name, wanted in row.needs
        if provenance.get(name) != wanted
    ]
    return "; ".join(reasons)


def verdict(table: Table, line: Line, column: str) -> Verdict | None:
    """What a cell of ours says of the printed value; None where nothing was printed."""
    printed = printed_values(table, line.row.name).get(column)
    if printed is None:
        return None
    measured = line.cells.get(column)
    if measured is None:
        return "not run"
    if line.reason or table.corrected(line.row.name, column):
        return "not comparable"
    if not measured.complete or (measured.repetitions < MINIMUM_REPETITIONS and not line.row.deterministic):
        return "incomplete"
    inside = measured.interval is not None and measured.interval[0] <= printed <= measured.interval[1]
    if inside or (table.bounded and abs(measured.mean - printed) <= MARGIN + 1e-9):
        return "reproduced"
    return "better" if (measured.mean > printed) == table.higher else "worse"


def printed_values(table: Table, row: str) -> dict[str, float | None]:
    """Column -> printed value of a row, in our unit; empty where the paper has no such row."""
    for printed in table.printed["rows"]:
        if printed["method"] == row:
            named = zip(table.printed["columns"], printed["values"], strict=True)
            return {str(name): None if value is None else value / table.unit for name, value in named}
    return {}


def spread_of(table: Table, row: str) -> dict[str, float]:
    """Column -> the printed value behind a row's +-, as printed; empty where the row has none."""
    for printed in table.printed["rows"]:
        if printed["method"] == row and printed.get("std"):
            named = zip(table.printed["columns"], printed["std"], strict=True)
            return {str(name): value for name, value in named if value is not None}
    return {}


def decimals(table: Table) -> int:
    """How many decimals the printed block has, means included; at least one, as ours are no whole numbers."""
    rows = table.printed["rows"]
    return max(1, most_decimals(value for row in rows for value in (*row["values"], row["mean"])))


def most_decimals(values: Iterable[float | None]) -> int:
    """Of the shortest texts of numbers: what YAML leaves of 97.70 has one."""
    texts = (Decimal(repr(value)) for value in values if value is not None and not float(value).is_integer())
    return max((-int(text.as_tuple().exponent) for text in texts), default=0)


def lines(table: Table, filled: Filled) -> list[Line]:
    """Every line of ours, in the order of the table; one for each set of conditions, never pooled."""
    found: list[Line] = []
    for row in table.rows:
        own: dict[Conditions, Line] = {}
        for column in table.columns:
            for conditions, cells in filled.get((row.name, column.name), {}).items():
                measured = measure(table, row, column.name, cells)
                if measured is None:
                    continue
                line = own.setdefault(conditions, Line(row, conditions, {}, reason_against(row, conditions)))
                line.cells[column.name] = measured
                line.filled[column.name] = cells
        found += own.values()
    return found


def class_mean(line: Line, columns: Sequence[str]) -> float | None:
    """Unweighted mean over the columns, where all of them are there."""
    if not all(name in line.cells for name in columns):
        return None
    return float(np.mean([line.cells[name].mean for name in columns]))
