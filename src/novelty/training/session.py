"""A composed cell in front of a person: what runs, how long it may take, what came out and where it lies."""

from __future__ import annotations

import shlex
from typing import Any

from omegaconf import DictConfig
from rich.console import Console, Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from novelty.results.records import read_all
from novelty.training.cell import run_cell
from novelty.training.guards import refusals
from novelty.training.output import printing_to
from novelty.training.plan import Plan, make_plan, split_sizes
from novelty.training.times import Times, in_words

IMAGE_COLUMNS = {
    "auroc": "AUROC",
    "average_precision": "AP",
    "fpr_at_tpr95": "FPR@95",
    "f1": "F1",
    "f1_oracle": "F1 oracle",
}
PIXEL_COLUMNS = {
    "pixel_auroc": "pixel AUROC",
    "pixel_average_precision": "pixel AP",
    "aupro": "AUPRO",
    "dice_oracle": "Dice oracle",
}
"""Metrics in the closing panel, where there are such; the record has all of them, each with its interval."""


def run_composed(cfg: DictConfig, choices: dict[str, str], overrides: list[str], alone: bool) -> float:
    """Plan, run and show one cell. ``alone``: not one of a sweep, so there is room for a panel."""
    console = Console(highlight=False, markup=False)  # titles and paths may have brackets
    plan = make_plan(cfg, choices)
    if plan.config["dry_run"]:
        console.print(f"{plan.title}: {plan.record.state()}; its record would be {plan.record.result}", soft_wrap=True)
        return 0.0
    command = "python -m novelty.run " + shlex.join(override.removeprefix("++") for override in overrides)
    done = plan.record.state() == "done"
    if alone:
        _announce(plan, overrides, console, done)
    if alone or done or not plan.config["logger"]["log"]:
        record = run_cell(plan, command.strip(), console, "" if alone else plan.title)
    else:
        with refusals(plan), printing_to(plan.record.log, command):
            record = run_cell(plan, command.strip(), Console(highlight=False, markup=False), plan.title)
    _show(plan, record, console, alone)
    return float(record["metrics"][record["primary"]]["auroc"])


def _announce(plan: Plan, overrides: list[str], console: Console, done: bool) -> None:
    if plan.first_of:
        rest = shlex.join(["python", "-m", "novelty.run", "-m", *(o.removeprefix("++") for o in overrides)])
        console.print(
            f"No normal class was named, so the first of {len(plan.first_of)} runs, {plan.normal[0]}. "
            f"All of them: {rest} 'protocol.normal=range({len(plan.first_of)})'"
        )
    sizes = split_sizes(plan)
    budget = plan.config["budget"]["name"]
    samples = f" ({plan.samples:,} samples)" if plan.samples else ""
    console.print(
        Text.assemble(
            (plan.title, "bold"),
            f" · budget {budget} · {sizes['train']:,} normal images{samples} to train on, "
            f"to be tested {sizes['test_normal']:,} normal and {sizes['test_novel']:,} novel",
        )
    )
    if not done:
        expected = Times(read_all(plan.record.runs, plan.record.method, plan.record.data)).expected(plan)
        if expected is not None:
            trained = plan.record.weights.is_file()
            what = "Scoring" if trained else "Training and scoring"
            seconds = expected.score + (0 if trained else expected.train)
            console.print(f"{what} will take about {in_words(seconds)}, by what its like took on this machine.")


def _show(plan: Plan, record: dict[str, Any], console: Console, alone: bool) -> None:
    best = record["metrics"][record["primary"]]
    if not alone:
        console.print(f"{plan.title}: AUROC {best['auroc']:.4f}")
        return
    tables = [_grid(record, columns) for columns in (IMAGE_COLUMNS, PIXEL_COLUMNS)]
    shown = Group(*(table for table in tables if table.row_count))
    console.print(Panel(shown, title=Text(plan.title), expand=False))
    for name, value in record.get("measured", {}).items():
        console.print(f"{name}: {value:.4g}")
    copy, timings = record["data"]["copy"], record["timings"]
    console.print(
        f"Trained {timings['steps']:,} steps in {in_words(timings['train_seconds'])}, "
        f"scored in {in_words(timings['score_seconds'])}; data copy: {copy}."
    )
    console.print(f"Record: {plan.record.result}", soft_wrap=True)


def _grid(record: dict[str, Any], columns: dict[str, str]) -> Table:
    """Every score that has one of ``columns``, a line each; intervals stand beside AUROCs."""
    having = {name: metrics for name, metrics in record["metrics"].items() if columns.keys() & metrics.keys()}
    used = [column for column in columns if any(column in metrics for metrics in having.values())]
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("score")
    for column in used:
        table.add_column(columns[column], justify="right", no_wrap=True)
    for name, metrics in having.items():
        cells = [Text(f"{metrics[column]:.4f}" if column in metrics else "-") for column in used]
        if "auroc" in used and (interval := metrics.get("auroc_interval")):
            cells[0].append(f" {interval[0]:.3f}-{interval[1]:.3f}", "dim")
        primary = name == record["primary"] and len(record["metrics"]) > 1
        table.add_row(f"{name} *" if primary else name, *cells)
    return table
