"""Logs: there, complete, and never in the way of a run."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import pytest
from cells import plan, run
from wandb_files import read_back

from novelty.training.logged import POINTS, roc
from novelty.training.loggers import _identity, wandb_mode

LOGGED = ("logger=all", "method=autoencoder", "budget.scale=0.05")


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
        summary = read_back(offline)
        assert summary["summary"]["test/mse/auroc"] == pytest.approx(value)
        assert summary["config"]["protocol"]["normal"] == [normal]
    out, err = capfd.readouterr()
    assert "WARNING" not in out + err


def test_loggers_hold_curves_scores_and_pictures(runs: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    typed = (*LOGGED, "pictures=true", "logger.tags=[mine]", "logger.tables=[piad/table2_mnist]")
    record = run(*typed)
    logs = plan(*typed).record.folder / "logs"
    board = EventAccumulator(str(logs / "tensorboard"))
    board.Reload()
    tags = board.Tags()
    assert {"pictures/ranking", "pictures/sheet", "pictures/extremes"} <= set(tags["images"])
    assert {"scores/mse/normal", "scores/mse/novel"} <= set(tags["histograms"])
    (offline,) = (logs / "wandb").glob("offline-run-*")
    summary = read_back(offline)
    assert {"scores/table", "scores/novel", "curves/roc_table", "pictures/sheet"} <= set(summary["summary"])
    assert summary["config"]["split"] == record["split"]
    assert summary["config"]["environment"]["commit"] == record["environment"]["commit"]
    files = [path.name for path in (offline / "files" / "media").rglob("*") if path.is_file()]
    assert sum(name.endswith(".png") for name in files) >= 4
    table = next((offline / "files" / "media").rglob("*scores/table*.json"))
    rows = json.loads(table.read_text())
    assert rows["columns"] == ["image", "novel", "mse", "dssim"]
    assert len(rows["data"]) == 16


def test_a_roc_curve_of_many_scores_is_thinned_and_keeps_its_ends() -> None:
    rng = np.random.default_rng(0)
    points = roc(rng.normal(size=5000), rng.random(5000) < 0.3)
    assert len(points) <= POINTS + 1
    assert points[0].tolist() == [0, 0]
    assert points[-1].tolist() == [1, 1]
    assert (np.diff(points, axis=0) >= 0).all()


def test_a_wrapping_method_has_a_wandb_run_of_its_own() -> None:
    """It shares the training of what it wraps, and would otherwise write over that run when both are synced."""
    alone = plan("method=autoencoder")
    wrapped = plan("method=energy_projection", "method@method.autoencoder=autoencoder")
    assert _identity(alone) == alone.record.training
    assert wrapped.record.method == "autoencoder"
    assert _identity(wrapped) == wrapped.record.scoring != wrapped.record.training


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
