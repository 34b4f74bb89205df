"""`python -m novelty.report table=piad/table2_mnist`: printed against measured, from the records alone.

usage: python -m novelty.report table=NAME|GLOB|all [runs=FOLDER] [plots=FOLDER]
                                [format=terminal|markdown|latex|csv|html]
       python -m novelty.report bench=METHOD/DATA|GLOB|all [runs=FOLDER] [format=...]     what `novelty.bench` measured

       python -m novelty.report table=... keep=FOLDER            small copies of the records that fill these tables
       python -m novelty.report state=FILE.md [runs=FOLDER]      the state of every printed number, from kept records

format=html prints one page with plots: bars, ROC curves and the other sections of a table's dashboard, as far as files
beside the records have them; > report.html keeps it. plots= writes the bars of each table as .png and .svg.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from novelty.config import experiments_dir, names_under
from novelty.doors import door
from novelty.errors import NoveltyError
from novelty.options import options, require_choice, tables_named

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing
    from rich.console import Console

    from novelty.report.compare import Line
    from novelty.report.sections import Shown
    from novelty.tables import Table

OPTIONS = {"table": "", "bench": "", "state": "", "runs": "", "format": "terminal", "plots": "", "keep": ""}
FORMATS = ("terminal", "markdown", "latex", "csv", "html")
BENCH_FORMATS = ("terminal", "markdown", "csv")


def _main() -> None:
    if {"-h", "--help"} & set(sys.argv[1:]):
        print(__doc__)
        return
    chosen = options(sys.argv[1:], OPTIONS, ("paths.",))
    require_choice("format", chosen["format"], BENCH_FORMATS if chosen["bench"] else FORMATS)
    if chosen["state"]:
        if beside := [name for name in ("table", "bench", "format", "plots", "keep") if chosen[name] != OPTIONS[name]]:
            raise NoveltyError(f"state= is of every table and takes runs= alone: leave {beside[0]}= out.")
        _write_state(Path(chosen["state"]).expanduser(), _folder(chosen["runs"] or str(kept_records())))
        return
    names = [] if chosen["bench"] and not chosen["table"] else tables_named(chosen["table"], "report")
    runs = _folder(chosen["runs"] or os.environ.get("NOVELTY_RUNS", "runs"))

    from rich.console import Console

    from novelty.report import bench
    from novelty.results.records import read_all

    console = Console(highlight=False)
    if chosen["bench"]:
        bench.show(console, runs, chosen["bench"], chosen["format"])
    if not names:
        return
    records = list(read_all(runs))
    if chosen["keep"]:
        _keep(names, records, Path(chosen["keep"]).expanduser())
    else:
        _show(console, names, records, chosen["format"], chosen["plots"])


def _folder(typed: str) -> Path:
    """The folder of records; NoveltyError where there is none."""
    runs = Path(typed).expanduser()
    if not runs.is_dir():
        raise NoveltyError(f"There are no records in {runs}: runs=FOLDER (or NOVELTY_RUNS) says where they are.")
    return runs


def _show(console: Console, names: Sequence[str], records: Sequence[dict[str, Any]], form: str, plots: str) -> None:
    """Tables as ``form`` says; their bars as files below ``plots``, if that is a folder's name."""
    from novelty.report import render
    from novelty.report.compare import lines
    from novelty.report.match import failures, fill
    from novelty.tables import load_table

    bad = [record for record in records if "error" in record]
    sections = []
    for name in names:
        table = load_table(name)
        filled = fill(table, (record for record in records if "metrics" in record))
        found = lines(table, filled)
        broken = failures(table, (record for record in records if "failure" in record))
        rows = render.rows_of(table, found, broken)
        notes = [*render.notes_of(table, found, bad), *render.lacking(table, filled)]
        bars = _bars(table, found, plots) if plots or form == "html" else None
        if form == "terminal":
            render.to_terminal(console, table, rows, notes)
        elif form == "html":
            from novelty.report.page import Section

            sections.append(Section(table, rows, notes, bars, _shown(table, found)))
        elif form == "csv":
            print(render.to_csv([[table.name, *rows[0][1:]], *rows[1:]]))
        else:
            print((render.to_latex if form == "latex" else render.to_markdown)(table, rows, notes))
    if form == "csv":
        for note in render.unreadable(bad):
            print(note, file=sys.stderr)
    if sections:
        from novelty.report.page import to_html

        print(to_html(sections), end="")


def _shown(table: Table, found: Sequence[Line]) -> list[Shown]:
    """The further sections of a table's dashboard, where there is any record to draw them from."""
    if not found:
        return []
    from novelty.dashboard.building import dashboard_of
    from novelty.report.sections import sections_of

    return sections_of(dashboard_of(table), found)


def _keep(names: Sequence[str], records: Sequence[dict[str, Any]], folder: Path) -> None:
    """Small copies of the records that fill cells of these tables."""
    from novelty.report.match import matches
    from novelty.results.kept import keep
    from novelty.tables import load_table

    good = [record for record in records if "metrics" in record]
    wanted = {record["path"]: record for name in names for _, record in matches(load_table(name), good)}
    written = keep(wanted.values(), folder)
    print(f"{len(written)} of {len(good)} records fill cells of these tables; kept in {folder}.")


def _write_state(path: Path, runs: Path) -> None:
    """The page ``path`` and, beside it, a CSV of all numbers, from the records below ``runs``."""
    from novelty.report import state
    from novelty.report.compare import lines
    from novelty.report.match import fill
    from novelty.results.records import read_all, write_text
    from novelty.tables import load_table

    records = list(read_all(runs))
    good = [record for record in records if "metrics" in record]
    bad = [{**record, "path": Path(record["path"]).relative_to(runs)} for record in records if "error" in record]
    every = []
    for name in names_under(experiments_dir() / "table"):
        table = load_table(name)
        if table.name == table.printed["id"]:  # a second reading of a printed block counts nothing twice
            every += state.numbers(table, lines(table, fill(table, good)))
    listing = path.with_suffix(".csv")
    for place, text in ((listing, state.to_csv(every)), (path, state.to_page(every, listing.name, bad))):
        write_text(place, text)
    print(f"{len(every)} printed numbers, {len(good)} records: {path} and {listing}")
    if bad:
        print(f"{len(bad)} records cannot be read and are left out: {path} names them.", file=sys.stderr)


def kept_records() -> Path:
    """The records that the project keeps of what it measured."""
    return experiments_dir() / "measured" / "records"


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
