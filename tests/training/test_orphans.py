"""Workers without a launcher finish what they have in hand, take nothing else, and end."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from novelty.training.orphans import LAUNCHER, SECONDS, in_hand, launching

SWEEP = """
import sys, time
from pathlib import Path
from joblib import Parallel, delayed
from novelty.training.orphans import in_hand, launching

def cell(folder, number):
    with in_hand():
        (folder / f"begun{number}").touch()
        while not (folder / "go").exists():
            time.sleep(0.05)
        (folder / f"done{number}").touch()

if __name__ == "__main__":
    with launching():
        Parallel(n_jobs=2, batch_size=1)(delayed(cell)(Path(sys.argv[1]), number) for number in range(6))
"""


def _workers(folder: Path) -> list[str]:
    listed = subprocess.run(["ps", "-wweo", "sid=,stat=,args="], capture_output=True, text=True, check=True).stdout
    session = int((folder / "session").read_text())
    return [row for row in listed.splitlines() if int(row.split()[0]) == session and "Loky" in row]


def _wait(condition: object, seconds: float = 60) -> None:
    assert callable(condition)
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_workers_whose_launcher_is_killed_finish_their_cells_and_end(tmp_path: Path) -> None:
    script = tmp_path / "sweep.py"
    script.write_text(SWEEP, encoding="utf-8")
    process = subprocess.Popen([sys.executable, script, tmp_path], start_new_session=True)
    (tmp_path / "session").write_text(str(process.pid))
    _wait(lambda: len(list(tmp_path.glob("begun*"))) == 2)
    assert len(_workers(tmp_path)) == 2
    process.kill()
    process.wait()
    time.sleep(2 * SECONDS)
    assert len(_workers(tmp_path)) == 2  # they have cells in hand
    (tmp_path / "go").touch()
    _wait(lambda: not _workers(tmp_path))
    names = {path.name[:-1] for path in tmp_path.glob("*[0-9]")}
    assert names == {"begun", "done"}
    assert len(list(tmp_path.glob("begun*"))) == len(list(tmp_path.glob("done*"))) == 2


def test_who_is_no_worker_is_left_alone() -> None:
    assert LAUNCHER not in os.environ
    with launching(), in_hand():
        assert os.environ[LAUNCHER] == str(os.getpid())
        with launching():
            pass
        assert os.environ[LAUNCHER] == str(os.getpid())
    assert LAUNCHER not in os.environ
