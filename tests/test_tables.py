"""One cell of every row of every table, from the overrides to the line of a report, at smoke on fake data."""

from __future__ import annotations

from pathlib import Path

import pytest
from cells import quiet
from data.fake_layouts import cifar_batches, write_cifar_folder, write_idx

from novelty.config import compose_cell, experiments_dir, names_under
from novelty.report.compare import lines
from novelty.report.match import fill
from novelty.results.records import read_all
from novelty.tables import load_table
from novelty.training.cell import run_cell
from novelty.training.plan import make_plan
from novelty.training.sweep import expand

ROWS = [(name, row.name) for name in names_under(experiments_dir() / "table") for row in load_table(name).rows]


@pytest.mark.parametrize(("name", "row"), ROWS)
def test_a_cell_of_every_row_runs_and_finds_its_place(
    name: str, row: str, tmp_path: Path, runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOVELTY_DATA", str(tmp_path))
    write_idx(tmp_path / "MNIST" / "raw", train=60, test=30)
    write_cifar_folder(tmp_path, cifar_batches()[0])
    table = load_table(name)
    (overrides,) = (r.overrides for r in table.rows if r.name == row)
    typed = [f"table={name}", *overrides, "budget=smoke", "hardware=cpu", "logger=none"]
    cell = expand([typed], 1)[0]
    cfg, _ = compose_cell(cell)
    if cfg.method.get("weights"):
        cell = [*cell, "++method.weights=random"]
    record = run_cell(make_plan(*compose_cell(cell)), "test", quiet())
    assert record["config"]["budget"]["name"] == "smoke"
    (line,) = lines(table, fill(table, read_all(runs)))
    assert line.row.name == row
    assert "budget smoke" in line.reason
