"""Slurm: what it is told, and that a cell comes to its end however often it is stopped; against commands of our own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from figures.drawing import run
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.utils import JobReturn, JobStatus
from hydra.utils import instantiate
from omegaconf import DictConfig
from sweeps import scores_below
from training.fake_slurm import install, parameters, take_away
from training.small_jobs import SmallTask, collect, tasks, words

from hydra_plugins.novelty_submitit import jobs as module
from hydra_plugins.novelty_submitit import launcher
from hydra_plugins.novelty_submitit.jobs import Array
from hydra_plugins.novelty_submitit.launcher import NoveltySubmitit
from hydra_plugins.novelty_sweeper.sweeper import NoveltySweeper
from novelty.config import compose_cell, conf_dir, open_overrides
from novelty.errors import NoveltyError
from novelty.results.locks import locked
from novelty.results.records import Record
from novelty.training.plan import make_plan
from novelty.training.sweep import PlannedCell

pytestmark = pytest.mark.usefixtures("importable")


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Slurm with room for every job; the folder of its state."""
    environment = install(tmp_path / "slurm")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(module, "QUEUE_SECONDS", 0.5)
    monkeypatch.setitem(launcher.LOOK_SECONDS, "slurm", 0.1)
    return Path(environment["FAKE_SLURM"])


PARAMETERS = {
    **{"job_name": "novelty", "time": 10, "signal_delay_s": 30, "array_parallelism": 2, "gpus_per_node": 1},
    "additional_parameters": {"requeue": True},
}


