"""A table on the terminal, in Markdown, LaTeX or as CSV: paper | ours | difference | verdict."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table as Grid
from rich.text import Text

from novelty.report.compare import Line, class_mean, printed_values, value_of, verdict
from novelty.report.match import Filled
from novelty.report.paired import in_words
from novelty.tables import Table

MEAN = "mean"

WRONG = "†"
"""At a printed number that is not what its table says."""

SHOWN = 5
"""Unreadable records that are named; more are counted."""


def rows_of(table: Table, found: Sequence[Line], failed: Mapping[tuple[str, str], str]) -> list[list[str]]:
    """Header and lines as text: every printed row, with ours and the difference below it where there is any.

    failed: (row, column) -> why; such a cell is shown as failed where no record fills it.
    """
    sheet = _Sheet(table)
    own = {row.name for row in table.rows}
    out = [["", *sheet.columns, MEAN, "footnote"]]
    for printed in table.printed["rows"]:
        name = printed["method"]
        values = sheet.printed(name)
        mine = [line for line in found if line.row.name == name]
        broken = {column: why for (row, column), why in failed.items() if row == name}
        missing = "not run" if name in own else "not run: no such method here yet"
        texts = [sheet.shown(name, column, value) for column, value in {**values, MEAN: printed["mean"]}.items()]
        out.append([printed["printed"], *texts, "" if mine or broken else missing])
        if broken and not mine:
            marks = ["failed" if column in broken else "-" for column in sheet.columns]
            out.append(["  ours", *marks, "-", f"failed: {next(iter(broken.values()))}"])
        for line in mine:
            out += [sheet.ours(line, broken), sheet.difference(line, values, printed["mean"])]
    return out


class _Sheet:
    """How a table's numbers are written: in its unit, with its digits, better upwards or downwards."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self.columns = [column.name for column in table.columns]
        self.unit = table.unit
        self.digits = 3 if table.bounded and self.unit == 1 else 1

    def printed(self, row: str) -> dict[str, float | None]:
        """Column -> value as printed."""
        values = printed_values(self.table, row)
        return {name: None if (value := values[name]) is None else value * self.unit for name in self.columns}

    def shown(self, row: str, column: str, value: float | None) -> str:
        """A printed value, marked where it is not what the table says."""
        wrong = value is not None and self.table.corrected(row, column)
        return self.text(value) + (WRONG if wrong else "")

    def text(self, value: float | None, sign: str = "") -> str:
        """A value in the table's unit."""
        return "-" if value is None else f"{value:{sign}.{self.digits}f}"

    def ours(self, line: Line, broken: Mapping[str, str]) -> list[str]:
        """Our means and spreads; * where members of a mean are missing."""
        texts = []
        for name in self.columns:
            cell = line.cells.get(name)
            if cell is None:
                texts.append("failed" if name in broken else "-")
                continue
            spread = "" if cell.std is None else f"±{cell.std * self.unit:.{self.digits}f}"
            texts.append(self.text(cell.mean * self.unit) + spread + ("" if cell.complete else "*"))
        mean = class_mean(line, self.columns)
        counts = sorted({cell.repetitions for cell in line.cells.values()})
        count = f"n={counts[0]}" + (f"-{counts[-1]}" if len(counts) > 1 else "")
        total = self.text(None if mean is None else mean * self.unit)
        return ["  ours", *texts, total, f"{count}; {line.conditions.describe()}"]

    def difference(self, line: Line, printed: Mapping[str, float | None], mean: float | None) -> list[str]:
        """Ours less printed, and how many cells came to which verdict."""
        texts, verdicts = [], []
        for name, value in printed.items():
            cell = line.cells.get(name)
            texts.append("" if cell is None or value is None else self.text(cell.mean * self.unit - value, "+"))
            verdicts.append(verdict(self.table, line, name))
        ours = class_mean(line, self.columns)
        total = "" if ours is None or mean is None else self.text(ours * self.unit - mean, "+")
        words = ", ".join(f"{verdicts.count(v)} {v}" for v in dict.fromkeys(verdicts) if v)
        return ["  difference", *texts, total, words + (f" ({line.reason})" if line.reason else "")]


