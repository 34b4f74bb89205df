"""What runs really logged, and which panels have nothing to show of it."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from novelty.dashboard.spec import ANY, Dashboard, Panel

MEDIUM = re.compile(r"_\d+_[0-9a-f]+(\.table)?\.\w+$")
"""What W&B appends to the name of a logged picture or table: step, digest and kind of file."""


def logged_in(folder: Path) -> set[str]:
    """Names that the loggers of the training in ``folder`` wrote: numbers by metrics.csv, media by W&B's files."""
    names: set[str] = set()
    for path in folder.glob("logs/csv/metrics*.csv"):
        with path.open(newline="", encoding="utf-8") as file:
            names |= set(next(csv.reader(file), ()))
    for kind in folder.glob("logs/wandb/*run-*/files/media/*"):
        files = (path.relative_to(kind).as_posix() for path in kind.rglob("*") if path.is_file())
        names |= {MEDIUM.sub("", name) for name in files}
    return names


def without_data(dashboard: Dashboard, logged: set[str]) -> list[Panel]:
    """Panels that show none of the ``logged`` names."""
    return [panel for panel in dashboard.panels() if not panel.shown(logged)]


def narrowed(dashboard: Dashboard, logged: set[str]) -> Dashboard:
    """Without panels that have no data, curves one panel a name; as it is where nothing is ``logged`` yet."""
    if not logged:
        return dashboard
    sections = [
        replace(section, panels=tuple(kept for panel in section.panels for kept in _kept(panel, logged)))
        for section in dashboard.sections
    ]
    return replace(dashboard, sections=tuple(section for section in sections if section.panels))


def _kept(panel: Panel, logged: set[str]) -> Iterator[Panel]:
    shown = tuple(panel.shown(logged))
    if any(ANY in key for key in panel.keys):
        yield from (replace(panel, title=name, keys=(name,)) for name in shown)
    elif shown:
        yield replace(panel, keys=shown)
