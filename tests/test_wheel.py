"""The wheel carries configuration, tables and sweeper, and runs from anywhere."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path

import torch


def test_the_wheel_installed_elsewhere_runs(tmp_path: Path) -> None:
    checkout = Path(__file__).resolve().parents[1]
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(checkout)],
        check=True, capture_output=True, timeout=300,
    )  # fmt: skip
    (wheel,) = tmp_path.glob("*.whl")
    venv.create(tmp_path / "env", with_pip=True)
    python = tmp_path / "env" / "bin" / "python"
    (packages,) = (tmp_path / "env" / "lib").glob("python*/site-packages")
    # The libraries of this environment, but not its editable install: .pth files are not followed from here.
    (packages / "libraries.pth").write_text(str(Path(torch.__file__).parents[1]))
    subprocess.run(
        [python, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", wheel], check=True, timeout=300
    )
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    where = subprocess.run(
        [python, "-c", "import novelty.config as c; print(c.conf_dir())"],
        cwd=elsewhere, env=environment, check=True, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert Path(where.stdout.strip()) == packages / "novelty" / "conf"
    typed = ["-m", "method=kde", "data=digits", "protocol.normal=0,1", "budget=smoke", "hardware=cpu"]
    done = subprocess.run(
        [tmp_path / "env" / "bin" / "novelty", *typed],
        cwd=elsewhere, env=environment, capture_output=True, text=True, timeout=200,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert len(list(Path(environment["NOVELTY_RUNS"]).rglob("result.json"))) == 2
    table = subprocess.run(
        [python, "-m", "novelty.report", "table=piad/table2_mnist"],
        cwd=elsewhere, env=environment, capture_output=True, text=True, timeout=100,
    )  # fmt: skip
    assert "PIAD (our)" in table.stdout, table.stderr
