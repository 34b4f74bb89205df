"""Numbers of images by class, as published and as found."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from novelty.data.source import Images

Pair = tuple[int, int]
"""Training images, test images."""

LINES = 40
"""Classes that are shown one by one."""


@dataclass(frozen=True)
class Row:
    """One class. published, found: None where that is not known.

    duplicates: images that repeat another of the class.  masks: images whose mask marks something.
    """

    name: str
    published: Pair | None = None
    found: Pair | None = None
    duplicates: int | None = None
    masks: int | None = None

    @property
    def differs(self) -> bool:
        return None not in (self.published, self.found) and self.published != self.found


def found(images: Images) -> dict[str, Pair]:
    """Numbers of images by class."""
    train, test = (np.bincount(images.labels[images.test == part], minlength=len(images.classes)) for part in (0, 1))
    return {name: (int(train[i]), int(test[i])) for i, name in enumerate(images.classes)}


def rows(
    classes: Sequence[str],
    published: Mapping[str, Pair],
    here: Mapping[str, Pair] | None = None,
    duplicates: Mapping[str, int] | None = None,
    masks: Mapping[str, int] | None = None,
) -> list[Row]:
    """A row for each of ``classes``, and for each class that is published and not among them."""
    names = [*classes, *(name for name in published if name not in classes)]
    return [
        Row(
            name,
            published.get(name),
            None if here is None else here.get(name, (0, 0)),
            None if duplicates is None else duplicates.get(name, 0),
            None if masks is None else masks.get(name, 0),
        )
        for name in names
    ]


def table(of: Sequence[Row]) -> list[list[str]]:
    """Heading and lines; more than `LINES` classes are summed up but for those that differ or hold duplicates."""
    columns: dict[str, Callable[[Row], str]] = {
        "published": lambda row: pair(row.published),
        "here": lambda row: pair(row.found) + (" !" if row.differs else ""),
        "duplicates": lambda row: number(row.duplicates),
        "masks": lambda row: number(row.masks),
    }
    shown = _shortened(of)
    lines = [[row.name, *(show(row) for show in columns.values())] for row in shown]
    kept = [0, *(i for i in range(1, 1 + len(columns)) if any(line[i] for line in lines))]
    return [[line[i] for i in kept] for line in [["class", *columns], *lines]]


def pair(counts: Pair | None) -> str:
    """``5,000 + 1,000``"""
    return "" if counts is None else f"{counts[0]:,} + {counts[1]:,}"


def number(count: int | None) -> str:
    """``5,000``"""
    return "" if count is None else f"{count:,}"


def _shortened(of: Sequence[Row]) -> list[Row]:
    if len(of) <= LINES:
        return list(of)
    order = sorted(of, key=lambda row: not (row.differs or row.duplicates))
    shown, rest = order[: LINES - 1], order[LINES - 1 :]
    return [*(row for row in of if row in shown), _sum(rest)]


def _sum(of: Sequence[Row]) -> Row:
    name = f"{len(of)} more"
    return Row(
        name,
        _added([row.published for row in of]),
        _added([row.found for row in of]),
        None if of[0].duplicates is None else sum(row.duplicates or 0 for row in of),
        None if of[0].masks is None else sum(row.masks or 0 for row in of),
    )


def _added(pairs: Sequence[Pair | None]) -> Pair | None:
    """Their sum; None where one is not known."""
    known = [counts for counts in pairs if counts is not None]
    return (sum(c[0] for c in known), sum(c[1] for c in known)) if len(known) == len(pairs) else None
