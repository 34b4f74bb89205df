"""What a figure leaves on disk: its numbers, its picture, and what both rest on."""

from __future__ import annotations

import csv
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from novelty.figures import style
from novelty.figures.base import Columns, Numbers
from novelty.results.records import write, write_json

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

SCHEMA = 1
"""Version of the layout of about.json."""


def write_figure(folder: Path, numbers: Numbers, drawing: Drawing, about: dict[str, Any]) -> None:
    """``numbers.csv`` (and further tables), ``figure.png``, ``figure.svg`` and ``about.json``, by atomic rename."""
    for table, columns in numbers.tables.items():
        write(folder / f"{table}.csv", partial(_write_csv, columns=columns))
    style.save(drawing, folder)
    write_json(folder / "about.json", {"schema": SCHEMA, **about})


def _write_csv(path: Path, columns: Columns) -> None:
    """A heading and one line a row; seven digits, which is what float32 has."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        for row in zip(*(column.tolist() for column in columns.values()), strict=True):
            writer.writerow([f"{value:.7g}" if isinstance(value, float) else value for value in row])
