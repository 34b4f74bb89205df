"""Our rows of a table against one another, under equal budget and data: ranks, and paired tests over classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from novelty.report.compare import Line, value_of
from novelty.tables import Table

LEAST_PAIRS = 6
"""Below it no difference can reach p = 0.05 in a two-sided Wilcoxon test (2 / 2^5 = 0.0625)."""

Unit = tuple[str, tuple[str, ...]]
"""What two rows are compared on: a column and a member of it, such as a class."""


@dataclass(frozen=True)
class Pair:
    """Two of our rows over the units that both have. Differences are first less second, in our unit.

    p: two-sided, of Wilcoxon's signed-rank test, after Holm over all pairs of the table; None with too few units.
    """

    first: str
    second: str
    units: int
    difference: float
    p: float | None


def ranks(table: Table, found: Sequence[Line]) -> dict[str, float]:
    """Mean rank of our rows (1 is best, ties share) over the units that all of them have; empty with fewer than two."""
    lines = comparable(found)
    shared = _shared(table, list(lines.values()))
    if len(lines) < 2 or not shared:
        return {}
    sign = -1 if table.higher else 1
    values = np.array([[units[unit] for unit in shared] for units in (_units(table, line) for line in lines.values())])
    placed = np.stack([midranks(sign * column) for column in values.T], 1)
    return dict(zip(lines, placed.mean(1).tolist(), strict=True))


def pairs(table: Table, found: Sequence[Line]) -> list[Pair]:
    """Every two of our rows that share units. Seeds are averaged first: they share a test set, classes are cases."""
    tested: list[Pair] = []
    for (one, first), (other, second) in combinations(comparable(found).items(), 2):
        shared = _shared(table, [first, second])
        if not shared:
            continue
        mine, theirs = _units(table, first), _units(table, second)
        difference = np.array([mine[unit] - theirs[unit] for unit in shared])
        tested.append(Pair(one, other, len(shared), float(difference.mean()), _wilcoxon(difference)))
    adjusted = iter(holm([pair.p for pair in tested if pair.p is not None]))
    return [replace(pair, p=None if pair.p is None else next(adjusted)) for pair in tested]


def holm(p: Sequence[float]) -> list[float]:
    """p values after Holm's step-down correction, in their order.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    adjusted, highest = [0.0] * len(p), 0.0
    for place, i in enumerate(sorted(range(len(p)), key=lambda i: p[i])):
        highest = max(highest, min(1.0, (len(p) - place) * p[i]))
        adjusted[i] = highest
    return adjusted


def in_words(table: Table, found: Sequence[Line]) -> list[str]:
    """Notes below a table: ranks and pairs; none where fewer than two of our rows have anything in common."""
    placed = ranks(table, found)
    if not placed:
        return []
    count = len(_shared(table, list(comparable(found).values())))
    order = ", ".join(f"{name} {rank:.1f}" for name, rank in sorted(placed.items(), key=lambda item: item[1]))
    notes = [f"Our rows, mean rank over {count} shared classes: {order}."]
    for pair in pairs(table, found):
        said = "too few for a test" if pair.p is None else f"p = {pair.p:.2g}"
        notes.append(f"{pair.first} - {pair.second}: {pair.difference * table.unit:+.3g} over {pair.units} ({said}).")
    if len(notes) > 2:
        notes.append("Tests: Wilcoxon's signed ranks over classes, seeds averaged first, Holm over the pairs.")
    return notes


def comparable(found: Sequence[Line]) -> dict[str, Line]:
    """Row -> its line, of the lines that share budget and data; where there are several such groups, the largest."""
    groups: dict[tuple[object, ...], dict[str, Line]] = {}
    for line in (line for line in found if line.cells):
        conditions = line.conditions
        budget = (conditions.scale, conditions.max_train, conditions.max_test)
        group = groups.setdefault((*budget, conditions.copy, conditions.digest), {})
        if line.row.name not in group or len(line.cells) > len(group[line.row.name].cells):
            group[line.row.name] = line
    return max(groups.values(), key=len, default={})


def _units(table: Table, line: Line) -> dict[Unit, float]:
    """Mean over seeds of every member of every column."""
    values: dict[Unit, list[float]] = {}
    for column, cells in line.filled.items():
        for cell, record in cells:
            if (value := value_of(table, line.row, record)) is not None:
                values.setdefault((column, cell.member), []).append(value)
    return {unit: float(np.mean(own)) for unit, own in values.items()}


def _shared(table: Table, lines: Sequence[Line]) -> list[Unit]:
    """Units that all lines have, in the order of the first."""
    every = [_units(table, line) for line in lines]
    return [unit for unit in every[0] if all(unit in own for own in every)] if every else []


def midranks(values: np.ndarray) -> np.ndarray:
    """Ranks of values (n,) from 1, equal ones sharing the mean of theirs."""
    below = (values[None] < values[:, None]).sum(1)
    return below + ((values[None] == values[:, None]).sum(1) + 1) / 2


def wilcoxon(difference: np.ndarray) -> float:
    """Two-sided p of Wilcoxon's signed-rank test for differences (n,), exact given their ties; zeros are left out.

    The ranks' signs are as good as thrown: the number of throws that give each sum is counted, not approximated.
    """
    difference = difference[difference != 0]
    if not len(difference):
        return 1.0
    doubled = np.rint(2 * midranks(np.abs(difference))).astype(int)  # midranks are halves: twice them are whole
    ways = np.zeros(doubled.sum() + 1)
    ways[0] = 1.0
    for rank in doubled:
        ways[rank:] = (ways[rank:] + ways[:-rank]) / 2
        ways[:rank] /= 2
    positive = doubled[difference > 0].sum()
    low = min(positive, len(ways) - 1 - positive)
    return float(min(1.0, 2 * ways[: low + 1].sum()))


def _wilcoxon(difference: np.ndarray) -> float | None:
    return wilcoxon(difference) if len(difference) >= LEAST_PAIRS else None
