"""Records as a run leaves them, without a run."""

from __future__ import annotations

import copy
import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

from novelty.check import check, defaults
from novelty.config import compose_cell, open_overrides
from novelty.report.compare import Line, lines
from novelty.report.match import PLACES, fill
from novelty.tables import Table


def record(overrides: list[str], auroc: float, **changes: Any) -> dict[str, Any]:
    """A record as a run leaves it; ``changes`` replace dotted keys."""
    cfg, choices = compose_cell(open_overrides(overrides))
    config = check(cfg)
    source = {name: value for name, value in config["data"]["source"].items() if name not in PLACES}
    augmented = ("augment",) if config["data"]["augment"] else ()
    if "normal" in config["protocol"]:
        config["protocol"]["normal"] = [str(cfg.protocol.normal)]
    content = {
        "schema": 1,
        "keys": {"training": "t", "scoring": "s", "evaluation": "e"},
        "choices": {"method": choices["method"], "data": choices["data"]},
        "config": config,
        "defaults": {name: defaults(config[name]) for name in ("method", "protocol", "evaluation")}
        | {name: defaults(config["data"][name]) for name in augmented},
        "seed": config["seed"],
        "normal": config["protocol"].get("normal", ["drawn"]),
        "primary": "x",
        "metrics": {"x": {"auroc": auroc}},
        "data": {"copy": "original", "digest": f"{choices['data']} {source}"},  # a category has contents of its own
        "weights": {"weights": config["method"]["weights"]} if choices["method"] == "piad" else {},
        "versions": {"framework": 1, "method": 1, "metrics": 1},
        "processes": 1,
        "evaluated": "2026-01-01T00:00:00+00:00",
        "provenance": {"backbone": "vgg19 imagenet"} if choices["method"] == "piad" else {},
        "split": {"train": 5, "validation": 0, "test_normal": 3, "test_novel": 7},
        "timings": {"train_seconds": 8.0, "steps": 4, "score_seconds": 2.0},
        "environment": {"time": "2026-01-01T00:00:00+00:00", "commit": "c", "hardware": "a box, 2 cores"},
    }
    content = copy.deepcopy(content)
    for key, value in changes.items():
        *parents, last = key.split("__")
        place: Any = content
        for parent in parents:
            place = place[parent]
        place[last] = value
    return content


def whole_row(
    table: Table, row: str, auroc: float = 0.9, columns: Collection[str] = (), **changes: Any
) -> list[dict[str, Any]]:
    """A record for each cell of a row, or of some ``columns`` of it, better by 0.01 with every seed."""
    cells = [cell for cell in table.cells() if cell.row == row and (not columns or cell.column in columns)]
    return [record(cell.overrides, auroc + 0.01 * cell.seed, **changes) for cell in cells]


def with_epochs(auroc: float) -> dict[str, float]:
    """Metrics of a score whose test AUROC was taken after each of the last epochs."""
    return {
        "auroc": auroc,
        "auroc_mean_last_20": auroc,
        "auroc_variance_last_20": 4e-6,
        "auroc_std_last_20": 2e-3,
        "epochs_last_20": 20,
    }


def written(runs: Path, records: list[dict[str, Any]]) -> None:
    """Records as files, each in a folder of its own."""
    for i, content in enumerate(records):
        path = runs / content["choices"]["method"] / content["choices"]["data"] / f"t{i}" / "e" / "result.json"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(content), encoding="utf-8")


def found(table: Table, records: list[dict[str, Any]]) -> list[Line]:
    """The lines of ours that ``records`` make of ``table``."""
    return lines(table, fill(table, records))
