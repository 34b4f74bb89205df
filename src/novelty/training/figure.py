"""A figure whose numbers are trained for, in front of a person: its cells, and the picture drawn from their records."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.text import Text

from novelty.check import Node, bind, build
from novelty.config import compose_cell, key_of
from novelty.errors import NoveltyError
from novelty.figures import style
from novelty.figures.cells import CellFigure, Run, Trained
from novelty.figures.writing import write_figure
from novelty.results.environment import environment
from novelty.results.keys import key
from novelty.tables import Layout
from novelty.training.plan import make_plan
from novelty.training.sweep import KEEP_NONE, PlannedCell, asked, layout_of
from novelty.training.trained import load_trained

VERSION = 1
"""Bumped by hand when what is drawn changes for another reason than the options of a figure and its records."""


@dataclass(frozen=True)
class FigureSession:
    """What was typed about one figure, checked before any of its cells runs.

    node: its options, complete.  combinations: overrides, one list for each that a sweep is expanded to.
    """

    layout: Layout
    figure: CellFigure
    node: Node
    cfg: DictConfig
    combinations: tuple[tuple[str, ...], ...]
    search_path: tuple[str, ...]

    @property
    def keep(self) -> str:
        """What its cells keep, where nothing is said."""
        return "keep=weights" if self.figure.trained else KEEP_NONE

    def runs(self, planned: Sequence[PlannedCell]) -> list[Run]:
        """Every cell that is asked for, with its record where it is done."""
        known = {tuple(cell.overrides): cell for cell in planned}
        rows = {row.name: row for row in self.layout.rows}
        found: dict[tuple, Run] = {}
        for combination in self.combinations:
            for cell, overrides in asked(self.layout, combination, self.cfg.budget.seeds, self.keep):
                record = known[overrides].record
                path = record.result if record and record.result.is_file() else None
                content = json.loads(path.read_text(encoding="utf-8")) if path else None
                found[cell, overrides] = Run(cell, rows[cell.row], content, path, self._loader(overrides))
        return list(found.values())

    def _loader(self, overrides: Sequence[str]) -> Any:
        def load() -> Trained:
            return load_trained(make_plan(*compose_cell(overrides, self.search_path)), Console(highlight=False))

        return load

    def folder(self, planned: Sequence[PlannedCell]) -> Path:
        """``<paths.runs>/figures/<paper>/<figure>/<budget>-<key>/``: equal options and cells share a folder."""
        cells = sorted(f"{c.record.method} {c.record.data} {c.record.training} {c.record.evaluation}"
                       for c in planned if c.record)  # fmt: skip
        payload = {"version": VERSION, "figure": self.node, "cells": cells}
        runs = Path(str(self.cfg.paths.runs)).expanduser()
        return runs / "figures" / self.layout.name / f"{self.cfg.budget.name}-{key(payload)[:8]}"

    def announce(self, planned: Sequence[PlannedCell]) -> None:
        """Where it would be drawn; nothing is written."""
        folder = self.folder(planned)
        Console(highlight=False, markup=False).print(
            f"{self.layout.name}: it would be drawn into {folder}", soft_wrap=True
        )

    def draw(self, planned: Sequence[PlannedCell]) -> Path:
        """Numbers, picture and finding from the records that there are; the folder that holds them."""
        console, runs, folder = Console(highlight=False, markup=False), self.runs(planned), self.folder(planned)
        done = [run for run in runs if run.record is not None]
        numbers = self.figure.gather(runs)
        basis = _basis(runs)
        with style.styled():
            drawing = self.figure.draw(numbers)
            style.footnote(drawing, basis)
        finding = self.figure.finding(numbers)
        if self.figure.paper:
            finding = f"{finding}; the paper: {self.figure.paper}"
        typed = sorted({override.removeprefix("++") for c in self.combinations for override in c})
        about: dict[str, Any] = {
            "finding": finding,
            "figure": self.layout.name,
            "basis": basis,
            "command": "python -m novelty.run " + shlex.join(typed),
            "config": {"figure": self.node},
            "cells": [_about(run, folder) for run in runs],
            "environment": environment("cpu"),
        }
        write_figure(folder, numbers, drawing, about)
        missing = f" {len(runs) - len(done)} of its {len(runs)} cells are missing." if len(done) < len(runs) else ""
        said = Text.assemble((self.layout.name, "bold"), f": {finding}; {basis}.", (missing, "bold"))
        console.print(said, soft_wrap=True)
        console.print(f"Figure: {folder / 'figure.png'}", soft_wrap=True)
        return folder


def figure_session(
    cfg: DictConfig, combinations: Sequence[Sequence[str]], search_path: tuple[str, ...] = ()
) -> FigureSession | None:
    """The figure that a sweep is for, or None; NoveltyError for everything about it that a person can get wrong."""
    if cfg.figure is None:
        return None
    layout = layout_of(combinations[0])
    if layout is None:
        raise NoveltyError("An option of a figure is set, but no figure with cells is named: add figure=NAME.")
    options = [[o for o in typed if key_of(o).split(".")[0] == "figure"] for typed in combinations]
    for override in (o for typed in options for o in typed if o not in options[0]):
        raise NoveltyError(f"{key_of(override)} has several values: a figure is drawn with one.")
    for override in options[0]:
        if key_of(override).startswith("figure.cells"):
            raise NoveltyError(
                "figure.cells lists the cells of a published figure: leave some out by their own keys, as in seed=0."
            )
    node = cast(Node, OmegaConf.to_container(cfg.figure, resolve=True))
    node.pop("cells", None)
    node = bind(_with_text_keys(node), "figure", CellFigure)
    figure: CellFigure = build(node)
    figure.admit(layout)
    if figure.trained and any("keep=none" in typed for typed in combinations):
        raise NoveltyError(f"{layout.name} shows trained methods at work: leave out keep=none.")
    return FigureSession(layout, figure, node, cfg, tuple(map(tuple, combinations)), search_path)


def _with_text_keys(value: Any) -> Any:
    """YAML reads ``{8: digit 8}`` as a number; JSON, and the names of columns, know text alone."""
    if isinstance(value, dict):
        return {str(name): _with_text_keys(inner) for name, inner in value.items()}
    return value


def _basis(runs: Sequence[Run]) -> str:
    """What the numbers rest on, in words: budget, copies of the data, seeds, how many cells."""
    records = [run.record for run in runs if run.record is not None]
    budgets = dict.fromkeys(str(record["config"]["budget"]["name"]) for record in records)
    copies: dict[str, dict[str, None]] = {}
    for record in records:
        copies.setdefault(record["choices"]["data"], {})[record["data"]["copy"]] = None
    data = ", ".join(f"{name} ({', '.join(found)})" for name, found in copies.items())
    seeds = len({run.cell.seed for run in runs if run.record is not None})
    return (
        f"{len(records)} of {len(runs)} cells, {seeds} seed{'s' if seeds > 1 else ''}; "
        f"budget {', '.join(budgets)}; data: {data}"
    )


def _about(run: Run, folder: Path) -> dict[str, Any]:
    """A cell as about.json lists it: where its record is, from the folder of the figure."""
    record = os.path.relpath(run.path, folder) if run.path else None
    return {"row": run.cell.row, "column": run.cell.column, "member": list(run.cell.member), "seed": run.cell.seed,
            "record": record}  # fmt: skip
