"""Of a cell of a sweep nothing stays in memory, whether it ends well or not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SWEEP = """
import gc, sys
gc.disable()
from novelty import run
from novelty.methods.autoencoder import Autoencoder
from novelty.methods.base import Method

def alive():
    print("alive", sum(isinstance(thing, Method) for thing in gc.get_objects()), flush=True)

def cell(cfg, whole=run.cell):
    alive()
    return whole(cfg)

def score(self, images, whole=Autoencoder.score):
    if self.seed == 1:
        raise RuntimeError("no score")
    return whole(self, images)

run.cell, Autoencoder.score = cell, score
try:
    run.main()
finally:
    alive()
"""


def test_no_method_outlives_its_cell(tmp_path: Path) -> None:
    typed = [
        "-m", "data=digits", "method=autoencoder", "seed=0,1,2", "budget=smoke", "hardware=cpu", "hardware.threads=1",
        "logger=none", f"paths.runs={tmp_path}",
    ]  # fmt: skip
    done = subprocess.run([sys.executable, "-c", SWEEP, *typed], capture_output=True, text=True, timeout=300)
    assert "1 of 3 cells failed" in done.stderr, done.stderr
    assert "no score" in done.stderr
    assert [line for line in done.stdout.splitlines() if line.startswith("alive")] == ["alive 0"] * 4
