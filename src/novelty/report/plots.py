"""A table as bars: ours with their spread, print as marks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from novelty.figures.bars import MEAN, OURS, Bar, Bars, numbers_of, printed_bars
from novelty.figures.style import styled
from novelty.report.compare import Line, class_mean
from novelty.tables import Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

CHANCE = 0.5


def class_bars(table: Table, found: Sequence[Line]) -> Drawing | None:
    """One group a column and the mean, one bar a line of ours; None where no cell of the table was measured.

    Lines of one row under several conditions are bars of their own, numbered in the order of the table.
    """
    columns = [column.name for column in table.columns]
    bars: list[Bar] = []
    seen: Counter[str] = Counter()
    for line in found:
        row = line.row.name
        seen[row] += 1
        name = row if seen[row] == 1 else f"{row} ({seen[row]})"
        for column, cell in line.cells.items():
            std = float("nan") if cell.std is None else cell.std
            bars.append((column, name, OURS, cell.mean, std, cell.repetitions))
        mean = class_mean(line, columns)
        if mean is not None and len(columns) > 1:
            bars.append((MEAN, name, OURS, mean, float("nan"), min(cell.repetitions for cell in line.cells.values())))
        bars += [(bar[0], name, *bar[2:]) for bar in printed_bars(table.printed, columns, [row])]
    if not any(bar[2] == OURS for bar in bars):
        return None
    above = all(value > CHANCE for _, _, _, value, _, _ in bars)
    with styled():
        return Bars(metrics=(table.metric,), base=CHANCE if above and "auroc" in table.metric else 0.0).draw(
            numbers_of(bars)
        )
