"""How long cells will take: learnt from their like alone, and said in a dry run."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
from cells import plan, run

from novelty.hardware import Share
from novelty.info import Schedule
from novelty.results.records import read_all
from novelty.training.sweep import expand, plan_all, report_plans
from novelty.training.times import Times, in_words

TYPED = ("method=autoencoder", "budget.scale=0.1")


@pytest.mark.parametrize(
    ("schedule", "count", "steps"),
    [
        (Schedule(4, epochs=3), 10, 9),
        (Schedule(4, epochs=3, drop_last=True), 10, 6),
        (Schedule(64, epochs=3), 10, 3),
        (Schedule(2, epochs=5, batches_per_step=3), 10, 5),
        (Schedule(4, iterations=7), 10, 7),
    ],
)
def test_steps_are_those_that_a_training_takes(schedule: Schedule, count: int, steps: int) -> None:
    assert schedule.steps(count) == steps


def test_a_cell_takes_what_its_like_took_by_step_and_image(runs: Path) -> None:
    record = run(*TYPED)
    (known,) = read_all(runs)
    assert plan(*TYPED).steps == record["timings"]["steps"]
    known["timings"] |= {"train_seconds": 10.0, "steps": 100, "score_seconds": 4.0}
    known["split"] |= {"test_normal": 10, "test_novel": 30}
    other = plan("method=autoencoder", "budget.scale=0.5", "seed=1")
    expected = Times([known]).expected(other)
    assert expected is not None
    assert expected.train == pytest.approx(0.1 * other.steps)
    assert expected.score == pytest.approx(0.1 * len(other.split.test))


@pytest.mark.parametrize(
    "change",
    ["method=kde", "data.image_size=16", "hardware.threads=2", "method.batch_size=7", "hardware.precision=bf16-mixed"],
)
def test_other_kinds_of_cells_tell_nothing(change: str, runs: Path) -> None:
    run(*TYPED)
    assert Times(read_all(runs)).expected(plan(*TYPED, change)) is None


def test_records_of_one_method_and_data_set_are_read_alone(runs: Path) -> None:
    run(*TYPED)
    run("method=kde")
    assert len(list(read_all(runs))) == 2
    (found,) = read_all(runs, "kde", "digits")
    assert found["choices"]["method"] == "kde"
    assert not list(read_all(runs, "kde", "mnist"))


def test_other_machines_and_failures_tell_nothing(runs: Path) -> None:
    run(*TYPED)
    (known,) = read_all(runs)
    elsewhere = copy.deepcopy(known)
    elsewhere["environment"]["hardware"] = "another box"
    failure = {name: value for name, value in known.items() if name != "metrics"} | {"failure": "full"}
    assert Times([elsewhere, failure, {"path": "x", "error": "y"}]).expected(plan(*TYPED)) is None


def _known_elsewhere(*hardware: str) -> list[dict[str, Any]]:
    """The one record of this machine, as if it were of others."""
    run(*TYPED)
    (known,) = read_all(plan(*TYPED).record.runs)
    found = [copy.deepcopy(known) for _ in hardware]
    for record, name in zip(found, hardware, strict=True):
        record["environment"]["hardware"] = name
    return found


def test_where_nothing_ran_the_only_hardware_of_the_records_tells_and_is_named(runs: Path) -> None:
    other = plan(*TYPED, "seed=1")
    found = _known_elsewhere("A100", "A100", "H100")
    told = Times(found[:2]).expected(other, elsewhere=True)
    assert told is not None
    assert told.hardware == "A100"
    assert Times(found[:2]).expected(other) is None
    assert Times(found).expected(other, elsewhere=True) is None  # which of them will it be?
    own = Times([*found, *read_all(runs)])
    here = own.expected(other, elsewhere=True)
    assert here is not None
    assert here.hardware == ""
    assert own.expected(other, here=False, elsewhere=True) is None


def test_a_dry_run_for_a_cluster_says_which_hardware_told(
    runs: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    records = _known_elsewhere("NVIDIA [A100]")
    monkeypatch.setattr("novelty.training.sweep.read_all", lambda *_: records)
    typed = ["data=digits", "budget=smoke", "hardware=cpu", "logger=none", "pictures=false", f"paths.runs={runs}"]
    cells = expand([[*typed, *TYPED, f"seed={seed}"] for seed in (1, 2)], None)
    report_plans(plan_all(cells, share=Share(1, remote=True)), detailed=True)
    out = " ".join(capsys.readouterr().out.split())
    assert "of work on NVIDIA [A100] are left." in out
    assert "unknown" not in out


def test_a_dry_run_says_what_is_left_and_what_is_unknown(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(*TYPED)
    typed = ["data=digits", "budget=smoke", "hardware=cpu", "logger=none", "pictures=false", f"paths.runs={runs}"]
    cells = [[*typed, *TYPED, f"seed={seed}", f"protocol.normal={normal}"] for seed, normal in ((0, 3), (1, 3))]
    planned = plan_all(expand([*cells, [*typed, "method=kde"]], None))
    by_state = {cell.title: cell for cell in planned}
    assert sum(cell.expected is not None for cell in by_state.values()) == 2
    report_plans(planned, detailed=True)
    out = " ".join(capsys.readouterr().out.split())
    assert "unknown" in out
    assert "of work are left, and 1 cells whose like never ran here." in out


@pytest.mark.parametrize(
    ("seconds", "said"), [(3, "3 s"), (89, "89 s"), (600, "10 min"), (7200, "2.0 h"), (260_000, "3.0 days")]
)
def test_durations_in_words(seconds: float, said: str) -> None:
    assert in_words(seconds) == said
