"""A table on the terminal, in Markdown or as CSV: paper | ours | difference | verdict."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table as Grid
from rich.text import Text

from novelty.report.compare import Line, Measured, class_mean, verdict
from novelty.tables import Row, Table

MEAN = "mean"


def rows_of(table: Table, found: Sequence[Line]) -> list[list[str]]:
    """Header and lines as text: every printed row, with ours and the difference below it where there is any."""
    columns = [column.name for column in table.columns]
    unit = float(table.printed["unit_max"])
    digits = 3 if unit == 1 else 1
    own = {row.name: row for row in table.rows}
    out = [["", *columns, MEAN, "footnote"]]
    for printed in table.printed["rows"]:
        values = _printed_values(table, printed)
        mean = printed["mean"]
        texts = [_text(v, digits) for v in values.values()] + [_text(mean, digits)]
        mine = [line for line in found if line.row.name == printed["method"]]
        built = printed["method"] in own
        out.append(
            [printed["printed"], *texts, "" if mine else "not run" if built else "not run: no such method here yet"]
        )
        for line in mine:
            out += _ours(line, columns, values, mean, unit, digits)
    return out


def _printed_values(table: Table, printed: dict[str, Any]) -> dict[str, float | None]:
    by_name = dict(zip(map(str, table.printed["columns"]), printed["values"], strict=True))
    return {column.name: by_name[column.name] for column in table.columns}


def _ours(
    line: Line, columns: Sequence[str], printed: dict[str, float | None], mean: float | None, unit: float, digits: int
) -> list[list[str]]:
    cells = [line.cells.get(name) for name in columns]
    ours = class_mean(line, columns)
    seeds = sorted({cell.seeds for cell in cells if cell})
    count = f"n={seeds[0]}" if len(seeds) == 1 else f"n={seeds[0]}-{seeds[-1]}"
    values = [_measured(cell, unit, digits) for cell in cells] + [_text(ours and ours * unit, digits)]
    result = [["  ours", *values, f"{count}; {line.conditions.describe()}"]]
    differences, verdicts = [], []
    for name, cell in zip(columns, cells, strict=True):
        value = printed[name]
        known = cell is not None and value is not None
        differences.append(f"{cell.mean * unit - value:+.{digits}f}" if known else "")  # type: ignore[union-attr, operator]
        verdicts.append(verdict(line.row, line, cell, None if value is None else value / unit))
    total = f"{ours * unit - mean:+.{digits}f}" if ours is not None and mean is not None else ""
    counted = {v: verdicts.count(v) for v in dict.fromkeys(verdicts) if v}
    words = ", ".join(f"{n} {v}" for v, n in counted.items()) + (f" ({line.reason})" if line.reason else "")
    return [*result, ["  difference", *differences, total, words]]


def _text(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _measured(cell: Measured | None, unit: float, digits: int) -> str:
    if cell is None:
        return "-"
    mean = f"{cell.mean * unit:.{digits}f}"
    return mean + ("" if cell.std is None else f"±{cell.std * unit:.{digits}f}") + ("" if cell.complete else "*")


def notes_of(table: Table, rows: Sequence[Row], bad: Sequence[dict[str, Any]]) -> list[str]:
    """What has to be said below the table."""
    notes = [table.note] if table.note else []
    notes += [f"{row.name}: {row.note}." for row in rows if row.note]
    notes += [f"Left out, unreadable: {record['path']} ({record['error']})." for record in bad]
    return notes


def to_terminal(console: Console, table: Table, rows: list[list[str]], notes: Sequence[str]) -> None:
    """The table, its last column as numbered footnotes; wider than the terminal rather than cut."""
    grid = Grid(title=f"{table.name}: {table.printed['title']}", title_justify="left", box=None, pad_edge=False)
    footnotes: dict[str, int] = {}
    for i, heading in enumerate(rows[0][:-1]):
        grid.add_column(heading, justify="right" if i else "left", no_wrap=True)
    for label, *values, footnote in rows[1:]:
        mark = f" [{footnotes.setdefault(footnote, len(footnotes) + 1)}]" if footnote else ""
        style = None if label.startswith("  ours") else "dim" if label.startswith("  ") else "bold"
        grid.add_row(Text(label + mark), *values, style=style)
    wide = Console(
        file=console.file, highlight=False, width=max(console.width, Console(width=1000).measure(grid).maximum)
    )
    wide.print(grid)
    for footnote, number in footnotes.items():
        console.print(Text(f"[{number}] {footnote}", style="dim"))
    for note in notes:
        console.print(Text(note, style="dim"))


def to_markdown(table: Table, rows: list[list[str]], notes: Sequence[str]) -> str:
    """GitHub-flavoured Markdown."""
    lines = [f"### {table.name}: {table.printed['title']}", ""]
    lines += ["| " + " | ".join(row) + " |" for row in rows[:1]]
    lines += ["|" + "---|" * len(rows[0])]
    lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows[1:]]
    return "\n".join([*lines, "", *notes]) + "\n"


def to_csv(rows: list[list[str]]) -> str:
    """Comma-separated, as printed."""
    buffer = io.StringIO()
    csv.writer(buffer).writerows(rows)
    return buffer.getvalue()
