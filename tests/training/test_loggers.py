"""Logs: there, complete, and never in the way of a run."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import pytest
from cells import plan, run
from wandb_files import read_back

from novelty.errors import Stopped
from novelty.pictures.training import read_log
from novelty.results.logs import offline_runs, run_id
from novelty.training import cell
from novelty.training.callbacks import ResumePoint
from novelty.training.logged import POINTS, roc
from novelty.training.loggers import wandb_mode

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


def losses(folder: Path) -> list[int]:
    """Steps at which TensorBoard has a loss of the training in ``folder``."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    board = EventAccumulator(str(folder / "logs" / "tensorboard"))
    board.Reload()
    return [event.step for event in board.Scalars("loss/reconstruction")]


def test_what_was_asked_for_by_name_stays_and_can_be_sent_whatever_is_kept(runs: Path) -> None:
    """Tables keep nothing by default, and an offline run is sent later."""
    for logger, stays in (("wandb", {"csv", "wandb"}), ("tensorboard", {"csv", "tensorboard"}), ("csv", None)):
        typed = ("method=autoencoder", "budget.scale=0.05", f"logger={logger}", "keep=none", f"seed={len(logger)}")
        run(*typed)
        record = plan(*typed).record
        assert not record.weights.exists()
        record.tidy("none")  # as a sweep does once more, after its last cell
        logs = record.folder / "logs"
        assert ({path.name for path in logs.iterdir()} if logs.exists() else None) == stays
        assert len(offline_runs(record.folder, [record.training])) == (logger == "wandb")


def test_every_evaluation_reaches_its_logger_once_and_the_curve_is_there_once(runs: Path) -> None:
    """A wrapper has a run of its own; what is evaluated again extends its run, whether it is scored anew or not."""
    logged = (*LOGGED, "keep=weights", "data.image_size=32")
    first = (
        *logged,
        "method.latent=32",
        "method.epochs=20",
    )  # as the method is where no recipe makes it smaller for the digits
    slot = "method@method.autoencoder=autoencoder"
    wrapped = (*logged, "method=energy_projection", slot, "method.autoencoder.epochs=20")
    rescored, remeasured = (*first, "budget.max_test=15"), (*first, "evaluation.quantile=0.5")
    values = {typed: run(*typed)["metrics"] for typed in (first, wrapped, rescored, remeasured)}
    alone, other = plan(*first), plan(*wrapped)
    folder = alone.record.folder
    assert other.record.folder == folder
    ids = [run_id(p.choices, {"training": p.record.training, "scoring": p.record.scoring}) for p in (alone, other)]
    assert ids == [alone.record.training, other.record.scoring]
    parts, (own,) = (offline_runs(folder, [name]) for name in ids)
    assert len(parts) == 3
    heads = [read_back(part)["summary"] for part in parts]
    assert ["loss/reconstruction" in head for head in heads] == [True, False, False]
    found = [head["test/mse/auroc"] for head in heads]
    assert found == pytest.approx([values[typed]["mse"]["auroc"] for typed in (first, rescored, remeasured)])
    projected = read_back(own)["summary"]
    name = next(name for name in values[wrapped] if name not in values[first])
    assert projected[f"test/{name}/auroc"] == pytest.approx(values[wrapped][name]["auroc"])
    assert "loss/reconstruction" not in projected
    assert heads[0]["_step"] < heads[1]["_step"] < heads[2]["_step"]  # W&B's own step goes on
    log = read_log(folder / "logs" / "csv")
    assert len(list((folder / "logs" / "csv").glob("metrics*.csv"))) == 4
    assert f"test/{name}/auroc" in log
    assert losses(folder) == sorted(set(losses(folder)))


def test_what_trains_again_for_another_evaluation_logs_its_curve_once(runs: Path) -> None:
    first = (*LOGGED, "keep=none")
    run(*first)
    folder = plan(*first).record.folder
    steps = losses(folder)
    again = (*first, "evaluation=robustness")
    record = run(*again)
    assert plan(*again).record.folder == folder
    assert losses(folder) == steps
    one, two = (read_back(part)["summary"] for part in offline_runs(folder, [folder.name]))
    assert "loss/reconstruction" in one
    assert "loss/reconstruction" not in two
    assert any("@" in name for name in two)
    plain = (*first, "evaluation.quantile=0.5")
    run(*plain)
    three = read_back(offline_runs(folder, [folder.name])[-1])["summary"]
    assert three.items() >= {name: two[name] for name in two if "@" in name}.items()  # a summary takes the last's place
    assert record["metrics"].keys() - {"mse", "dssim"}


def test_a_resumed_cell_logs_each_step_once_and_one_that_begins_anew_too(
    runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    typed = (*LOGGED, "keep=none", "seed=3", "method.epochs=400")
    folder = plan(*typed).record.folder
    uncut = (*typed[:-2], "seed=4", typed[-1])
    run(*uncut)

    def cut(after: int) -> None:
        whole = ResumePoint.on_train_batch_end

        def stop(self: ResumePoint, trainer: object, method: object, *rest: object) -> None:
            whole(self, trainer, method, *rest)  # type: ignore[arg-type]
            if self.seconds >= 0 and getattr(trainer, "global_step", 0) == after:
                self._signal = 15

        with monkeypatch.context() as patch:
            patch.setattr(ResumePoint, "on_train_batch_end", stop)
            with pytest.raises(Stopped):
                run(*typed)

    cut(15)
    plan(*typed).record.resume.unlink()  # begun anew: killed before anything was saved
    cut(15)
    assert len(offline_runs(folder, [folder.name])) == 1
    run(*typed)
    assert len(offline_runs(folder, [folder.name])) == 2
    assert losses(folder) == losses(plan(*uncut).record.folder)


def test_pictures_that_fail_do_not_keep_the_numbers_from_the_loggers(
    runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cell, "_draw", lambda *_: pytest.fail("no pictures"))
    with pytest.raises(pytest.fail.Exception):
        run(*LOGGED)
    folder = plan(*LOGGED).record.folder
    assert "test/mse/auroc" in read_back(offline_runs(folder, [folder.name])[0])["summary"]


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
