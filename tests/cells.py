"""Cells for tests: composed, planned and run in this process, on the embedded digits at a budget of a few steps."""

from __future__ import annotations

import io
from typing import Any

from rich.console import Console

from novelty.config import compose_cell, conf_dir, names_under, open_overrides
from novelty.training.cell import run_cell
from novelty.training.plan import Plan, make_plan

SMALL = (
    *("data=digits", "budget=smoke", "budget.max_train=12", "budget.max_test=16"),
    *("hardware=cpu", "logger=none", "pictures=false"),
)


def options(group: str) -> list[str]:
    """Names of the configs of a group."""
    return names_under(conf_dir() / group)


def plan(*overrides: str) -> Plan:
    """A checked cell, nothing run."""
    return make_plan(*compose_cell(open_overrides([*SMALL, *overrides])))


def run(*overrides: str) -> dict[str, Any]:
    """The record of a cell."""
    return run_cell(plan(*overrides), "test", quiet())


def quiet() -> Console:
    """A console that nobody reads."""
    return Console(file=io.StringIO())
