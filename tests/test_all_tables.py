"""Every cell of every table at a smoke budget, killed twice on the way, to a report that renders: an hour of its own.

Real data where NOVELTY_DATA has them, stand-ins of the same layout otherwise. NOVELTY_TABLES=crbnd/* is a short trial.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from data.fakes.caltech256 import write_caltech256
from data.fakes.every import WRITERS
from data.fakes.mvtec_ad import write_mvtec_ad
from sweeps import done_below

from novelty.config import tables_matching
from novelty.data.sources.mvtec_ad import PUBLISHED
from novelty.report.compare import lines, printed_values
from novelty.report.match import fill
from novelty.results.records import read_all
from novelty.tables import load_table

TABLES = os.environ.get("NOVELTY_TABLES", "all")
SMALL = [
    "budget=smoke", "budget.scale=0.00001", "budget.max_train=8", "budget.max_test=8",
    "hardware=cpu", "hardware.threads=1", "logger=none",
]  # fmt: skip
REAL = {"mnist": "MNIST", "cifar10": "cifar10", "brain_mri": "brain_mri"}
"""Sources of NOVELTY_DATA that are taken as they are, by the folder that they lie in."""


def _data(root: Path) -> Path:
    real = Path(os.environ["NOVELTY_DATA"]) if "NOVELTY_DATA" in os.environ else None
    root.mkdir()
    for name, write in WRITERS.items():
        if real is not None and name in REAL and (real / REAL[name]).is_dir():
            (root / REAL[name]).symlink_to(real / REAL[name])
        elif name not in ("against", "caltech256"):
            write(root)
    write_caltech256(root, clutter=12)
    for category in PUBLISHED:
        if not (root / "mvtec_ad" / category).exists():
            write_mvtec_ad(root / "mvtec_ad", category)
    return root


def _commands(names: list[str]) -> list[list[str]]:
    """PIAD's backbone has no download here, and the rows beside it take no weights."""
    with_backbone = [name for name in names if name.startswith("piad/")]
    others = [name for name in names if name not in with_backbone]
    found = [[f"table={','.join(others)}", *SMALL]] if others else []
    if with_backbone:
        found.append([f"table={','.join(with_backbone)}", "method=piad", "method.weights=random", *SMALL])
        found.append([f"table={','.join(with_backbone)}", "method=kde,ocsvm", *SMALL])
    return found


def _start(command: list[str], environment: dict[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "novelty.run", *command],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
    )  # fmt: skip


def _killed(command: list[str], environment: dict[str, str], runs: Path, more: int) -> None:
    """Start it, and kill it once it has finished ``more`` cells, in the midst of the next."""
    before = len(done_below(runs))
    process = _start(command, environment)
    while process.poll() is None and len(done_below(runs)) < before + more:
        time.sleep(0.2)
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def _expect_every_own_cell(names: list[str], runs: Path) -> None:
    """Every cell of the papers' own methods has a number of ours, in as many lines as there are kinds of data."""
    records = [record for record in read_all(runs) if "metrics" in record]
    for name in names:
        table = load_table(name)
        found: dict[str, set[str]] = {}
        for line in lines(table, fill(table, records)):
            assert "budget smoke" in line.reason
            found.setdefault(line.row.name, set()).update(line.cells)
        for row in (row["method"] for row in table.printed["rows"] if row["ours"]):
            wanted = {column for column, value in printed_values(table, row).items() if value is not None}
            if table.metric != "fid":  # needs a file of weights
                assert wanted <= found.get(row, set()), (name, row)


@pytest.mark.slow
@pytest.mark.timeout(3 * 3600)
def test_every_table_is_filled_through_two_kills_and_reported(tmp_path: Path) -> None:
    names, runs = tables_matching(TABLES), tmp_path / "runs"
    environment = {
        **os.environ,
        "NOVELTY_DATA": str(_data(tmp_path / "data")),
        "NOVELTY_CACHE": str(tmp_path / "cache"),
        "NOVELTY_RUNS": str(runs),
        "OMP_NUM_THREADS": "1",
    }
    for command in _commands(names):
        for more in (2, 3):
            _killed(command, environment, runs, more)
        kept = done_below(runs)
        process = _start(command, environment)
        output, _ = process.communicate()
        assert process.returncode == 0, output[-4000:]
        after = done_below(runs)
        assert {path: after[path] for path in kept} == kept  # what was done before a kill is not done again
    _expect_every_own_cell(names, runs)
    page = subprocess.run(
        [sys.executable, "-m", "novelty.report", f"table={TABLES}", "format=html"],
        env=environment, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    path = tmp_path / "report.html"
    path.write_text(page, encoding="utf-8")
    assert page.count("<h2") == len(names)
    if browser := shutil.which("chromium"):
        options = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            f"--user-data-dir={tmp_path / 'profile'}",
            "--dump-dom",
        ]
        shown = subprocess.run(
            [browser, *options, path.as_uri()], capture_output=True, text=True, timeout=120, check=True
        )
        assert shown.stdout.count("<table>") == len(names)
