"""Printed against measured: means, spreads, intervals, verdicts."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from novelty.report.match import Conditions, Filled, Record
from novelty.tables import Cell, Row, Table

Verdict = Literal["reproduced", "better", "worse", "not comparable", "incomplete", "not run"]
MARGIN = 0.01
"""A printed value within one point of ours counts as reproduced even where it lies outside a very narrow interval."""
MINIMUM_REPETITIONS = 3
DRAW = "protocol.repeat="


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

    def environment(self, name: str) -> list[str]:
        """What the records say of the ``hardware`` or ``commit`` that made them, each once."""
        records = [record for cells in self.filled.values() for _, record in cells]
        return list(dict.fromkeys(str(record["environment"].get(name, "unknown")) for record in records))


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


def value_of(table: Table, row: Row, record: Record) -> float | None:
    """What a record says of the table's metric; None where it has no such thing (FID without weights)."""
    known = {**record.get("measured", {}), **record["metrics"].get(row.score or record["primary"], {})}
    return float(known[table.metric]) if table.metric in known else None


def reason_against(row: Row, conditions: Conditions) -> str:
    """Why records under ``conditions`` must not be held against print; empty where they may."""
    reasons = [row.differs] if row.differs else []
    if conditions.scale != 1 or conditions.max_train or conditions.max_test:
        reasons.append(f"budget {conditions.budget}")
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


def lines(table: Table, filled: Filled) -> list[Line]:
    """Every line of ours, in the order of the table; one for each set of conditions, never pooled."""
    found: list[Line] = []
    for row in table.rows:
        own: dict[tuple[Conditions, int], Line] = {}
        copies: dict[str, list[str]] = {}  # contents of each data set: columns may be several data sets
        for column in table.columns:
            for conditions, cells in filled.get((row.name, column.name), {}).items():
                known = copies.setdefault(cells[0][1]["choices"]["data"], [])
                if conditions.digest not in known:
                    known.append(conditions.digest)
                measured = measure(table, row, column.name, cells)
                if measured is None:
                    continue
                key = (replace(conditions, digest=""), known.index(conditions.digest))
                line = own.setdefault(key, Line(row, conditions, {}, reason_against(row, conditions)))
                line.cells[column.name] = measured
                line.filled[column.name] = cells
        found += own.values()
    return found


def class_mean(line: Line, columns: Sequence[str]) -> float | None:
    """Unweighted mean over the columns, where all of them are there."""
    if not all(name in line.cells for name in columns):
        return None
    return float(np.mean([line.cells[name].mean for name in columns]))
