"""A sweep of very many cells that only sleep, under random kills: what it costs a cell; nothing lost, nothing doubled.

NOVELTY_REHEARSAL="cells=2000 workers=8 kills=40 seconds=2 launcher=joblib" sets the size of the slow one; figures are
printed (pytest -m slow -s tests/scale).
"""

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

import pytest

WORKERS = {"joblib": "hydra.launcher.n_jobs", "submitit_local": "hydra.launcher.jobs"}
RECOVERY_SECONDS = 120.0
"""Whoever was working when its launcher was killed has ended by then."""


@dataclass
class Size:
    """cells of so many seconds of sleep for so many workers, and kills at random moments, ``apart`` seconds at most."""

    cells: int = 200
    workers: int = 4
    kills: int = 10
    seconds: float = 1.0
    apart: float = 30.0
    launcher: str = "joblib"

    @classmethod
    def asked(cls) -> Size:
        """As the environment asks."""
        said = dict(word.split("=", 1) for word in os.environ.get("NOVELTY_REHEARSAL", "").split())
        kinds = {name: type(getattr(cls, name)) for name in cls.__dataclass_fields__}
        return cls(**{name: kinds[name](value) for name, value in said.items()})


@dataclass
class Count:
    """What happened; ``together``: times that two workers had the same cell in hand at once."""

    kills: int = 0
    doubled: int = 0
    lost: int = 0
    together: int = 0
    left: int = 0


class Rehearsal:
    """One sweep in ``folder``, begun as often as it takes."""

    def __init__(self, size: Size, folder: Path) -> None:
        self.size, self.runs, self.journal = size, folder / "runs", folder / "journal"
        method = folder / "conf" / "method" / "sleeping.yaml"
        method.parent.mkdir(parents=True)
        method.write_text(
            f"_target_: scale.sleeping.Sleeping\nseconds: {size.seconds}\njournal: {self.journal}\n", encoding="utf-8"
        )
        self.command = [
            *(sys.executable, "-m", "novelty.run", "--config-dir", str(folder / "conf"), "-m", "method=sleeping"),
            *("data=digits", "protocol.normal=0", f"seed=range({size.cells})", "budget=smoke", "budget.max_train=8"),
            *("budget.max_test=16", "evaluation.bootstrap=0", "hardware=cpu", "hardware.threads=1", "logger=none"),
            *("keep=none", "pictures=false", f"launcher={size.launcher}", f"{WORKERS[size.launcher]}={size.workers}"),
            f"paths.runs={self.runs}",
        ]

    def start(self) -> subprocess.Popen[str]:
        environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
        return subprocess.Popen(
            self.command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment,
            start_new_session=True,
        )  # fmt: skip

    def done(self) -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in self.runs.rglob("result.json")}

    def workers(self) -> list[int]:
        found = []
        for path in self.runs.glob("*/*/*/owner.json"):
            try:
                found.append(int(json.loads(path.read_text())["pid"]))
            except (OSError, ValueError):  # it has just ended
                continue
        return [pid for pid in found if Path(f"/proc/{pid}").exists()]

    def kill(self, process: subprocess.Popen[str], moments: random.Random) -> None:
        """The launcher, a worker, or the whole tree."""
        victim = moments.choice(["launcher", "worker", "tree"])
        workers = self.workers()
        if victim == "worker" and workers:
            os.kill(moments.choice(workers), signal.SIGKILL)
        elif victim == "launcher":
            process.kill()
        else:
            os.killpg(process.pid, signal.SIGKILL)

    def quiet(self) -> None:
        """Wait for what a killed launcher left behind."""
        deadline = time.monotonic() + RECOVERY_SECONDS
        while self.workers():
            assert time.monotonic() < deadline, "a worker without a launcher does not end"
            time.sleep(0.1)


def _rehearse(size: Size, folder: Path) -> Count:
    rehearsal, count, moments = Rehearsal(size, folder), Count(), random.Random(0)
    started, begun = time.monotonic(), 0
    before: dict[Path, int] = {}
    while len(before) < size.cells:
        begun += 1
        assert begun <= size.kills + 2, "the sweep comes to no end"
        process = rehearsal.start()
        while process.poll() is None and count.kills < size.kills:
            moment = time.monotonic() + moments.uniform(0, size.apart)
            while process.poll() is None and (time.monotonic() < moment or not rehearsal.workers()):
                time.sleep(0.02)
            if process.poll() is None:
                rehearsal.kill(process, moments)
                count.kills += 1
                if size.launcher == "joblib" or process.poll() is not None:
                    break
        _, errors = process.communicate()
        assert "Traceback" not in errors, errors
        rehearsal.quiet()
        after = rehearsal.done()
        count.doubled += sum(after.get(path) != moment for path, moment in before.items())
        before = after
    seconds = time.monotonic() - started
    seeds = [json.loads(path.read_text())["seed"] for path in before]
    count.lost = size.cells - len(set(seeds))
    count.doubled += len(seeds) - len(set(seeds))
    slept, count.together = _read(rehearsal.journal)
    count.left = len(list(rehearsal.runs.rglob(".????????.*")))
    overhead = (seconds * size.workers - slept) / size.cells
    print(f"\n{size}: {seconds:.0f} s in {begun} sweeps, {3600 * size.cells / seconds:.0f} cells an hour")
    print(f"{overhead:.2f} s of a worker's time a cell beside its sleep; {count}")
    return count


def _read(journal: Path) -> tuple[float, int]:
    """Seconds of sleep that were slept to their end, and how often two had the same cell in hand."""
    slept, together = 0.0, 0
    begun: dict[tuple[str, str], float] = {}
    awake: dict[str, float] = {}
    for line in sorted(journal.read_text().splitlines(), key=lambda line: float(line.split()[2])):
        seed, word, moment, pid = line.split()
        if word == "begins":
            begun[seed, pid] = float(moment)
            continue
        start = begun.pop((seed, pid))
        together += start < awake.get(seed, 0.0)
        awake[seed] = float(moment)
        slept += float(moment) - start
    return slept, together


def test_a_small_rehearsal(tmp_path: Path) -> None:
    assert _rehearse(Size(cells=6, workers=2, kills=1, seconds=0.3, apart=0.3), tmp_path) == Count(kills=1)


@pytest.mark.slow
@pytest.mark.timeout(24 * 3600)
def test_a_rehearsal(tmp_path: Path) -> None:
    size = Size.asked()
    count = _rehearse(size, tmp_path)
    assert (count.doubled, count.lost, count.together, count.left) == (0, 0, 0, 0)
