"""Launchers: as many jobs at once as allowed, none lost silently, warned ones come back, logs are found."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cells import plan
from hydra.core.utils import JobStatus
from sweeps import scores_below
from training.small_jobs import collect, tasks, words

from hydra_plugins.novelty_submitit import launcher
from hydra_plugins.novelty_submitit.jobs import Processes
from hydra_plugins.novelty_submitit.task import STOPPING
from novelty.errors import NoveltyError
from novelty.results.records import Record
from novelty.training.sweep import PlannedCell, rounds
from novelty.training.times import Expected

LIMITS = {"timeout_min": 10, "signal_delay_s": 30}

pytestmark = pytest.mark.usefixtures("importable")


def _locally(folder: Path, tasks: list[Any], at_once: int, devices: tuple[str, ...] = ("", "")) -> Processes:
    return Processes(tasks, folder / "jobs", at_once, devices, {**LIMITS, "requeues": 3})


def test_no_more_local_jobs_run_at_once_than_are_allowed(tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    found = collect(_locally(tmp_path, tasks(journal, *["good"] * 5), 2, ("0", "1")), 5)
    assert {place: result._return_value for place, result in found.items()} == {n: float(n) for n in range(5)}
    running = most = 0
    for line in journal.read_text().splitlines():
        running += 1 if "begins" in line else -1
        most = max(most, running)
    assert most == 2
    assert {line.split()[-1] for line in journal.read_text().splitlines()} == {"0", "1"}  # every place its own device
    assert not list((tmp_path / "jobs").iterdir())


def test_a_local_job_that_dies_or_fails_ends_no_other_and_says_where_its_words_are(tmp_path: Path) -> None:
    found = collect(_locally(tmp_path, tasks(tmp_path / "journal", "broken", "refused", "good"), 2), 3)
    assert [found[place].status for place in range(3)] == [JobStatus.FAILED, JobStatus.FAILED, JobStatus.COMPLETED]
    assert "its worker ended early, the same command goes on" in str(found[0]._return_value)
    assert Path(str(found[0]._return_value).split("last words: ")[1]).is_file()
    assert str(found[1]._return_value) == "no."


def test_a_local_job_that_is_warned_comes_back(tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    found = collect(_locally(tmp_path, tasks(journal, "stopped"), 1), 1)
    assert found[0].status == JobStatus.COMPLETED
    assert words(journal, 0) == ["begins", "begins", "ends"]


def test_local_jobs_end_with_the_launcher(tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    jobs = _locally(tmp_path, tasks(journal, "long", "long", "good"), 2)
    while not journal.exists() or len(journal.read_text().splitlines()) < 2:
        jobs.look()
        time.sleep(0.05)
    start = time.monotonic()
    jobs.leave()
    assert time.monotonic() - start < 15
    found = collect(jobs, 2, 5)
    assert all("ended early" in str(result._return_value) for place, result in found.items() if place < 2)
    jobs.leave()


@pytest.mark.parametrize("kind", ["ended", "stopped"])
def test_only_a_job_that_is_asked_to_end_waits_to_be_taken_away(kind: str, tmp_path: Path) -> None:
    before = {number: signal.getsignal(number) for number in STOPPING}
    signal.signal(signal.SIGUSR1, lambda *_: sys.exit(77))
    (task,) = tasks(tmp_path / "journal", kind)
    task.linger = 1.0
    start = time.monotonic()
    try:
        with pytest.raises(SystemExit) as left:
            task()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    assert left.value.code == (143 if kind == "ended" else 77)
    assert (time.monotonic() - start > 1.0) == (kind == "ended")


def test_the_terminal_is_heard_again_after_a_job_has_begun(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGINT)
    collect(_locally(tmp_path, tasks(tmp_path / "journal", "good"), 1), 1)
    assert signal.getsignal(signal.SIGINT) == before


def test_no_submitit_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launcher, "find_spec", lambda name: None)
    with pytest.raises(NoveltyError, match=r"pip install 'novelty\[slurm\]'"):
        launcher.NoveltySubmitit()._jobs([], Path("jobs"))


@pytest.mark.parametrize(
    ("option", "value"), [("cluster", "moon"), ("jobs", 0), ("minutes", 2), ("minutes", 1), ("requeues", 6)]
)
def test_what_no_launcher_can_do_is_one_sentence(option: str, value: Any) -> None:
    with pytest.raises(NoveltyError, match=rf"hydra\.launcher\.{option}={value} .*([Aa]llow|take)"):
        launcher.NoveltySubmitit(**{option: value})


@pytest.mark.parametrize(
    ("gpus", "each", "shares"),
    [([], 1, ["", "", ""]), (["0", "1"], 1, ["0", "1", "0"]), (["0", "1", "2", "3"], 2, ["0,1", "2,3", "0,1"])],
)
def test_places_share_the_gpus_in_turn(gpus: list[str], each: int, shares: list[str]) -> None:
    assert launcher._shares(gpus, each, 3) == shares


def _planned(training: str, evaluation: str = "e") -> PlannedCell:
    record = Record(Path("runs"), "kde", "digits", training, "s", evaluation)
    return PlannedCell([], (), f"{training} {evaluation}", "missing", record=record)


def test_cells_that_share_a_training_are_never_handed_over_together() -> None:
    cells = [_planned(*name.split()) for name in ("a 1", "b 1", "a 2", "c 1", "a 3", "b 2")]
    titles = [[cell.title for cell in round] for round in rounds(cells)]
    assert titles == [["a 1", "b 1", "c 1"], ["a 2", "b 2"], ["a 3"]]


def test_the_longest_first_and_before_them_those_that_nobody_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    from novelty.training import sweep

    lengths = {0: Expected(1, 1), 1: None, 2: Expected(5, 1), 3: Expected(0, 3)}
    plans = iter(plan("method=kde", f"seed={seed}") for seed in lengths)
    known = iter(lengths.values())
    monkeypatch.setattr(sweep, "make_plan", lambda *_: next(plans))
    monkeypatch.setattr(sweep.Times, "expected", lambda *_, **__: next(known))
    planned = sweep.plan_all({(f"seed={seed}",): () for seed in lengths})
    assert [cell.title[-1] for cell in planned] == ["1", "2", "3", "0"]


PRINTING = """
import os, sys
from pathlib import Path
from novelty.errors import NoveltyError
from novelty.training.output import printing_to
def fail(error):
    raise error
