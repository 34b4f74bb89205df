"""Keys that depend on what is computed and on nothing else; files that appear whole."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from cells import plan, run
from hypothesis import given
from hypothesis import strategies as st

from novelty.results import records
from novelty.results.keys import key
from novelty.results.locks import is_locked, locked
from novelty.training.maps import read_maps

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), JSON, max_size=4))
def test_a_key_ignores_the_order_of_a_dictionary(payload: dict) -> None:
    assert key(payload) == key(dict(reversed(list(payload.items())))) == key(json.loads(json.dumps(payload)))


SAME = [
    "logger=all",
    "logger=none",
    "hardware.threads=1",
    "hardware.score_batch=3",
    "keep=none",
    "launcher=joblib",
    "protocol.normal=[0]",
    "protocol.normal='0'",
    "protocol.normal=0",
    "hardware.checkpoint_every=1",
    "table=null",
]
RETRAINED = [
    "seed=1",
    "protocol.normal=1",
    "method.epochs=3",
    "method.latent=3",
    "budget.max_train=11",
    "protocol.train_fraction=0.5",
    "hardware.precision=bf16-mixed",
    "data.image_size=16",
    "protocol=p1",
    "method=kde",
]
RESCORED = ["budget.max_test=15", "maps=true"]
REEVALUATED = ["evaluation.bootstrap=10", "evaluation.quantile=0.9"]


@pytest.mark.parametrize("override", SAME)
def test_what_is_not_computed_changes_no_key(override: str) -> None:
    assert plan(override).record.evaluation == plan().record.evaluation


@pytest.mark.parametrize("override", RETRAINED)
def test_what_is_trained_changes_the_training_key(override: str) -> None:
    assert plan(override).record.training != plan().record.training


@pytest.mark.parametrize("override", RESCORED)
def test_what_is_scored_changes_the_scoring_key_alone(override: str) -> None:
    mine, other = plan().record, plan(override).record
    assert mine.training == other.training
    assert mine.scoring != other.scoring


@pytest.mark.parametrize("override", REEVALUATED)
def test_what_is_evaluated_changes_the_evaluation_key_alone(override: str) -> None:
    mine, other = plan().record, plan(override).record
    assert mine.scoring == other.scoring
    assert mine.evaluation != other.evaluation


def test_the_budget_counts_by_what_it_does(runs: Path) -> None:
    assert plan("budget=smoke").record.training == plan("budget=short", "budget.scale=0.0001").record.training


def test_another_evaluation_neither_trains_nor_scores(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from novelty.training import cell

    first = run("keep=none")
    monkeypatch.setattr(cell, "train", lambda *_: pytest.fail("trained again"))
    monkeypatch.setattr(cell, "score", lambda *_: pytest.fail("scored again"))
    assert run("keep=none")["environment"] == first["environment"]
    second = run("keep=none", "evaluation.quantile=0.5")
    assert second["keys"]["training"] == first["keys"]["training"]
    name = first["primary"]
    assert second["metrics"][name]["auroc"] == first["metrics"][name]["auroc"]
    assert second["metrics"][name]["threshold"] != first["metrics"][name]["threshold"]


def test_another_test_set_scores_without_training(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from novelty.training import cell

    run()
    monkeypatch.setattr(cell, "train", lambda *_: pytest.fail("trained again"))
    assert run("budget.max_test=15")["split"]["test_normal"] >= 1


@pytest.mark.parametrize(
    ("keep", "weights", "resume"), [("none", False, False), ("weights", True, False), ("all", True, True)]
)
def test_retention(keep: str, weights: bool, resume: bool, runs: Path) -> None:
    planned = plan(f"keep={keep}")
    run(f"keep={keep}")
    assert planned.record.weights.is_file() == weights
    assert planned.record.resume.is_file() == resume
    assert not list(planned.record.folder.glob(".*"))


@pytest.mark.parametrize(("inside", "stays"), [("csv", False), ("wandb", True), ("tensorboard", True), (None, False)])
def test_logs_that_somebody_asked_for_by_name_outlive_a_training(inside: str | None, stays: bool, runs: Path) -> None:
    record = plan().record
    for name in filter(None, (inside, "csv")):
        (record.folder / "logs" / name).mkdir(parents=True, exist_ok=True)
    for keep in ("all", "weights", "none"):
        record.tidy(keep)
    assert (record.folder / "logs").is_dir() == stays


def test_a_record_holds_what_it_takes_to_trust_it(runs: Path) -> None:
    record = run()
    assert record["split"] == {"train": 12, "validation": 0, "test_normal": 2, "test_novel": 14}
    assert record["data"]["copy"] == "original"
    assert len(record["data"]["digest"]) == 64
    assert record["environment"]["packages"]["torch"]
    assert record["timings"]["steps"] > 0
    with np.load(plan().record.scores) as scores:
        name = record["primary"]
        assert scores[f"score/{name}"].shape == scores["novel"].shape == scores["index"].shape == (16,)
        assert len(scores[f"normal/{name}"]) == 12


def test_maps_are_kept_where_they_are_asked_for(runs: Path) -> None:
    run("maps=true")
    size = plan().images.pixels.shape[-1]
    maps = read_maps(plan("maps=true").record.maps)
    assert maps["mse"].shape == (16, size, size)
    run()
    assert not plan().record.maps.exists()


def test_a_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    def fill(path: Path) -> None:
        path.write_text("half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        records.write(tmp_path / "file", fill)
    assert list(tmp_path.iterdir()) == []


def test_a_lock_is_seen_and_let_go(tmp_path: Path) -> None:
    assert not is_locked(tmp_path / "nobody")
    with locked(tmp_path / "folder"):
        assert is_locked(tmp_path / "folder")
    assert not is_locked(tmp_path / "folder")


def test_unreadable_records_are_named_not_dropped(runs: Path) -> None:
    run()
    path = plan().record.result
    path.write_text(path.read_text()[:100])
    (bad,) = records.read_all(runs)
    assert bad["path"] == str(path)
    assert bad["error"]
