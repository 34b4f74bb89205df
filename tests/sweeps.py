"""What sweeps leave behind, for tests that kill, repeat or hand over sweeps and compare."""

from __future__ import annotations

from pathlib import Path

import numpy as np

Scores = dict[str, dict[str, np.ndarray]]
"""Every array of every scores.npz, by its place below the folder of records."""


def scores_below(runs: Path) -> Scores:
    """The raw scores of all records."""
    found = {}
    for path in runs.rglob("scores.npz"):
        with np.load(path) as arrays:
            found[str(path.relative_to(runs))] = dict(arrays)
    return found


def done_below(runs: Path) -> dict[Path, int]:
    """When each record was written, in nanoseconds: one that is written twice has another time."""
    return {path: path.stat().st_mtime_ns for path in runs.rglob("result.json")}
