"""Runs of a table that lie here: which they are, what they logged, and how the offline ones are sent."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from novelty.dashboard.logged import logged_in
from novelty.results.logs import offline_runs, run_id
from novelty.tables import Table

RecordFile = dict[str, Any]


@dataclass(frozen=True)
class Found:
    """Trainings of one table below the folder of records, and their runs of W&B.

    folders: of all trainings; one may have several runs, where a method that wraps another shares it.
    ids:     W&B's, of all runs.
    unsure:  those of them that may not bear the table's tag: somebody else asked for them, at least once.
    budgets: of their runs.
    """

    folders: tuple[Path, ...]
    ids: tuple[str, ...]
    unsure: tuple[str, ...]
    budgets: tuple[str, ...]

    def logged(self) -> set[str]:
        """Names that any of them logged."""
        return {name for folder in self.folders for name in logged_in(folder)}

    def offline(self) -> list[Path]:
        """Their offline runs of W&B that were not sent yet, oldest first."""
        found = (run for folder in self.folders for run in offline_runs(folder, self.ids))
        return sorted(found, key=lambda run: (run.name, str(run)))


def find_runs(table: Table, records: Sequence[RecordFile], filling: Sequence[RecordFile]) -> Found:
    """Runs that the table asked for, and those that fill its cells although it did not.

    records: everything that `read_all` found.  filling: those of them that fill cells of ``table``.
    """
    readable = [record for record in records if "error" not in record]
    own = [record for record in readable if table.name in _asked(record)]
    ids = {_run(record) for record in (*own, *filling)}
    kept = {record["path"] for record in own}
    others = {_run(record) for record in readable if record["path"] not in kept}
    return Found(
        folders=tuple(sorted({_training(record) for record in (*own, *filling)})),
        ids=tuple(sorted(ids)),
        unsure=tuple(sorted(ids & others)),
        budgets=tuple(sorted({record["config"]["budget"]["name"] for record in (*own, *filling)})),
    )


def _asked(record: RecordFile) -> list[str]:
    """The tables and figures that asked for a run; records that are kept without settings of loggers name none."""
    logger = record["config"].get("logger")
    tables = logger.get("tables") if isinstance(logger, dict) else None
    return tables if isinstance(tables, list) else []


def _run(record: RecordFile) -> str:
    return run_id(record["choices"], record["keys"])


def _training(record: RecordFile) -> Path:
    """The folder of the training, named after its key: failures lie in it, results in a folder of their own there."""
    path = Path(record["path"])
    return path.parent if "failure" in record else path.parent.parent


def sync_command(runs: Sequence[Path]) -> str:
    """What sends offline runs to W&B: one line for any shell of the POSIX kind."""
    return shlex.join(["wandb", "sync", *(str(run.resolve()) for run in runs)])
