"""Records made small enough for a repository: what a report reads of them, and nothing of the machine's paths."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from novelty.results.records import write_text

DROPPED = ("command", "split_file", "curve")
OF_MACHINE = ("paths", "logger", "dry_run", "table", "figure", "launcher", "keep", "pictures", "maps")
"""Keys of the configuration that say where and how a cell ran, not what it is."""


def keep(records: Iterable[dict[str, Any]], folder: Path) -> list[Path]:
    """Small copies of ``records`` (as `read_all` gives them) below ``folder``, laid out as they were; the files."""
    written = []
    for record in records:
        *_, method, data, training, evaluation, name = Path(record["path"]).parts
        path = folder / method / data / training / evaluation / name
        text = json.dumps(small(record), separators=(",", ":"), sort_keys=True, allow_nan=False)
        write_text(path, text + "\n")
        written.append(path)
    return written


def small(record: dict[str, Any]) -> dict[str, Any]:
    """A record without what reports do not read."""
    kept = {name: value for name, value in record.items() if name not in (*DROPPED, "path")}
    kept["config"] = {name: value for name, value in record["config"].items() if name not in OF_MACHINE}
    return kept
