"""A table on the terminal, in Markdown, LaTeX or as CSV: paper | ours | difference | verdict."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from rich.console import Console
from rich.table import Table as Grid
from rich.text import Text

from novelty.report.compare import (
    Line,
    class_mean,
    decimals,
    most_decimals,
    over_epochs,
    printed_values,
    spread_of,
    value_of,
    verdict,
)
from novelty.report.match import Conditions, Filled, Record
from novelty.report.paired import in_words
from novelty.tables import Table

MEAN = "mean"

WRONG = "†"
"""At a printed number that is not what its table says."""

SHOWN = 5
"""Unreadable records, commits and machines that are named; more are counted."""

DIFFERENCE = "  difference"
EPOCH_DIGITS = 3
"""Decimals of our variances and deviations over epochs."""


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
        broken = {column: one_line(why) for (row, column), why in failed.items() if row == name}
        missing = "not run" if name in own else "not run: no such method here yet"
        texts = [sheet.shown(name, column, value) for column, value in {**values, MEAN: printed["mean"]}.items()]
        out.append([printed["printed"], *texts, "" if mine or broken else missing])
        out += sheet.spread(name)
        if broken and not mine:
            marks = ["failed" if column in broken else "-" for column in sheet.columns]
            out.append(["  ours", *marks, "-", _reasons(broken)])
        for line in mine:
            others = [other.conditions for other in mine]
            out += [sheet.ours(line, others, broken), sheet.difference(line, values, printed["mean"])]
            out += sheet.epochs(line)
    return out


def one_line(text: str) -> str:
    """Text as a cell or a note holds it, whatever lines it had."""
    return " ".join(text.split())


def _reasons(broken: Mapping[str, str]) -> str:
    """Why cells failed, each reason once."""
    return "failed: " + "; ".join(_few(list(dict.fromkeys(broken.values()))))


def _few(names: Sequence[str]) -> list[str]:
    """The first `SHOWN`, and how many more there are."""
    more = len(names) - SHOWN
    return [*names[:SHOWN], *([f"{more} more"] if more > 0 else [])]


class _Sheet:
    """How a table's numbers are written: in its unit, with its digits, better upwards or downwards."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self.columns = [column.name for column in table.columns]
        self.unit = table.unit
        self.digits = decimals(table)

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

    def ours(self, line: Line, others: Sequence[Conditions], broken: Mapping[str, str]) -> list[str]:
        """Our means and spreads; * where members of a mean are missing. ``others``: conditions of the row's lines."""
        texts = []
        for name in self.columns:
            cell = line.cells.get(name)
            if cell is None:
                texts.append("failed" if name in broken else "-")
                continue
            spread = "" if cell.std is None else f"±{cell.std * self.unit:.{self.digits}f}"
            texts.append(self.text(cell.mean * self.unit) + spread + ("" if cell.complete else "*"))
        mean = class_mean(line, self.columns)
        total = self.text(None if mean is None else mean * self.unit)
        said = [repetitions(line), line.conditions.describe(others), *several(line)]
        left = {name: why for name, why in broken.items() if name not in line.cells}
        return ["  ours", *texts, total, "; ".join([*said, *([_reasons(left)] if left else [])])]

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
        return [DIFFERENCE, *texts, total, words + (f" ({line.reason})" if line.reason else "")]

    def spread(self, row: str) -> Iterator[list[str]]:
        """What is printed behind a row's ±, on a line of its own: it need not be what stands behind ours."""
        if printed := spread_of(self.table, row):
            kind = str(self.table.printed.get("std_kind") or "not said of what").replace("_", " ")
            digits = most_decimals(v for row in self.table.printed["rows"] for v in row.get("std") or ())
            yield [
                "  ± in print",
                *self._small(printed, 1, digits),
                "",
                f"± in print: {kind}; ± of ours: std over repetitions",
            ]

    def epochs(self, line: Line) -> Iterator[list[str]]:
        """Our variance and standard deviation over the last epochs: what ± in print may be."""
        for statistic, unit in (("variance", self.unit**2), ("std", self.unit)):
            if found := over_epochs(self.table, line, statistic):
                said = "over the last epochs of each training, mean over trainings: what ± in print may be"
                yield [f"  {statistic}, epochs", *self._small(found, unit, EPOCH_DIGITS), "", said]

    def _small(self, values: Mapping[str, float], unit: float, digits: int) -> list[str]:
        return [f"{values[name] * unit:.{digits}f}" if name in values else "-" for name in self.columns]


