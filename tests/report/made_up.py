"""Records as a run leaves them, without a run."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

from novelty.check import check, defaults
from novelty.config import compose_cell, open_overrides
from novelty.tables import Table


def record(overrides: list[str], auroc: float, **changes: Any) -> dict[str, Any]:
    """A record as a run leaves it; ``changes`` replace dotted keys."""
    cfg, choices = compose_cell(open_overrides(overrides))
    config = check(cfg)
    if "normal" in config["protocol"]:
        config["protocol"]["normal"] = [str(cfg.protocol.normal)]
    content = {
        "schema": 1,
        "keys": {"training": "t", "scoring": "s", "evaluation": "e"},
        "choices": {"method": choices["method"], "data": choices["data"]},
        "config": config,
        "defaults": {name: defaults(config[name]) for name in ("method", "protocol", "evaluation")},
        "seed": config["seed"],
        "normal": config["protocol"].get("normal", ["drawn"]),
        "primary": "x",
        "metrics": {"x": {"auroc": auroc}},
        "data": {"copy": "original", "digest": "d"},
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


def whole_row(table: Table, row: str, auroc: float = 0.9, **changes: Any) -> list[dict[str, Any]]:
    """A record for each cell of a row, better by 0.01 with every seed."""
    return [record(cell.overrides, auroc + 0.01 * cell.seed, **changes) for cell in table.cells() if cell.row == row]


def written(runs: Path, records: list[dict[str, Any]]) -> None:
    """Records as files, each in a folder of its own."""
    for i, content in enumerate(records):
        path = runs / content["choices"]["method"] / content["choices"]["data"] / f"t{i}" / "e" / "result.json"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(content), encoding="utf-8")
