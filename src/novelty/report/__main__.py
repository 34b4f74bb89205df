"""`python -m novelty.report table=piad/table2_mnist`: printed against measured, from the records alone.

usage: python -m novelty.report table=NAME|GLOB|all [runs=FOLDER] [format=terminal|markdown|csv]
       python -m novelty.report bench=METHOD/DATA|GLOB|all [runs=FOLDER] [format=...]     what `novelty.bench` measured
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from novelty.config import close_to, experiments_dir, names_under, tables_matching
from novelty.doors import door
from novelty.errors import NoveltyError

OPTIONS = {"table": "", "bench": "", "runs": "", "format": "terminal"}
FORMATS = ("terminal", "markdown", "csv")


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
    if chosen["format"] not in FORMATS:
        raise NoveltyError(
            f"format={chosen['format']} is no choice{close_to(chosen['format'], FORMATS)} "
            f"Allowed: {', '.join(FORMATS)}."
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
    for name in names:
        table = load_table(name)
        found = lines(table, fill(table, good))
        rows, notes = render.rows_of(table, found, failures(table, broken)), render.notes_of(table, table.rows, bad)
        if chosen["format"] == "terminal":
            render.to_terminal(console, table, rows, notes)
        else:
            print(render.to_markdown(table, rows, notes) if chosen["format"] == "markdown" else render.to_csv(rows))


if __name__ == "__main__":
    door(_main)
