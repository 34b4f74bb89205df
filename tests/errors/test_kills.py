"""A hundred `kill -9` at random moments over one sweep of many small cells: nothing lost, nothing doubled."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from sweeps import done_below, scores_below

CELLS = 2 * 10 * 3
SWEEP = [
    "-m", "data=digits", "method=autoencoder,kde", "protocol.normal=range(10)", "seed=0,1,2", "budget=smoke",
    "hardware=cpu", "hardware.threads=1", "hardware.checkpoint_every=0.02", "logger=csv", "pictures=false",
    "budget.scale=0.5",
]  # fmt: skip
KILLS = int(os.environ.get("NOVELTY_KILLS", "100"))


def _sweep(runs: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "novelty.run", *SWEEP, f"paths.runs={runs}"]
    return subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=os.environ, start_new_session=True
    )


def _finish(runs: Path) -> None:
    process = _sweep(runs)
    _, errors = process.communicate(timeout=3600)
    assert process.returncode == 0, errors


@dataclass
class Count:
    """What happened so far; ``cut``: kills that left a training under way."""

    kills: int = 0
    cut: int = 0
    lost: int = 0
    doubled: int = 0
    changed: int = 0
    left: int = 0


@pytest.mark.slow
@pytest.mark.timeout(4 * 3600)
def test_a_hundred_kills_lose_nothing_double_nothing_and_change_nothing(tmp_path: Path) -> None:
    """NOVELTY_KILLS=10 makes a short trial of it; the figures are printed (pytest -s)."""
    start = time.monotonic()
    _finish(tmp_path / "whole")
    whole = time.monotonic() - start
    expected = scores_below(tmp_path / "whole")
    assert len(expected) == CELLS
    count, moments, rounds = Count(), random.Random(0), 0
    while count.kills < KILLS:
        rounds += 1
        _killed_sweep(tmp_path / f"killed{rounds}", expected, moments, count)
    print(
        f"\n{count.kills} kills over {rounds} sweeps of {CELLS} cells ({whole:.0f} s each, uninterrupted), {count.cut} "
        f"with a training under way: {count.lost} lost, {count.doubled} doubled, {count.changed} changed, {count.left} "
        f"half-written files left; {time.monotonic() - start:.0f} s in all."
    )
    assert (count.lost, count.doubled, count.changed, count.left) == (0, 0, 0, 0)


def _killed_sweep(runs: Path, expected: dict[str, dict[str, np.ndarray]], moments: random.Random, count: Count) -> None:
    """One sweep, killed until it or the number of kills is through, then finished and compared."""
    before: dict[Path, int] = {}
    while count.kills < KILLS and len(before) < CELLS:
        for stale in runs.glob("*/*/*/owner.json"):
            stale.unlink()
        process = _sweep(runs)
        if moments.random() < 0.8:  # within the work; otherwise while the interpreter starts, or plans
            while process.poll() is None and not list(runs.glob("*/*/*/owner.json")):
                time.sleep(0.01)
            time.sleep(moments.uniform(0, 3))
        else:
            time.sleep(moments.uniform(0, 8))
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            count.kills += 1
        process.communicate()
        count.cut += bool(list(runs.rglob("resume.ckpt")))
        after = done_below(runs)
        count.doubled += sum(after.get(path) != moment for path, moment in before.items())
        for path in after:  # whole, whenever the kill came
            json.loads(path.read_text())
        before = after
    _finish(runs)
    after, found = done_below(runs), scores_below(runs)
    count.doubled += sum(after.get(path) != moment for path, moment in before.items())
    count.doubled += len(found.keys() - expected.keys())
    count.lost += len(expected.keys() - found.keys())
    for path in expected.keys() & found.keys():
        arrays, others = expected[path], found[path]
        same = arrays.keys() == others.keys() and all(np.array_equal(arrays[name], others[name]) for name in arrays)
        count.changed += not same
    count.left += len(list(runs.rglob(".????????.*")))
