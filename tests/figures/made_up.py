"""Records that nobody ran."""

from __future__ import annotations

from typing import Any

from novelty.figures.cells import Run
from novelty.tables import Cell, Row


def made_up(
    row: str, column: str, seed: int, metrics: dict[str, dict[str, float]] | None, *, member: tuple[str, ...] = (),
    **more: Any,
) -> Run:  # fmt: skip
    """A cell with these metrics by score, the first of which counts; with None it is missing."""
    record = None if metrics is None else {"metrics": metrics, "primary": next(iter(metrics)), **more}
    return Run(Cell(row, column, seed, (), member), Row(row, (), (seed,)), record)
