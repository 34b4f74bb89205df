"""`python -m novelty.dashboard table=piad/table2_mnist`: what runs of a published table logged, as dashboards.

usage: python -m novelty.dashboard table=NAME|GLOB|all [runs=FOLDER] [out=FOLDER] [format=files|json]
                                   [budget=full|short|smoke] [project=NAME] [entity=NAME]

For each table a W&B workspace and a TensorBoard layout, for each paper a W&B report, written below out= (default:
dashboard in the folder of records, where tensorboard --logdir finds the layout). Where W&B has a key and answers,
workspaces and reports are saved in project= (default: novelty) of entity= (default: yours); WANDB_MODE=offline sends
nothing. The last line sends what was logged offline. format=json prints what the dashboards are made from.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from novelty.config import conf_dir, names_under
from novelty.doors import door
from novelty.errors import NoveltyError
from novelty.options import options, require_choice, tables_named

if TYPE_CHECKING:
    from novelty.dashboard.runs import Found
    from novelty.dashboard.saving import Paper
    from novelty.dashboard.spec import Dashboard
    from novelty.tables import Table

OPTIONS = {"table": "", "runs": "", "out": "", "format": "files", "budget": "full", "project": "novelty", "entity": ""}
FORMATS = ("files", "json")


@dataclass(frozen=True)
class Shown:
    """A table with all that is to be said of it. printed: beside ours, as Markdown."""

    table: Table
    found: Found
    dashboard: Dashboard
    printed: str


def _main() -> None:
    if {"-h", "--help"} & set(sys.argv[1:]):
        print(__doc__)
        return
    chosen = options(sys.argv[1:], OPTIONS, ("paths.", "logger."))
    names = tables_named(chosen["table"], "dashboard")
    require_choice("format", chosen["format"], FORMATS)
    require_choice("budget", chosen["budget"], names_under(conf_dir() / "budget"))
    if not chosen["project"]:
        raise NoveltyError("project= is empty: name the W&B project of the runs, or leave it out for novelty.")
    runs = Path(chosen["runs"] or os.environ.get("NOVELTY_RUNS", "runs")).expanduser()
    if chosen["runs"] and not runs.is_dir():
        raise NoveltyError(f"There is no folder {runs}: runs=FOLDER (or NOVELTY_RUNS) says where records are.")
    shown = list(_read(_runnable(names), runs, chosen["budget"]))
    if chosen["format"] == "json":
        print(json.dumps([one.dashboard.plain() for one in shown], indent=1))
        return
    out = Path(chosen["out"]).expanduser() if chosen["out"] else runs / "dashboard"
    _write(shown, out)
    _to_wandb(shown, out, chosen["project"], chosen["entity"])
    _say_sync(shown)


def _runnable(names: Sequence[str]) -> list[Table]:
    """The tables that have rows of ours; the others are named, or refused where there is nothing else."""
    from novelty.tables import load_table

    tables = [load_table(name) for name in dict.fromkeys(names)]
    without = [table.name for table in tables if not table.rows]
    if len(without) == len(tables):
        raise NoveltyError(f"{', '.join(without)}: no row of it can be run here yet, name another table.")
    if without:
        print(f"Left out, as none of their rows can be run here yet: {', '.join(without)}", file=sys.stderr)
    return [table for table in tables if table.rows]


def _read(tables: Iterable[Table], runs: Path, budget: str) -> Iterable[Shown]:
    """Each table with its runs below ``runs``: panels are those that these can fill, all where there are none."""
    from novelty.dashboard.building import dashboard_of
    from novelty.dashboard.logged import narrowed, without_data
    from novelty.dashboard.runs import find_runs
    from novelty.report import render
    from novelty.report.compare import lines
    from novelty.report.match import failures, fill
    from novelty.results.records import read_all

    records = list(read_all(runs))
    good = [r for r in records if "metrics" in r]
    for table in tables:
        cells = fill(table, good)
        filling = [r for by in cells.values() for own in by.values() for _, r in own]
        found = find_runs(table, records, filling)
        whole = dashboard_of(table, budget, found.unsure)
        logged = found.logged()
        if found.budgets and budget not in found.budgets:
            others = " or ".join(f"budget={name}" for name in found.budgets)
            print(f"{table.name}: no run here had budget={budget}, which is shown; name {others}.", file=sys.stderr)
        if logged and (empty := without_data(whole, logged)):
            titles = ", ".join(panel.title for panel in empty)
            print(f"{table.name}: left out, as none of its runs here logged it: {titles}", file=sys.stderr)
        ours = lines(table, cells)
        broken = failures(table, (r for r in records if "failure" in r))
        rows = render.rows_of(table, ours, broken)
        yield Shown(
            table, found, narrowed(whole, logged), render.to_markdown(table, rows, render.notes_of(table, ours, []))
        )


def _write(shown: Sequence[Shown], out: Path) -> None:
    """The specification and TensorBoard's layout of every table, each in its folder below ``out``."""
    from novelty.dashboard.board import write_layout
    from novelty.results.records import write_json

    for one in shown:
        write_json(out / one.table.name / "dashboard.json", one.dashboard.plain())
        write_layout(one.dashboard, out / one.table.name / "tensorboard")
    print(f"Dashboards ({len(shown)}) are in {out}; TensorBoard shows them under Custom Scalars.")


def _to_wandb(shown: Sequence[Shown], out: Path, project: str, entity: str) -> None:
    """W&B's workspaces and reports as files, and where a key and an answer are there, saved."""
    from importlib.util import find_spec

    if find_spec("wandb_workspaces") is None:
        print("No workspaces and reports of W&B: for these, pip install 'novelty[dashboard]' and run this again.")
        return
    from novelty.dashboard.saving import save
    from novelty.dashboard.workspaces import plain, report, workspace
    from novelty.results.records import write_json
    from novelty.training.loggers import wandb_mode

    papers = _papers(shown)
    for one in shown:
        write_json(out / one.table.name / "workspace.json", plain(workspace(one.dashboard, project, entity)))
    for paper in papers:
        write_json(
            out / paper.key / "report.json", plain(report(paper.title, paper.about, paper.parts, project, entity))
        )
    if wandb_mode("auto") == "online":
        for url in save(papers, out, project, entity):
            print(url)
    else:
        mode = os.environ.get("WANDB_MODE")
        why = f"unset WANDB_MODE={mode}" if mode else "no key, or no answer: set WANDB_API_KEY, or wandb login"
        print(
            f"Nothing was sent to W&B ({why}): workspaces ({len(shown)}) and reports ({len(papers)}) are files in "
            f"{out}; the same command saves them then."
        )


def _papers(shown: Sequence[Shown]) -> list[Paper]:
    """The reports to be, one for each paper."""
    from novelty.dashboard.building import paper_of
    from novelty.dashboard.saving import Paper
    from novelty.dashboard.workspaces import Part

    parts: dict[str, list[Part]] = {}
    for one in shown:
        parts.setdefault(one.table.name.split("/", 1)[0], []).append(Part(one.dashboard, one.printed))
    return [Paper(key, *paper_of(key), tuple(own)) for key, own in parts.items()]


def _say_sync(shown: Sequence[Shown]) -> None:
    from novelty.dashboard.runs import sync_command

    waiting = list(dict.fromkeys(run for one in shown for run in one.found.offline()))
    if waiting:
        print(f"{len(waiting)} runs were logged offline; this sends them:\n{sync_command(waiting)}")


if __name__ == "__main__":
    door(_main)
