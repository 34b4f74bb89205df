"""Logs: there, complete, and never in the way of a run."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from cells import plan, run

from novelty.training.loggers import wandb_mode

LOGGED = ("logger=all", "method=autoencoder", "budget.scale=0.05")


def _summary(folder: Path) -> dict:
    wandb = Path(sys.executable).with_name("wandb")
    done = subprocess.run(
        [wandb, "leet", "inspect", "--summary", "--json", folder],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return dict(json.loads(done.stdout))


def test_csv_tensorboard_and_offline_wandb_hold_losses_and_results(
    runs: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    auroc = {}
    for normal in ("0", "1"):  # two cells in one process: a W&B run each
        record = run(*LOGGED, f"protocol.normal={normal}")
        auroc[normal] = record["metrics"]["mse"]["auroc"]
    for normal, value in auroc.items():
        logs = plan(*LOGGED, f"protocol.normal={normal}").record.folder / "logs"
        table = (logs / "csv" / "metrics.csv").read_text()
        assert "loss" in table
        assert f"{value}"[:8] in table
        assert list((logs / "tensorboard").glob("events.*"))
        (offline,) = (logs / "wandb").glob("offline-run-*")
        summary = _summary(offline)
        assert summary["summary"]["test/mse/auroc"] == pytest.approx(value)
        assert summary["config"]["protocol"]["normal"] == [normal]
    out, err = capfd.readouterr()
    assert "WARNING" not in out + err


def test_without_a_key_wandb_is_offline_at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("WANDB_MODE")
    monkeypatch.setenv("HOME", str(tmp_path))
    start = time.monotonic()
    assert wandb_mode("auto") == "offline"
    assert time.monotonic() - start < 1


def test_with_a_key_and_no_server_wandb_is_offline_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WANDB_MODE")
    monkeypatch.setenv("WANDB_API_KEY", "x" * 40)
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    start = time.monotonic()
    assert wandb_mode("auto") == "offline"
    assert time.monotonic() - start < 5


def test_no_key_is_ever_written(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = "0123456789abcdef" * 2 + "01234567"
    monkeypatch.setenv("WANDB_API_KEY", key)
    run(*LOGGED)
    for path in runs.rglob("*"):
        if path.is_file():
            assert key.encode() not in path.read_bytes()