def notes_of(table: Table, found: Sequence[Line], bad: Sequence[dict[str, Any]]) -> list[str]:
    """What has to be said below the table."""
    notes = [table.note] if table.note else []
    for correction in table.corrections:
        names = ", ".join(correction.rows) or "all rows"
        where = f" ({', '.join(correction.columns)})" if 0 < len(correction.columns) < len(table.columns) else ""
        mark = "" if correction.compared else f"{WRONG} "
        notes.append(f"{mark}{names}{where}: {correction.reason} ({correction.standing}).")
    notes += [f"{row.name}: {row.note}." for row in table.rows if row.note]
    notes += in_words(table, found)
    notes += [f"Left out, unreadable: {record['path']} ({record['error']})." for record in bad[:SHOWN]]
    if len(bad) > SHOWN:
        notes.append(f"Left out, unreadable: {len(bad) - SHOWN} more records.")
    return notes


def lacking(table: Table, filled: Filled) -> list[str]:
    """Which rows have records that say nothing of the table's metric (FID without weights)."""
    counts: Counter[str] = Counter()
    for row in table.rows:
        for column in table.columns:
            for members in filled.get((row.name, column.name), {}).values():
                counts[row.name] += sum(value_of(table, row, record) is None for _, record in members)
    return [
        f"{row}: {count} records have no {table.metric}; its YAML says how to get it."
        for row, count in counts.items()
        if count
    ]


def numbered(rows: list[list[str]]) -> tuple[list[list[str]], list[str]]:
    """The lines below the header with their last column turned into marks at the labels, and the footnotes in order."""
    footnotes: dict[str, int] = {}
    lines = []
    for label, *values, footnote in rows[1:]:
        mark = f" [{footnotes.setdefault(footnote, len(footnotes) + 1)}]" if footnote else ""
        lines.append([label + mark, *values])
    return lines, [f"[{number}] {footnote}" for footnote, number in footnotes.items()]


def to_terminal(console: Console, table: Table, rows: list[list[str]], notes: Sequence[str]) -> None:
    """The table, its last column as numbered footnotes; wider than the terminal rather than cut."""
    grid = Grid(title=f"{table.name}: {table.printed['title']}", title_justify="left", box=None, pad_edge=False)
    lines, footnotes = numbered(rows)
    for i, heading in enumerate(rows[0][:-1]):
        grid.add_column(heading, justify="right" if i else "left", no_wrap=True)
    for label, *values in lines:
        style = None if label.startswith("  ours") else "dim" if label.startswith("  ") else "bold"
        grid.add_row(Text(label), *values, style=style)
    wide = Console(
        file=console.file, highlight=False, width=max(console.width, Console(width=1000).measure(grid).maximum)
    )
    wide.print(grid)
    for note in [*footnotes, *notes]:
        console.print(Text(note, style="dim"))


def to_markdown(table: Table, rows: list[list[str]], notes: Sequence[str]) -> str:
    """GitHub-flavoured Markdown."""
    lines = [f"### {table.name}: {table.printed['title']}", ""]
    lines += ["| " + " | ".join(row) + " |" for row in rows[:1]]
    lines += ["|" + "---|" * len(rows[0])]
    lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows[1:]]
    return "\n".join([*lines, "", *notes]) + "\n"


def to_latex(table: Table, rows: list[list[str]], notes: Sequence[str]) -> str:
    """A `table` environment for the booktabs package; differences are left out, as a paper has no room for them."""
    names = [_tex(name) for name in rows[0][1:-1]]
    lines = [r"\begin{table}", r"\centering", rf"\caption{{{_tex(table.printed['title'])}}}"]
    lines += [rf"\begin{{tabular}}{{l{'r' * len(names)}}}", r"\toprule", " & ".join(["", *names]) + r" \\", r"\midrule"]
    for label, *values, _ in rows[1:]:
        if not label.startswith("  difference"):
            shown = rf"\quad {_tex(label.strip())}" if label.startswith("  ") else _tex(label)
            lines.append(" & ".join([shown, *(_tex(value).replace("±", r"$\pm$") for value in values)]) + r" \\")
    lines += [r"\bottomrule", r"\end{tabular}", *(rf"% {note}" for note in notes), r"\end{table}"]
    return "\n".join(lines) + "\n"


def _tex(text: str) -> str:
    """Text with LaTeX's special characters escaped."""
    specials = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    return "".join(specials.get(c, f"\\{c}" if c in "&%$#_{}" else c) for c in text)


def to_csv(rows: list[list[str]]) -> str:
    """Comma-separated, as printed."""
    buffer = io.StringIO()
    csv.writer(buffer).writerows(rows)
    return buffer.getvalue()
