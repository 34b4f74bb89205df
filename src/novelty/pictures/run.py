"""All pictures of one run, and its page, beside its record."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure as Drawing

from novelty.data.reading import rows, to_float
from novelty.data.source import Images
from novelty.figures.cells import Run, Trained
from novelty.figures.sheet import Sheet
from novelty.figures.style import save, styled
from novelty.pictures.extremes import ends, extremes
from novelty.pictures.localisation import localisation
from novelty.pictures.page import page
from novelty.pictures.ranking import curves, histogram
from novelty.pictures.training import read_log, training
from novelty.results.records import Record, write_text
from novelty.tables import Cell, Row


def draw_run(record: Record, images: Images, trained: Trained | None = None) -> list[Path]:
    """Pictures of the done cell ``record`` into ``<its folder>/pictures``, and ``page.html``; all that was written.

    images: its data set.  trained: its method, for the sheet of what this makes of images; without it there is none.
    """
    content = json.loads(record.result.read_text(encoding="utf-8"))
    folder = record.result.with_name("pictures")
    drawn = _of_record(record, content, images)
    if trained is not None:
        sheet = _sheet(content, trained)
        if sheet is not None:
            drawn["sheet"] = sheet
        located = localisation(trained, content["primary"])
        if located is not None:
            drawn["overlays"] = located
    written = [path for name, drawing in drawn.items() for path in save(drawing, folder, name)]
    html = record.result.with_name("page.html")
    write_text(html, page(content, folder))
    return [*written, html]


def _of_record(record: Record, content: dict[str, Any], images: Images) -> dict[str, Drawing]:
    name = content["primary"]
    metrics = content["metrics"][name]
    with np.load(record.scores) as stored:
        scores, novel, index = stored[f"score/{name}"].astype(np.float64), stored["novel"], stored["index"]
    lines = {
        line: (to_float(rows(images.pixels, torch.from_numpy(index[places]))), scores[places])
        for line, places in ends(scores, novel).items()
    }
    found = {
        "ranking": curves(scores, novel, metrics),
        "histogram": histogram(name, scores, novel, metrics.get("threshold")),
        "extremes": extremes(lines),
    }
    drawn = training(read_log(record.folder / "logs" / "csv"), content.get("curve"))
    return found | ({"training": drawn} if drawn is not None else {})


def _sheet(content: dict[str, Any], trained: Trained) -> Drawing | None:
    """The first test images of either kind, and what the method shows of them; None where it shows nothing."""
    choices = content["choices"]
    cell = Cell(choices["method"], choices["data"], content["seed"], ())
    sheet = Sheet()
    numbers = sheet.gather([Run(cell, Row(cell.row, (), ()), content, load=lambda: trained)])
    if all(not row for _, row, _ in numbers.pictures):
        return None
    with styled():
        return sheet.draw(numbers)
