"""Our rows of a table against one another, under equal budget and data: ranks, and paired tests over classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from novelty.report.compare import Line, value_of
from novelty.report.match import Conditions
from novelty.tables import Table

LEAST_PAIRS = 6
"""Below it no difference can reach p = 0.05 in a two-sided Wilcoxon test (2 / 2^5 = 0.0625)."""

Unit = tuple[str, tuple[str, ...], str]
"""What two rows are compared on: a column, a member of it, such as a class, and the content of its images (digest)."""

Rows = dict[str, list[Line]]
"""Row -> its lines under equal conditions; several where they differ in the content of the images alone."""


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
    every = {name: _units(table, own) for name, own in comparable(found).items()}
    shared = _shared(list(every.values()))
    if len(every) < 2 or not shared:
        return {}
    sign = -1 if table.higher else 1
    values = np.array([[units[unit] for unit in shared] for units in every.values()])
    placed = np.stack([midranks(sign * column) for column in values.T], 1)
    return dict(zip(every, placed.mean(1).tolist(), strict=True))


def pairs(table: Table, found: Sequence[Line]) -> list[Pair]:
    """Every two of our rows that share units. Seeds are averaged first: they share a test set, classes are cases."""
    tested: list[Pair] = []
    every = {name: _units(table, own) for name, own in comparable(found).items()}
    for (one, mine), (other, theirs) in combinations(every.items(), 2):
        if shared := _shared([mine, theirs]):
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
    """Notes below a table: ranks and pairs; none where no two of our rows have anything in common."""
    tested = pairs(table, found)
    if not tested:
        return []
    rows = list(comparable(found).values())
    placed = ranks(table, found)
    if placed:
        count = len(_shared([_units(table, own) for own in rows]))
        order = ", ".join(f"{name} {rank:.1f}" for name, rank in sorted(placed.items(), key=lambda item: item[1]))
        said = f"mean rank over {_classes(count)} that all of them have: {order}"
    else:
        said = "no class that all of them have, so no ranks"
    notes = [f"Our rows against one another ({_common(rows[0][0].conditions).describe()}): {said}."]
    for pair in tested:
        p = "too few for a test" if pair.p is None else f"p = {pair.p:.2g}"
        difference = f"{pair.difference * table.unit:+.3g}"
        notes.append(f"{pair.first} - {pair.second}: {difference} in the mean of {_classes(pair.units)} ({p}).")
    if any(pair.p is not None for pair in tested):
        holm_too = ", Holm over the pairs" if len(tested) > 1 else ""
        notes.append(f"p: Wilcoxon's signed ranks over classes, two-sided, seeds averaged first{holm_too}.")
    return notes


def _classes(count: int) -> str:
    return "1 class" if count == 1 else f"{count} classes"


def comparable(found: Sequence[Line]) -> Rows:
    """The lines of our rows that may be held against one another.

    Budget, data copy, precision, processes and the versions of framework and metrics are the same for all. Of several
    such sets with two rows or more, that counts which comes nearest to the published conditions, then the largest. Of
    several lines of a row (versions of the method, backbones) the newest version counts, then the fullest line.
    """
    groups: dict[Conditions, dict[str, dict[Conditions, list[Line]]]] = {}
    for line in (line for line in found if line.cells):
        rows = groups.setdefault(_common(line.conditions), {})
        rows.setdefault(line.row.name, {}).setdefault(replace(line.conditions, contents=0), []).append(line)
    best = max(groups.items(), key=lambda group: _standing(*group), default=(None, {}))[1]
    return {name: max(kinds.values(), key=_rank_of_kind) for name, kinds in best.items()}


def _common(conditions: Conditions) -> Conditions:
    """What is the same for rows that are held against one another: not the method's version, nor what it loads."""
    versions = tuple((name, number) for name, number in conditions.versions if name != "method")
    return replace(conditions, contents=0, versions=versions, weights=(), provenance=())


def _standing(conditions: Conditions, rows: Mapping[str, object]) -> tuple[bool, bool, bool, int]:
    """What speaks for a set of rows."""
    return len(rows) > 1, conditions.published_length, conditions.copy == "original", len(rows)


def _rank_of_kind(own: Sequence[Line]) -> tuple[int, int, tuple[str, str]]:
    """What decides between the lines of one row: version, cells, date."""
    version, time = max(line.age for line in own)
    return version, max(len(line.cells) for line in own), time


def _units(table: Table, own: Sequence[Line]) -> dict[Unit, float]:
    """Mean over seeds of every member of every column, the newest content of the images first."""
    values: dict[Unit, list[float]] = {}
    for line in sorted(own, key=lambda line: line.conditions.contents):
        for column, cells in line.filled.items():
            for cell, record in cells:
                if (value := value_of(table, line.row, record)) is not None:
                    values.setdefault((column, cell.member, record["data"]["digest"]), []).append(value)
    return {unit: float(np.mean(seeds)) for unit, seeds in values.items()}


def _shared(every: Sequence[Mapping[Unit, float]]) -> list[Unit]:
    """Units that all have, in the order of the first; where they share a class on several contents, the first."""
    shared: dict[tuple[str, tuple[str, ...]], Unit] = {}
    for unit in every[0] if every else ():
        if all(unit in own for own in every):
            shared.setdefault(unit[:2], unit)
    return list(shared.values())


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
