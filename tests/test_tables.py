"""A cell of every row of every table, from the overrides to the line of a report, at smoke on fake data."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cells import quiet
from data.fakes.every import WRITERS

from novelty.config import compose_cell, experiments_dir, names_under, open_overrides
from novelty.report.compare import lines
from novelty.report.match import fill
from novelty.results.records import read_all
from novelty.tables import load_table
from novelty.training.cell import run_cell
from novelty.training.plan import make_plan
from novelty.training.sweep import expand

SMALL = (
    *("budget=smoke", "budget.scale=0.00001", "budget.max_train=8", "budget.max_test=4"),
    *("hardware=cpu", "logger=none", "pictures=false"),
)
"""Networks are those of the table: few images, and no more steps than there must be."""


def _rows() -> Iterator[Any]:
    """Every row of every table. `make test` runs the first of each table, but no training that another table has run;
    the rest is `make slow`."""
    seen = set()
    for name in names_under(experiments_dir() / "table"):
        table = load_table(name)
        for place, row in enumerate(table.rows):
            overrides = next(cell.overrides for cell in table.cells() if cell.row == row.name)
            trained = tuple(o for o in overrides if not o.startswith("evaluation"))
            slow = place > 0 or trained in seen
            seen.add(trained)
            yield pytest.param(name, row.name, marks=[pytest.mark.slow] if slow else [], id=f"{name}-{row.name}")


@pytest.mark.parametrize(("name", "row"), list(_rows()))
def test_a_cell_of_every_row_runs_and_finds_its_place(
    name: str, row: str, tmp_path: Path, runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOVELTY_DATA", str(tmp_path))
    table = load_table(name)
    first = next(cell for cell in table.cells() if cell.row == row)
    cell = open_overrides([*first.overrides, *SMALL])
    assert (*open_overrides(first.overrides), "keep=none", "pictures=false") in expand([[f"table={name}"]], None)
    cfg, choices = compose_cell(cell)
    WRITERS[choices["data"]](tmp_path)
    if cfg.method.get("weights"):
        cell = [*cell, "++method.weights=random"]
    record = run_cell(make_plan(*compose_cell(cell)), "test", quiet())
    assert record["config"]["budget"]["name"] == "smoke"
    found = {line.row.name: line for line in lines(table, fill(table, read_all(runs)))}
    same = {other.row for other in table.cells() if other.overrides == first.overrides}  # rows that share a training
    assert set(found) == same
    line = found[row]
    assert "budget smoke" in line.reason


@pytest.mark.parametrize("name", names_under(experiments_dir() / "table"))
def test_normal_classes_are_called_what_records_call_them(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A report finds records by these names: a number in place of a name would run and never be found."""
    monkeypatch.setenv("NOVELTY_DATA", str(tmp_path))
    table = load_table(name)
    written = set()
    for column in table.columns:
        cell = next((c for c in table.cells() if c.column == column.name), None)
        if cell is None:
            continue
        cfg, choices = compose_cell(open_overrides([*cell.overrides, *SMALL]))
        if choices["data"] == "mvtec_ad":  # a class of its own in each category, and few of these here
            continue
        if choices["data"] not in written:
            WRITERS[choices["data"]](tmp_path)
            written.add(choices["data"])
        cfg.method, cfg.evaluation = (compose_cell(["method=kde"]).cfg[node] for node in ("method", "evaluation"))
        if (typed := cfg.protocol.get("normal")) is not None:
            assert make_plan(cfg, choices).config["protocol"]["normal"] == [str(typed)], column.name
