"""`python -m novelty.report table=piad/table2_mnist`: printed against measured, from the records alone.

usage: python -m novelty.report table=NAME|GLOB|all [runs=FOLDER] [plots=FOLDER]
                                [format=terminal|markdown|latex|csv|html]
       python -m novelty.report bench=METHOD/DATA|GLOB|all [runs=FOLDER] [format=...]     what `novelty.bench` measured

format=html prints one page with plots: > report.html keeps it. plots= writes the bars of each table as .png and .svg.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from novelty.config import close_to, experiments_dir, names_under, tables_matching
from novelty.doors import door
from novelty.errors import NoveltyError

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

    from novelty.report.compare import Line
    from novelty.tables import Table

OPTIONS = {"table": "", "bench": "", "runs": "", "format": "terminal", "plots": ""}
FORMATS = ("terminal", "markdown", "latex", "csv", "html")
BENCH_FORMATS = ("terminal", "markdown", "csv")


def _options(arguments: list[str]) -> dict[str, str]:
    chosen = dict(OPTIONS)
    for argument in arguments:
        name, equals, value = argument.removeprefix("paths.").partition("=")
        if not equals or name not in chosen:
            raise NoveltyError(
                f"{argument} is no option{close_to(name, OPTIONS)} Options: {', '.join(OPTIONS)} (name=value)."
            )
        chosen[name] = value
    if not chosen["table"] and not chosen["bench"]:
        known = ", ".join(names_under(experiments_dir() / "table"))
        raise NoveltyError(f"Name a table: python -m novelty.report table=NAME. Known: {known}; globs and 'all' work.")
    allowed = BENCH_FORMATS if chosen["bench"] else FORMATS
    if chosen["format"] not in allowed:
        raise NoveltyError(
            f"format={chosen['format']} is no choice{close_to(chosen['format'], allowed)} "
            f"Allowed: {', '.join(allowed)}."
        )
    return chosen


def _main() -> None:
    if {"-h", "--help"} & set(sys.argv[1:]):
        print(__doc__)
        return
    chosen = _options(sys.argv[1:])
    names = [name for pattern in chosen["table"].split(",") if pattern for name in tables_matching(pattern)]

    from rich.console import Console

    from novelty.report import bench, render
    from novelty.report.compare import lines
    from novelty.report.match import failures, fill
    from novelty.results.records import read_all
    from novelty.tables import load_table

    runs = Path(chosen["runs"] or os.environ.get("NOVELTY_RUNS", "runs")).expanduser()
    if not runs.is_dir():
        raise NoveltyError(f"There are no records in {runs}: runs=FOLDER (or NOVELTY_RUNS) says where they are.")
    everything = list(read_all(runs))
    bad = [record for record in everything if "error" in record]
    good = [record for record in everything if "metrics" in record]
    broken = [record for record in everything if "failure" in record]
    console = Console(highlight=False)
    if chosen["bench"]:
        bench.show(console, runs, chosen["bench"], chosen["format"])
    sections = []
    for name in names:
        table = load_table(name)
        found = lines(table, fill(table, good))
        rows, notes = render.rows_of(table, found, failures(table, broken)), render.notes_of(table, table.rows, bad)
        if chosen["plots"] or chosen["format"] == "html":
            bars = _bars(table, found, chosen["plots"])
        if chosen["format"] == "terminal":
            render.to_terminal(console, table, rows, notes)
        elif chosen["format"] == "html":
            from novelty.report.page import Section

            sections.append(Section(table, rows, notes, bars))
        elif chosen["format"] == "csv":
            print(render.to_csv(rows))
        else:
            print((render.to_latex if chosen["format"] == "latex" else render.to_markdown)(table, rows, notes))
    if sections:
        from novelty.report.page import to_html

        print(to_html(sections), end="")


def _bars(table: Table, found: Sequence[Line], folder: str) -> Drawing | None:
    """The bars of a table, also as files in ``folder`` where one is named."""
    from novelty.figures.style import save
    from novelty.report.plots import class_bars

    bars = class_bars(table, found)
    if bars is not None and folder:
        paper, name = table.name.rsplit("/", 1)
        place = Path(folder).expanduser() / paper
        place.mkdir(parents=True, exist_ok=True)
        for path in save(bars, place, name):
            print(f"{path}", file=sys.stderr)
    return bars


if __name__ == "__main__":
    door(_main)