for act in (lambda: os.write(1, b"from below\\n"), lambda: fail(NoveltyError("Too few images.")), lambda: 1 / 0):
    try:
        with printing_to(Path(sys.argv[1]), "the command"):
            act()
    except Exception:
        pass
print("here again")
"""


def test_what_a_cell_prints_goes_to_its_log_with_what_ended_it(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "log.txt"
    done = subprocess.run([sys.executable, "-c", PRINTING, str(path)], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("here again\n", "")
    text = path.read_text()
    assert text.count("the command") == 3
    assert "\nfrom below\n" in text
    assert "\nToo few images.\n" in text
    assert "ZeroDivisionError" in text


SWEEP = [
    "-m", "data=digits", "method=autoencoder", "budget=smoke", "hardware=cpu", "hardware.threads=1",
    "hardware.checkpoint_every=0.2", "logger=none", "pictures=false",
]  # fmt: skip
LAUNCHERS = ["joblib", "submitit_local"]


def _sweep(runs: Path, *more: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "novelty.run", *SWEEP, f"paths.runs={runs}", *more]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=os.environ, start_new_session=True
    )


def _finish(process: subprocess.Popen[str], code: int = 0) -> str:
    output, _ = process.communicate(timeout=600)
    assert process.returncode == code, output
    return output


def test_cells_run_in_jobs_and_the_dry_run_says_where_their_logs_are(tmp_path: Path) -> None:
    typed = ("launcher=submitit_local", "protocol.normal=0,nobody", "method=kde")
    dry = _finish(_sweep(tmp_path, *typed, "dry_run=true"))
    (named,) = [word for word in dry.split() if word.endswith("log.txt")]
    assert not list(tmp_path.rglob("*.*"))
    output = _finish(_sweep(tmp_path, *typed), 1)
    assert "[1/1]" in output
    assert "1 of 2 cells failed" in output
    assert "AUROC" in output
    assert "--- " in Path(named).read_text()
    assert len(list(tmp_path.rglob("result.json"))) == 1
    assert not list(tmp_path.rglob("*.pkl"))
    assert "1 done" in _finish(_sweep(tmp_path, *typed, "dry_run=true"))


LONG = ("protocol.normal=0,1,2", "budget.scale=1")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, np.ndarray]]:
    """The scores of the same cells, run one after the other."""
    runs = tmp_path_factory.mktemp("whole")
    _finish(_sweep(runs, *LONG))
    return scores_below(runs)


def _workers(runs: Path) -> Iterator[int]:
    for path in runs.glob("*/*/*/owner.json"):
        try:
            yield int(json.loads(path.read_text())["pid"])
        except (OSError, ValueError):  # it has just ended
            continue


def _alive(session: int) -> list[str]:
    """Processes that belong to the sweep, zombies aside."""
    listed = subprocess.run(["ps", "-eo", "sid=,stat=,args="], capture_output=True, text=True, check=True).stdout
    lines = [line.split(None, 2) for line in listed.splitlines()]
    return [args for sid, state, args in lines if int(sid) == session and not state.startswith("Z")]


@pytest.mark.slow
@pytest.mark.parametrize("launcher", LAUNCHERS)
@pytest.mark.parametrize("victim", ["launcher", "launcher, asked", "worker", "worker, warned", "tree"])
def test_whoever_is_killed_nothing_is_lost_doubled_or_changed(
    victim: str, launcher: str, tmp_path: Path, whole: dict[str, dict[str, np.ndarray]]
) -> None:
    process = _sweep(tmp_path, *LONG, f"launcher={launcher}")
    while not list(tmp_path.rglob("resume.ckpt")):
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.05)
    worker = next(_workers(tmp_path))
    if victim == "tree":
        os.killpg(process.pid, signal.SIGKILL)
    else:
        number = {"launcher, asked": signal.SIGTERM, "worker, warned": signal.SIGUSR1}.get(victim, signal.SIGKILL)
        os.kill(process.pid if victim.startswith("launcher") else worker, number)
    warned = 0 if launcher == "submitit_local" else 128 + signal.SIGUSR1  # what a staying worker raises, ends the sweep
    ends = {"launcher, asked": 143, "worker": 1, "worker, warned": warned}
    output = _finish(process, ends.get(victim, -9))
    assert "Traceback" not in output
    deadline = time.monotonic() + 120
    while _alive(process.pid):  # a killed launcher leaves what was under way, which ends by itself
        assert time.monotonic() < deadline
        time.sleep(0.2)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("result.json")}
    _finish(_sweep(tmp_path, *LONG, f"launcher={launcher}"))
    assert all(path.stat().st_mtime_ns == moment for path, moment in before.items())
    found = scores_below(tmp_path)
    assert found.keys() == whole.keys()
    for path, arrays in whole.items():
        assert all(np.array_equal(values, found[path][name]) for name, values in arrays.items())
    assert not list(tmp_path.rglob(".????????.*"))