def repetitions(line: Line) -> str:
    """How many there are of a cell, from the least to the most."""
    counts = sorted({cell.repetitions for cell in line.cells.values()})
    return f"n={counts[0]}" + (f"-{counts[-1]}" if len(counts) > 1 else "")


def several(line: Line) -> list[str]:
    """Commits and machines, where the records of a line come from more than one: they are pooled all the same."""
    found = [(what, line.environment(name)) for what, name in (("commits", "commit"), ("machines", "hardware"))]
    return [f"{what} {', '.join(_few(names))}" for what, names in found if len(names) > 1]


def unreadable(bad: Sequence[Record]) -> list[str]:
    """Sentences on the records that cannot be read."""
    notes = [f"Left out, unreadable: {record['path']} ({one_line(record['error'])})." for record in bad[:SHOWN]]
    if len(bad) > SHOWN:
        notes.append(f"Left out, unreadable: {len(bad) - SHOWN} more records.")
    return notes


def notes_of(table: Table, found: Sequence[Line], bad: Sequence[Record]) -> list[str]:
    """What has to be said below the table."""
    notes = [table.note] if table.note else []
    for correction in table.corrections:
        names = ", ".join(correction.rows) or "all rows"
        where = f" ({', '.join(correction.columns)})" if 0 < len(correction.columns) < len(table.columns) else ""
        mark = "" if correction.compared else f"{WRONG} "
        notes.append(f"{mark}{names}{where}: {correction.reason} ({correction.standing}).")
    notes += [f"{row.name}: {row.note}." for row in table.rows if row.note]
    notes += in_words(table, found)
    return [one_line(note) for note in [*notes, *unreadable(bad)]]


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


def numbered(rows: list[list[str]], mark: str = " [{}]") -> tuple[list[list[str]], list[str]]:
    """The lines below the header with their last column turned into marks at the labels, and the footnotes in order."""
    footnotes: dict[str, int] = {}
    lines = []
    for label, *values, footnote in rows[1:]:
        number = mark.format(footnotes.setdefault(footnote, len(footnotes) + 1)) if footnote else ""
        lines.append([label + number, *values])
    return lines, [f"{mark.format(number).lstrip()} {footnote}" for footnote, number in footnotes.items()]


def to_terminal(console: Console, table: Table, rows: list[list[str]], notes: Sequence[str]) -> None:
    """The table, its last column as numbered footnotes; wider than the terminal rather than cut."""
    console.print(Text(f"{table.name}: {table.printed['title']}", style="italic"), soft_wrap=True)
    grid = Grid(box=None, pad_edge=False)
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
    """A `table` environment for the booktabs package; differences are left out, as a paper has no room for them.

    The verdicts that stand beside them go to the footnotes of our lines; notes that no mark leads to are comments.
    """
    kept: list[list[str]] = []
    for row in rows[1:]:
        if row[0] != DIFFERENCE:
            kept.append([_tex(text) for text in row])
        elif row[-1]:
            kept[-1][-1] += f"; {_tex(row[-1])}"
    body, footnotes = numbered([rows[0], *kept], r"\textsuperscript{{{}}}")
    names = [_tex(name) for name in rows[0][1:-1]]
    lines = [r"\begin{table}", r"\centering", rf"\caption{{{_tex(table.printed['title'])}}}"]
    lines += [rf"\begin{{tabular}}{{l{'r' * len(names)}}}", r"\toprule", " & ".join(["", *names]) + r" \\", r"\midrule"]
    for label, *values in body:
        shown = rf"\quad {label.strip()}" if label.startswith("  ") else label
        lines.append(" & ".join([shown, *values]) + r" \\")
    lines += [r"\bottomrule", r"\end{tabular}"]
    marked = [_tex(note) for note in notes if note.startswith(WRONG)]
    if footnotes or marked:
        lines += [r"\par\smallskip\raggedright\footnotesize", *(rf"{note}\par" for note in [*footnotes, *marked])]
    lines += [rf"% {one_line(note)}" for note in notes if not note.startswith(WRONG)]
    return "\n".join([*lines, r"\end{table}"]) + "\n"


def _tex(text: str) -> str:
    """Text with LaTeX's special characters escaped."""
    specials = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    specials |= {"±": r"$\pm$", WRONG: r"$\dagger$", "<": "$<$", ">": "$>$", "|": "$|$"}
    return "".join(specials.get(c, f"\\{c}" if c in "&%$#_{}" else c) for c in text)


def to_csv(rows: list[list[str]]) -> str:
    """Comma-separated, as printed."""
    buffer = io.StringIO()
    csv.writer(buffer).writerows(rows)
    return buffer.getvalue()
