"""What a dashboard shows, said once: W&B, TensorBoard, the HTML report and JSON are made from it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal

Kind = Literal["bars", "curves", "overlay", "media"]
"""Last values of runs, values over the steps of a training, lines of several runs laid over one another, pictures."""

ANY = "*"
"""In a logged name: whatever stands there."""


@dataclass(frozen=True)
class Panel:
    """A picture of what runs logged.

    keys: names as they are logged, ``*`` for any text; the panel shows those of them that a run has.
    x, y: columns of the logged table that an overlay draws.
    """

    title: str
    kind: Kind
    keys: tuple[str, ...]
    x: str = ""
    y: str = ""

    def shown(self, logged: set[str]) -> list[str]:
        """Which of the ``logged`` names it shows."""
        patterns = [re.compile(pattern(key)) for key in self.keys]
        return sorted(name for name in logged if any(p.fullmatch(name) for p in patterns))


def pattern(key: str) -> str:
    """A logged name as a regular expression, as Python, TensorBoard and W&B read it."""
    return ".+".join(map(re.escape, key.split(ANY)))


@dataclass(frozen=True)
class Section:
    """Panels under one heading."""

    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True)
class Row:
    """A row of the table as runs.

    scores: whose metric it shows, in the order of the columns (a method may count another one for other data).
    where: what its runs have, as (place, allowed values): the place is ``group`` (method/data), or a key of the
           configuration as ``config.method.grid``.
    """

    name: str
    scores: tuple[str, ...]
    where: tuple[tuple[str, tuple[Any, ...]], ...]


@dataclass(frozen=True)
class Dashboard:
    """One published table.

    table:   its name, which its runs bear as a tag.
    columns: as printed.
    budget:  runs of this budget alone are shown: others must not be averaged with them.
    runs:    W&B's ids of runs that fill cells but may not bear the tag (another table asked for them too).
    by_row, by_column: places (see `Row.where`) that tell rows and columns apart, the fewest that do.
    """

    table: str
    title: str
    metric: str
    budget: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    by_row: tuple[str, ...]
    by_column: tuple[str, ...]
    runs: tuple[str, ...]
    sections: tuple[Section, ...]

    @property
    def grouped(self) -> tuple[str, ...]:
        """By what the table of runs is grouped: rows, then columns."""
        return tuple(dict.fromkeys([*self.by_row, *self.by_column]))

    @property
    def values(self) -> tuple[str, ...]:
        """Logged names of what the table prints."""
        bars = (key for panel in self.panels() if panel.kind == "bars" for key in panel.keys)
        return tuple(key for key in bars if key.rpartition("/")[2] == self.metric)

    def panels(self) -> Iterator[Panel]:
        """Every panel, from top to bottom."""
        for section in self.sections:
            yield from section.panels

    def plain(self) -> dict[str, Any]:
        """Plain containers, ready for JSON."""
        return asdict(self)
