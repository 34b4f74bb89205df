"""Sweeps: tables become cells, the command line narrows them, what is done is not done again."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from concurrent.futures import BrokenExecutor
from pathlib import Path

import numpy as np
import pytest
from cells import SMALL, run
from figures.drawing import run as typed_run
from hydra._internal.core_plugins.basic_launcher import BasicLauncher
from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus
from sweeps import scores_below

from hydra_plugins.novelty_sweeper.sweeper import _in_words
from novelty.errors import NoveltyError
from novelty.results.locks import locked
from novelty.results.records import Record
from novelty.training import plan
from novelty.training.sweep import PlannedCell, expand, plan_all, report_plans, submitted, tidy_shared

TABLE = "table=piad/table2_mnist"
SWEEP = [
    "-m", "data=digits", "method=kde,autoencoder", "protocol.normal=0,1,2", "budget=smoke",
    "hardware=cpu", "hardware.threads=1", "hardware.checkpoint_every=0.05", "logger=none",
]  # fmt: skip


def _cells(*typed: str, seeds: int | None = None) -> dict[tuple[str, ...], tuple[str, ...]]:
    return expand([[TABLE, *typed]], seeds)


def test_a_table_has_a_cell_for_each_row_column_and_seed() -> None:
    assert len(_cells()) == 10 * 3 + 10 + 10
    assert len(_cells(seeds=1)) == 30


@pytest.mark.parametrize(
    ("typed", "count"),
    [
        (["method=kde"], 10),
        (["++protocol.normal=3"], 5),
        (["method=piad", "seed=2"], 10),
        (["seed=2", "++protocol.normal=3"], 1),
    ],
)
def test_the_command_line_narrows_a_table(typed: list[str], count: int) -> None:
    cells = _cells(*typed)
    assert len(cells) == count
    for cell in cells:
        assert all(any(o.lstrip("+").replace("'", "") == t.lstrip("+") for o in cell) for t in typed)


def test_what_a_table_does_not_set_is_added_to_every_cell() -> None:
    assert all("budget=smoke" in cell for cell in _cells("budget=smoke"))


def test_cells_of_tables_keep_no_weights_and_draw_nothing_unless_asked() -> None:
    assert all("keep=none" in cell and "pictures=false" in cell for cell in _cells())
    assert all("pictures=true" in cell and "pictures=false" not in cell for cell in _cells("pictures=true"))
    assert all("keep=weights" in cell and "keep=none" not in cell for cell in _cells("keep=weights"))


def test_narrowing_to_nothing_says_what_there_is() -> None:
    with pytest.raises(NoveltyError, match=r"No cell of piad/table2_mnist has method=gan; .* piad, kde, ocsvm"):
        _cells("method=gan")


def test_of_several_tables_those_without_such_cells_are_left_out() -> None:
    tables = [["table=piad/table3_celeba", "method=kde"], [TABLE, "method=kde"]]
    assert set(expand(tables, None).values()) == {("piad/table2_mnist",)}
    with pytest.raises(NoveltyError, match="No cell of piad/table3_celeba has method=kde"):
        expand(tables[:1], None)


def test_equal_cells_are_run_once() -> None:
    assert expand([["method=kde"], ["method=kde"]], None) == {("method=kde",): ()}


def test_cells_are_tagged_with_every_table_that_asks_for_them() -> None:
    pair = ("crbnd/table1_caltech256_auroc", "crbnd/table1_caltech256_f1")
    cells = expand([[f"table={pair[0]}"], [f"table={pair[1]}"], ["method=kde"]], 1)
    assert set(cells.values()) == {pair, ()}
    planned = [PlannedCell(list(cell), tables, "", "missing") for cell, tables in cells.items()]
    for cell, overrides in zip(planned, submitted(planned), strict=True):
        assert (f"logger.tables=[{','.join(pair)}]" in overrides) == bool(cell.tables)


def _sweep(runs: Path, *more: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "novelty.run", *SWEEP, f"paths.runs={runs}", *more]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=os.environ, start_new_session=True
    )


def _finish(process: subprocess.Popen[str]) -> str:
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    return output


def _assert_equal(one: dict[str, dict[str, np.ndarray]], other: dict[str, dict[str, np.ndarray]]) -> None:
    assert one.keys() == other.keys()
    for path, arrays in one.items():
        assert arrays.keys() == other[path].keys()
        for name, values in arrays.items():
            assert np.array_equal(values, other[path][name]), (path, name)


@pytest.mark.parametrize(
    ("kills", "scale"), [(3, 0.05), pytest.param(10, 2, marks=pytest.mark.slow)], ids=["short cells", "long cells"]
)
def test_a_sweep_killed_at_random_moments_ends_as_if_nothing_had_happened(
    kills: int, scale: float, tmp_path: Path
) -> None:
    length = f"budget.scale={scale}"
    _finish(_sweep(tmp_path / "whole", length))
    expected = scores_below(tmp_path / "whole")
    assert len(expected) == 6
    moments = random.Random(0)
    resumed = 0
    for _ in range(kills):
        process = _sweep(tmp_path / "killed", length)
        time.sleep(moments.uniform(6, 14))
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        resumed += len(list((tmp_path / "killed").rglob("resume.ckpt")))
    output = _finish(_sweep(tmp_path / "killed", length))
    assert "6 cells" in output
    assert resumed or scale < 1  # the long cells are cut in the middle
    _assert_equal(scores_below(tmp_path / "killed"), expected)
    again = _finish(_sweep(tmp_path / "killed", length))
    assert "6 done" in again


def test_two_sweeps_at_once_lose_and_double_nothing(tmp_path: Path) -> None:
    both = [_sweep(tmp_path / "runs", "logger=csv") for _ in range(2)]
    for process in both:
        _finish(process)
    assert len(scores_below(tmp_path / "runs")) == 6
    # A training done twice would have moved the log of the first aside.
    assert len(list((tmp_path / "runs").rglob("metrics.csv"))) == 6
    assert not list((tmp_path / "runs").rglob("metrics.*.csv"))


def test_another_launcher_and_logger_redo_nothing(tmp_path: Path) -> None:
    _finish(_sweep(tmp_path, "launcher=joblib"))
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("result.json")}
    assert len(before) == 6
    assert "6 done" in _finish(_sweep(tmp_path, "logger=csv"))
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("result.json")} == before


def test_one_failing_cell_stops_no_other_and_the_exit_code_tells(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "novelty.run", *SWEEP, "protocol.normal=0,nobody", f"paths.runs={tmp_path}"],
        capture_output=True, text=True, timeout=200,
    )  # fmt: skip
    assert done.returncode == 1
    assert "2 of 4 cells failed" in done.stderr
    assert "nobody" in done.stderr
    assert len(list(tmp_path.rglob("result.json"))) == 2


def test_evaluations_of_one_training_train_once_even_where_no_weights_are_kept(tmp_path: Path) -> None:
    _finish(
        _sweep(tmp_path, "method=autoencoder", "protocol.normal=0", "budget.max_test=15,16", "keep=none", "logger=csv")
    )
    assert len(list(tmp_path.rglob("result.json"))) == 2
    assert len(list(tmp_path.rglob("config.yaml"))) == 1
    assert not list(tmp_path.rglob("model.ckpt"))
    assert not list(tmp_path.rglob("metrics.*.csv"))


@pytest.fixture
def shared(runs: Path) -> tuple[dict[tuple[str, ...], tuple[str, ...]], Path]:
    """Two evaluations of one training, done, and the weights that a sweep kept for the second of them."""
    typed = [*SMALL, "method=kde", "keep=none", f"paths.runs={runs}"]
    cells = expand([[*typed, f"budget.max_test={count}"] for count in (15, 16)], None)
    for cell in submitted(plan_all(cells)):
        assert "keep=shared" in cell
        run(*cell)
    (weights,) = runs.rglob("model.ckpt")
    return cells, weights


Shared = tuple[dict[tuple[str, ...], tuple[str, ...]], Path]


def test_weights_that_a_cut_sweep_kept_for_its_next_evaluation_go_with_the_next_sweep(shared: Shared) -> None:
    cells, weights = shared
    planned = plan_all(cells)
    assert [cell.state for cell in planned] == ["done", "done"]
    with locked(weights.parent):  # another process evaluates them
        tidy_shared(planned)
    assert weights.is_file()
    tidy_shared(planned)
    assert not weights.exists()


@pytest.mark.parametrize("why", ["waits", "asked", "damaged"])
def test_weights_stay_while_an_evaluation_waits_or_somebody_asked_for_them(why: str, shared: Shared) -> None:
    cells, weights = shared
    result = next(weights.parent.glob("*/result.json"))
    if why == "waits":
        result.unlink()
    elif why == "asked":
        result.write_text(result.read_text().replace('"keep": "shared"', '"keep": "weights"'))
    else:
        result.write_text("{")
    tidy_shared(plan_all(cells))
    assert weights.is_file()


def test_a_sweep_that_is_cut_tidies_what_is_done(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[int] = []

    def launch(self: BasicLauncher, cells: list[list[str]], number: int) -> list[JobReturn]:
        for cell in cells:
            run(*cell)
            done.append(1)
        if len(done) == 2:
            raise BrokenExecutor("killed")
        return [JobReturn(status=JobStatus.COMPLETED, _return_value=0.5) for _ in cells]

    monkeypatch.setattr(BasicLauncher, "launch", launch)
    with pytest.raises(NoveltyError, match="A worker was killed"):
        typed_run(*SMALL, "-m", "method=kde", "keep=none", f"paths.runs={runs}", "budget.max_test=15,16")
    assert len(done) == 2
    assert not list(runs.rglob("model.ckpt"))


@pytest.mark.parametrize("size", [0, -1])
def test_batches_of_no_cells_are_refused(size: int) -> None:
    with pytest.raises(NoveltyError, match=rf"hydra\.sweeper\.max_batch_size={size} would run nothing: allow 1"):
        typed_run(*SMALL, "-m", "method=kde", f"hydra.sweeper.max_batch_size={size}", "dry_run=true")


def test_joblib_without_its_package_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    Plugins.instance()
    monkeypatch.delitem(ConfigStore.instance().repo["hydra"]["launcher"], "joblib.yaml")
    with pytest.raises(NoveltyError, match=r"^launcher=joblib needs a package: pip install 'novelty\[joblib\]'"):
        typed_run(*SMALL, "-m", "method=kde", "launcher=joblib", "dry_run=true")


def test_brackets_in_paths_and_titles_are_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record = Record(tmp_path / "runs [old]", "kde", "digits", "t", "s", "e")
    cell = PlannedCell([], (), "kde · [red] · 3", "missing", record=record, log=record.log)
    report_plans([cell], detailed=True)
    out = capsys.readouterr().out
    assert str(record.log) in out
    assert "kde · [red] · 3" in out


def test_dry_run_lists_and_touches_nothing(tmp_path: Path) -> None:
    output = _finish(_sweep(tmp_path / "runs", "dry_run=true"))
    assert "6 cells: 6 missing" in output
    assert not list((tmp_path / "runs").rglob("*.json"))


def test_weights_that_one_record_keeps_outlive_another_that_does_not(tmp_path: Path) -> None:
    typed = ("data=digits", "method=autoencoder", f"paths.runs={tmp_path}")
    run(*typed, "keep=weights")
    record = run(*typed, "keep=none", "evaluation=grey")
    assert record["config"]["keep"] == "none"
    assert len(list(tmp_path.rglob("result.json"))) == 2
    assert list(tmp_path.rglob("model.ckpt"))
    run(*typed, "keep=none", "seed=1")
    assert len(list(tmp_path.rglob("model.ckpt"))) == 1


def test_failures_of_one_reason_are_told_once() -> None:
    failures = [(f"kde · {place}", "No such images.") for place in range(5)] + [("vae · 0", "It diverged.")]
    assert _in_words(failures) == ("kde · 0, kde · 1, kde · 2 and 2 more (No such images.); vae · 0 (It diverged.)")


def test_data_that_are_not_there_are_missed_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tries = []

    def load(*_: object, **__: object) -> None:
        tries.append(1)
        raise NoveltyError("No images here [neither]: bring some.")

    monkeypatch.setattr("novelty.data.cache.load", load)
    planned = plan_all(_cells("method=kde", f"paths.data={tmp_path}"))
    assert [cell.state for cell in planned] == ["impossible"] * 10
    assert len(tries) == 1
    report_plans(planned, detailed=True)
    shown = capsys.readouterr().out
    assert shown.count("No images here [neither]: bring some.") == 1
    assert shown.count("see (1)") == 10


def test_files_are_listed_once_for_all_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    built = []
    known = plan.build
    monkeypatch.setattr(plan, "build", lambda node, **given: built.append(node["_target_"]) or known(node, **given))
    cells = expand([["data=digits", "method=kde", f"protocol.normal={normal}"] for normal in range(3)], None)
    assert [cell.state for cell in plan_all(cells)] == ["missing"] * 3
    assert sum(name.endswith("Digits") for name in built) == 1


def test_records_say_how_to_run_them_again(tmp_path: Path) -> None:
    _finish(_sweep(tmp_path, "protocol.normal=0", "method=kde"))
    (path,) = tmp_path.rglob("result.json")
    assert json.loads(path.read_text())["command"].startswith("python -m novelty.run data=digits method=kde")