def test_an_array_of_slurm(slurm: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    journal = tmp_path / "journal"
    kinds = ["faulty", "stopped", "broken", "refused"]
    array = Array(tasks(journal, *kinds), tmp_path / "jobs", 3, PARAMETERS)
    assert "Slurm job 4711: 4 cells." in capsys.readouterr().out
    found = collect(array, 4)
    assert [place for place, result in found.items() if result.status == JobStatus.COMPLETED] == [1]
    assert words(journal, 1) == ["begins", "begins", "ends"]
    assert str(found[0]._return_value).startswith("its worker failed (ValueError: Odd.); more in ")
    assert Path(str(found[0]._return_value).split("more in ")[1]).is_file()
    (said,) = parameters(slurm)
    assert said["array"] == "0-3%2"
    assert said["signal"] == "USR1@30"
    assert said["open-mode"] == "append"
    assert "export SUBMITIT_PREEMPT_SIGNAL=USR1" in (slurm / "script.4711").read_text()


def test_slurm_is_told_how_to_end_what_goes_on(slurm: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    array = Array(tasks(tmp_path / "journal", "good"), tmp_path / "jobs", 3, PARAMETERS)
    array.leave()
    assert "Slurm job 4711 goes on by itself" in capsys.readouterr().err
    collect(array, 1)


def test_no_slurm_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NoveltyError, match=r"Slurm takes no jobs here .*launcher=submitit_local"):
        Array(tasks(tmp_path / "journal", "good"), tmp_path / "jobs", 3, PARAMETERS)


def _composed(*typed: str) -> DictConfig:
    """Everything that Hydra knows of ``launcher=slurm``."""
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        return compose("config", ["launcher=slurm", *typed], return_hydra_config=True)


@pytest.fixture
def launched(slurm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., NoveltySubmitit]:
    """The launcher of conf/launcher/slurm.yaml as Hydra makes it, but that ``kind=...`` says what a cell does."""

    def task(context: Any, function: Any, config: Any, overrides: list[str], number: int, singletons: Any) -> SmallTask:
        kind = next(o for o in overrides if o.startswith("kind=")).removeprefix("kind=")
        return SmallTask(overrides=overrides, number=number, kind=kind, journal=str(tmp_path / "journal"))

    def make(*typed: str) -> NoveltySubmitit:
        found: NoveltySubmitit = instantiate(_composed(f"paths.runs={tmp_path}/runs", *typed).hydra.launcher)
        found.setup(hydra_context=None, task_function=None, config=None)  # type: ignore[arg-type]
        return found

    monkeypatch.setattr(launcher, "CellTask", task)
    return make


Make = Callable[..., NoveltySubmitit]
FILES = ("output", "error")


def _launch(found: NoveltySubmitit, *kinds: str) -> list[JobReturn]:
    return list(found.launch([[f"kind={kind}"] for kind in kinds], 0))


def test_what_slurm_is_told_of_a_job_for_several_gpus(slurm: Path, tmp_path: Path, launched: Make) -> None:
    typed = ["gpus=4", "jobs=1", "partition=gpu", "account=me", "qos=high", "constraint=a100"]
    made = launched(*(f"hydra.launcher.{o}" for o in typed), "+hydra.launcher.options.mail-user=me@here")
    assert [result.status for result in _launch(made, "good", "good")] == [JobStatus.COMPLETED] * 2
    (said,) = parameters(slurm)
    assert {name: value for name, value in said.items() if name not in FILES} == {
        **{"job-name": "novelty", "array": "0-1%1", "time": "240", "signal": "USR1@120", "requeue": ""},
        **{"nodes": "1", "ntasks-per-node": "1", "gpus-per-node": "4", "cpus-per-task": "4", "mem": "16G"},
        **{"partition": "gpu", "account": "me", "qos": "high", "constraint": "a100", "mail-user": "me@here"},
        "open-mode": "append",
    }
    assert "--cpus-per-task=4" in json.loads((slurm / "srun.4711_0").read_text())  # which it does not inherit
    assert [line.split()[0] for line in (tmp_path / "journal").read_text().splitlines()] == ["0", "0", "1", "1"]
    assert not list((tmp_path / "runs" / ".sweep" / "jobs").iterdir())


def test_what_is_left_open_is_left_to_slurm(slurm: Path, launched: Make) -> None:
    made = launched(*(f"hydra.launcher.{name}=null" for name in ("gpus", "cpus", "memory_gb")))
    _launch(made, "good")
    (said,) = parameters(slurm)
    assert not {"gpus-per-node", "cpus-per-task", "mem", "partition", "account", "array"} & said.keys()
    assert not any("cpus" in word for word in json.loads((slurm / "srun.4711").read_text()))


def test_a_preempted_cell_waits_to_be_queued_again(slurm: Path, tmp_path: Path, launched: Make) -> None:
    queued = []
    thread = threading.Thread(target=lambda: queued.append(_when_begun(slurm, tmp_path, grace=1.5)))
    thread.start()
    (result,) = _launch(launched(), "taken")
    thread.join()
    assert queued == [True]
    assert result.status == JobStatus.COMPLETED
    assert words(tmp_path / "journal", 0) == ["begins", "begins", "ends"]


def test_a_cancelled_cell_failed(slurm: Path, tmp_path: Path, launched: Make) -> None:
    thread = threading.Thread(target=_when_begun, args=(slurm, tmp_path), kwargs={"grace": 0.2, "again": False})
    thread.start()
    (result,) = _launch(launched(), "long")
    thread.join()
    assert "its worker ended early, the same command goes on" in str(result._return_value)


def _when_begun(slurm: Path, folder: Path, **how: Any) -> bool:
    while not (folder / "journal").exists():
        time.sleep(0.05)
    return take_away(slurm, "4711", **how)


def test_a_cell_is_queued_again_so_often_for_want_of_time_and_no_more(tmp_path: Path, launched: Make) -> None:
    made = launched("hydra.launcher.minutes=10", "hydra.launcher.requeues=1")  # of so few any signal is the end
    restless, stopped = _launch(made, "restless", "stopped")
    assert words(tmp_path / "journal", 0) == ["begins", "begins"]
    assert "queued again as often as hydra.launcher.requeues allows: raise" in str(restless._return_value)
    assert stopped.status == JobStatus.COMPLETED


def test_who_is_warned_before_the_time_is_over_may_always_come_back(tmp_path: Path, launched: Make) -> None:
    (result,) = _launch(launched("hydra.launcher.requeues=0"), "stopped")
    assert result.status == JobStatus.COMPLETED
    assert words(tmp_path / "journal", 0) == ["begins", "begins", "ends"]


def test_cells_go_to_slurm_in_batches_and_those_of_one_training_in_turn(
    slurm: Path, tmp_path: Path, launched: Make
) -> None:
    assert _composed().hydra.sweeper.max_batch_size == 1000  # Slurm's usual MaxArraySize
    kinds = {"a 1": "good", "b 1": "broken", "c 1": "good", "a 2": "refused"}
    cells = [
        PlannedCell([f"kind={kind}"], (), name, "missing", record=Record(tmp_path, "m", "d", name[0], "s", name[2]))
        for name, kind in kinds.items()
    ]
    sweeper = NoveltySweeper(2)
    sweeper.launcher = launched()
    found = sweeper._launched(cells)
    assert [cell.title for cell, _ in found] == ["a 1", "b 1", "c 1", "a 2"]
    expected = [JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.COMPLETED, JobStatus.FAILED]
    assert [result.status for _, result in found] == expected
    assert [said.get("array") for said in parameters(slurm)] == ["0-1%2", None, None]
    order = [line.split()[0] for line in (tmp_path / "journal").read_text().splitlines() if "begins" in line]
    assert sorted(order[:2]) == ["0", "1"]
    assert order[2:] == ["2", "3"]


SWEEP = [
    "data=digits", "budget=smoke", "hardware=cpu", "hardware.threads=1", "hardware.checkpoint_every=0.2",
    "logger=none", "pictures=false",
]  # fmt: skip


def _sweep(runs: Path, *more: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "novelty.run", "-m", *SWEEP, f"paths.runs={runs}", *more]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=os.environ)


