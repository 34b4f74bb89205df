"""A published table, or figure, as data: which cells it has, what was printed in them, and how a cell is run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from pathlib import Path
from typing import Any

import yaml

from novelty.config import experiments_dir
from novelty.errors import NoveltyError


@dataclass(frozen=True)
class Row:
    """A method as a table's row.

    overrides: what makes it this row.  seeds: trainings per cell.  deterministic: seeds change nothing, one is enough.
    differs: in what it is not what was printed, where that is on purpose (another protocol): then nothing is compared.
    needs: provenance that a comparable record must have, such as ``{"backbone": "VGG-19 ImageNet"}``.
    """

    name: str
    overrides: tuple[str, ...]
    seeds: tuple[int, ...]
    score: str | None = None
    deterministic: bool = False
    needs: tuple[tuple[str, str], ...] = ()
    note: str = ""
    differs: str = ""


@dataclass(frozen=True)
class Column:
    """One printed column: the mean over ``members``, each a set of overrides (one member where nothing is averaged)."""

    name: str
    members: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Cell:
    """One training and evaluation that a table asks for. ``member``: which one of those that its column averages."""

    row: str
    column: str
    seed: int
    fixed: tuple[str, ...]
    member: tuple[str, ...] = ()

    @property
    def overrides(self) -> list[str]:
        """What is typed to run this cell alone."""
        return [*self.fixed, f"seed={self.seed}"]


@dataclass(frozen=True)
class Layout:
    """Rows and columns of cells: all of a figure that is run, and what a table is beside its print."""

    name: str
    rows: tuple[Row, ...]
    columns: tuple[Column, ...]
    common: tuple[str, ...]

    def cells(self) -> Iterator[Cell]:
        """Every cell, row by row."""
        for row, column in product(self.rows, self.columns):
            for member, seed in product(column.members, row.seeds):
                yield Cell(row.name, column.name, seed, (*self.common, *row.overrides, *member), member)


@dataclass(frozen=True)
class Correction:
    """Printed numbers that are not what their table says; ``rows`` and ``columns`` ("mean" is one), all where empty.

    compared: only said below the table, where True; otherwise nothing is held against these numbers.
    """

    table: str
    reason: str
    standing: str
    rows: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    compared: bool = False

    def touches(self, row: str, column: str) -> bool:
        """Whether this number is one of them."""
        return (not self.rows or row in self.rows) and (not self.columns or column in self.columns)


@dataclass(frozen=True)
class Table(Layout):
    """A table of `experiments/table`, with the printed block that it stands for and what is wrong with that."""

    metric: str
    printed: dict[str, Any]
    note: str = ""
    corrections: tuple[Correction, ...] = ()

    @property
    def unit(self) -> float:
        """What a printed value is divided by for ours: 100 for percent, 1 for fractions and for what has no unit."""
        return float(self.printed["unit_max"] or 1)

    @property
    def higher(self) -> bool:
        """Whether a higher value is better."""
        return bool(self.printed.get("higher_is_better", True))

    @property
    def bounded(self) -> bool:
        """Whether values lie between 0 and the unit, as an AUROC does and an FID does not."""
        return self.printed["unit_max"] is not None

    def corrected(self, row: str, column: str) -> Correction | None:
        """Why nothing is held against a printed number; None where it may be."""
        return next((c for c in self.corrections if not c.compared and c.touches(row, column)), None)


def load_table(name: str) -> Table:
    """The table ``name`` ("piad/table2_mnist") with its printed numbers; NoveltyError where the file is at odds."""
    path = experiments_dir() / "table" / f"{name}.yaml"
    try:
        spec = _read(path)
        return Table(
            **vars(_layout(name, spec)),
            metric=spec["metric"],
            printed=published(spec["published"]),
            note=spec.get("note", ""),
            corrections=corrections(spec["published"]),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise NoveltyError(f"The table file {path} lacks or misplaces {error}.") from error


def load_figure(name: str) -> Layout | None:
    """The cells of the figure ``name`` ("crbnd/fig3"), below ``cells`` in its file; None where it needs no training."""
    path = experiments_dir() / "figure" / f"{name}.yaml"
    try:
        spec = _read(path)
        return _layout(name, spec["cells"]) if "cells" in spec else None
    except (KeyError, TypeError, AttributeError) as error:
        raise NoveltyError(f"The figure file {path} lacks or misplaces {error}.") from error


def corrections(identifier: str) -> tuple[Correction, ...]:
    """What is known to be wrong with the printed block ``piad/table2_mnist``."""
    listed = _read(experiments_dir() / "published" / "corrections.yaml")["corrections"]
    own = [dict(entry) for entry in listed if entry["table"] == identifier]
    for entry in own:
        entry |= {name: tuple(str(value) for value in entry.get(name, ())) for name in ("rows", "columns")}
    return tuple(Correction(**entry) for entry in own)


def _layout(name: str, spec: dict[str, Any]) -> Layout:
    seeds = tuple(spec.get("seeds", [0]))
    rows = tuple(
        Row(
            name=key,
            overrides=tuple(row["overrides"]),
            seeds=tuple(row.get("seeds", seeds)),
            score=row.get("score"),
            deterministic=row.get("deterministic", False),
            needs=tuple(row.get("needs", {}).items()),
            note=row.get("note", ""),
            differs=row.get("differs", ""),
        )
        for key, row in spec["rows"].items()
    )
    return Layout(name, rows, tuple(_columns(spec["columns"])), tuple(spec.get("common", [])))


def _columns(spec: dict[str, Any]) -> Iterator[Column]:
    """``{each: {key: values}}`` is one column a value, and ``average: {key: values}`` beside it the members of each;

    otherwise name -> {overrides, average: {key: values}}.
    """
    if "each" in spec:
        ((key, values),) = spec["each"].items()
        for value in values:
            yield Column(str(value), _members((f"{key}={value}",), spec))
        return
    for name, column in spec.items():
        yield Column(str(name), _members(tuple(column.get("overrides", [])), column))


def _members(fixed: tuple[str, ...], spec: dict[str, Any]) -> tuple[tuple[str, ...], ...]:
    averaged = [[f"{key}={value}" for value in values] for key, values in spec.get("average", {}).items()]
    return tuple((*fixed, *member) for member in product(*averaged))


def published(identifier: str) -> dict[str, Any]:
    """The printed block ``piad/table2_mnist``: columns, rows with values as printed, unit."""
    paper = identifier.split("/", 1)[0]
    for table in _read(experiments_dir() / "published" / f"{paper}.yaml")["tables"]:
        if table["id"] == identifier:
            return dict(table)
    raise NoveltyError(f"No printed table {identifier} in experiments/published/{paper}.yaml.")


@lru_cache(maxsize=64)
def _read(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise NoveltyError(f"{path} cannot be read as YAML: {error}.") from error
    return dict(content)
