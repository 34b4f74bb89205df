"""Figures of the tests' own, trained on the embedded digits, as a person would run them."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path
from typing import Any

from cells import plan, quiet
from cells import run as run_cell
from hydra.core.global_hydra import GlobalHydra

from novelty.figures.cells import Run
from novelty.run import _main
from novelty.tables import Cell, Row
from novelty.training.trained import load_trained

TINY = ("budget=smoke", "budget.max_train=16", "budget.max_test=40", "hardware=cpu", "logger=none")


def write_figure(experiments: Path, name: str, content: str) -> None:
    """``figure/<name>.yaml`` of ``content``."""
    path = experiments / "figure" / f"{name}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("# @package figure\n" + content, encoding="utf-8")


def run(*typed: str) -> None:
    """As `python -m novelty.run`, in this process; errors come as they are."""
    before = list(sys.argv)
    sys.argv[:] = ["novelty.run", *typed]
    try:
        _main()
    finally:
        sys.argv[:] = before
        GlobalHydra.instance().clear()


def drawn(runs: Path, name: str) -> tuple[Path, dict[str, Any], list[dict[str, str]]]:
    """The one folder of a figure, its about.json and the lines of its numbers."""
    (folder,) = (runs / "figures" / name).iterdir()
    with (folder / "numbers.csv").open(encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    return folder, json.loads((folder / "about.json").read_text(encoding="utf-8")), lines


def trained_runs(*overrides: str) -> list[Run]:
    """One cell of the digits that keeps its weights, as a figure receives it."""
    typed = ("method=autoencoder", "pictures=false", *overrides)
    run_cell(*typed)
    planned = plan(*typed)
    record = json.loads(planned.record.result.read_text(encoding="utf-8"))
    row = Row("ae", (), (0,))
    return [Run(Cell("ae", "3", 0, ()), row, record, planned.record.result, lambda: load_trained(planned, quiet()))]