def _finish(process: subprocess.Popen[str]) -> str:
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    return output


@pytest.fixture
def handed(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The overrides of the cells that launchers are handed, which run none of them."""
    found: list[list[str]] = []

    def launch(_: Any, cells: list[list[str]], number: int) -> list[JobReturn]:
        found.extend(cells)
        return [JobReturn(status=JobStatus.COMPLETED, _return_value=0.5) for _ in cells]

    monkeypatch.setattr(launcher.NoveltySubmitit, "launch", launch)
    return found


@pytest.mark.parametrize("chosen", ["slurm", "submitit_local"])
def test_what_another_has_in_hand_is_not_handed_to_slurm(
    chosen: str, runs: Path, handed: list[list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    typed = [*SWEEP, f"paths.runs={runs}", "method=kde"]
    taken = make_plan(*compose_cell(open_overrides([*typed, "protocol.normal=0"]))).record
    with locked(taken.folder):
        run("-m", *typed, "protocol.normal=0,1", f"launcher={chosen}")
    out = capsys.readouterr().out
    assert "2 cells: 1 missing, 1 running." in out
    assert ("1 in hand elsewhere are left out, as each would hold a GPU" in out) == (chosen == "slurm")
    asked = [o.lstrip("+") for cell in handed for o in cell if "protocol.normal" in o]
    assert asked == (["protocol.normal=1"] if chosen == "slurm" else ["protocol.normal=1", "protocol.normal=0"])


def test_a_cell_for_several_gpus_is_planned_where_there_is_none_and_done_where_there_are_more(
    runs: Path, handed: list[list[str]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    typed = ["data=digits", "budget=smoke", "method=kde", "protocol.normal=0", "hardware=ddp", f"paths.runs={runs}"]
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)  # a login node
    run("-m", *typed, "launcher=slurm", "hydra.launcher.gpus=4", "dry_run=true")
    (planned,) = [word for word in capsys.readouterr().out.split() if word.endswith("log.txt")]
    run("-m", *typed, "launcher=slurm", "hydra.launcher.gpus=4")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)  # a worker that sees GPUs of others as well
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 8)
    (cell,) = handed
    there = make_plan(*compose_cell(open_overrides(cell)))
    assert there.config["hardware"]["devices"] == 4
    assert str(there.record.log) == planned


@pytest.mark.slow
def test_a_sweep_on_slurm_from_end_to_end(slurm: Path, tmp_path: Path) -> None:
    typed = ["method=kde", "protocol.normal=0,1,2", "launcher=slurm", "hydra.sweeper.max_batch_size=2"]
    output = _finish(_sweep(tmp_path / "runs", *typed))
    assert "Slurm job 4711: 2 cells." in output
    assert "Slurm job 4712: 1 cells." in output
    assert len(list((tmp_path / "runs").rglob("result.json"))) == 3
    assert "3 done" in _finish(_sweep(tmp_path / "runs", *typed))
    assert len(parameters(slurm)) == 2


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_a_training_that_slurm_takes_away_ends_as_if_nothing_had_happened(
    number: signal.Signals, slurm: Path, tmp_path: Path
) -> None:
    typed = ["method=autoencoder", "protocol.normal=0,1", "budget.scale=1"]
    _finish(_sweep(tmp_path / "whole", *typed))
    process = _sweep(tmp_path / "runs", *typed, "launcher=slurm", "hydra.launcher.jobs=1")
    while not list((tmp_path / "runs").rglob("resume.ckpt")):
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.05)
    if number == signal.SIGTERM:
        assert take_away(slurm, "4711_0", grace=20)
    else:
        os.kill(int((slurm / "step.4711_0").read_text()), number)
    output = _finish(process)
    assert "Traceback" not in output
    (log,) = [path for path in (tmp_path / "runs").rglob("log.txt") if path.read_text().count("\n--- ") == 1]
    assert "goes on" in log.read_text()
    expected, found = scores_below(tmp_path / "whole"), scores_below(tmp_path / "runs")
    assert found.keys() == expected.keys()
    assert len(found) == 2
    for path, arrays in expected.items():
        assert all(np.array_equal(values, found[path][name]) for name, values in arrays.items())
