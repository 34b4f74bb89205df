"""The door: what is typed and mistyped, real processes that measure, and that none of them is left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from test_command_line import inside

from novelty.bench import worker, workers
from novelty.bench.options import Options, parse, second
from novelty.bench.workers import Failed, Worker
from novelty.errors import NoveltyError
from novelty.report.bench import HEADER, folder, read_all, rows

WRONG = {
    "bench.second=3": ("bench.second is no option of the bench; did you mean seconds?", "bench.rounds"),
    "bench.seconds": ("bench.seconds is no option",),
    "bench.seconds=0": ("bench.seconds=0 must be a number of seconds above 0",),
    "bench.seconds=long": ("bench.seconds=long must be a number",),
    "bench.warmup=-1": ("bench.warmup=-1 must be a number of seconds.",),
    "bench.rounds=0": ("bench.rounds=0 must be a whole number from 1 on",),
    "bench.against=a'b": ("bench.against=a'b cannot be split",),
    "bench.against=hardware=cpuu": ("There is no hardware cpuu; did you mean cpu?",),
    "bench.out=/nowhere/at/all.json": ("bench.out=/nowhere/at/all.json cannot be written",),
    "-m": ("-m is no option of the bench",),
    "table=piad/table2_mnist": ("the bench measures one configuration, no table",),
    "method=kde,ocsvm": ("method=kde,ocsvm names several", "bench.against"),
    "method=null": ("method=null leaves the run without its method",),
    "method=autoencodr": ("There is no method autoencodr; did you mean autoencoder?",),
    "data=cifar": ("There is no data cifar",),
    "hardware.precison=16": ("hardware.precison is no key", "did you mean precision?"),
    "sed=1": ("sed is no key", "did you mean seed?"),
    "seed=abc": ("abc", "Integer"),
    "protocol.normal=[0": ("protocol.normal=[0 cannot be read as key=value",),
    "nonsense": ("nonsense cannot be read as key=value",),
}


@pytest.mark.parametrize("typed", WRONG)
def test_a_mistake_is_one_sentence_before_anything_starts(
    typed: str, runs: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(subprocess, "Popen", None)
    code, out, err = inside("novelty.bench.__main__", [typed], capfd)
    assert code == 1
    assert out == ""
    assert len(err.strip().splitlines()) == 1, err
    for words in WRONG[typed]:
        assert words in err
    assert not runs.exists()


def test_own_keys_are_taken_out_of_the_overrides(tmp_path: Path) -> None:
    out = tmp_path / "record.json"
    typed = ["method=kde", "bench.seconds=2", "bench.against=hardware=cpu 'a=[1, 2]'", f"bench.out={out}", "seed=1"]
    assert parse(typed) == (["method=kde", "seed=1"], Options(seconds=2, against=("hardware=cpu", "a=[1, 2]"), out=out))
    assert parse(["bench.out=null", "bench.against=null"]) == ([], Options(out=None))


def test_the_second_configuration_replaces_keys_of_the_first() -> None:
    first = ["method=piad", "method.batch_size=8", "hardware=cpu", "hardware.threads=1", "seed=2"]
    assert second(first, ["hardware=gpu", "seed=3"]) == [*first[:2], "hardware.threads=1", "hardware=gpu", "seed=3"]
    assert second(first, ["method=kde"]) == [*first[2:], "method=kde"]


def test_help_imports_nothing_heavy() -> None:
    code = "import sys; sys.argv[1:] = ['--help']; import novelty.bench.__main__ as m; m._main(); "
    code += "print([name for name in ('torch', 'hydra', 'numpy') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    for key in ("seconds", "warmup", "rounds", "against", "out"):
        assert f"bench.{key}=" in done.stdout


def test_two_configurations_alternate_and_leave_one_record(
    runs: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    small = ["data=digits", "budget.max_train=12", "budget.max_test=16", "hardware=cpu", "hardware.threads=1"]
    own = ["bench.seconds=0.2", "bench.warmup=0", "bench.rounds=2", "bench.against=method.batch_size=4"]
    monkeypatch.setattr(sys, "argv", ["bench", *small, *own])
    from novelty.bench.__main__ import _main

    _main()
    out, err = capfd.readouterr()
    assert "Traceback" not in err  # there may be a bar: images are decoded once
    for words in ("B: method.batch_size=4 trains on", "in 2 rounds", "peak memory", "framework", f"Record: {runs}"):
        assert words in " ".join(out.split())
    (path,) = [path for path in runs.rglob("*") if path.is_file()]  # and no cell's record
    assert path.parent == folder(runs)
    assert path.name.endswith("_autoencoder_digits_cpu_vs_cpu.json")
    (record,) = read_all(runs)
    one, other = record["measured"]
    assert (one["batch"], other["batch"]) == (12, 4)
    assert other["overrides"] == [*small, "method.batch_size=4"]
    assert one["config"]["hardware"]["threads"] == one["environment"]["threads"] == 1
    assert len(record["ratios"]["train"]["rounds"]) == len(record["ratios"]["score"]["rounds"]) == 2
    assert record["command"].startswith("python -m novelty.bench data=digits")
    _check_report(runs, record, capfd)


def _check_report(runs: Path, record: dict[str, Any], capfd: pytest.CaptureFixture[str]) -> None:
    """`report` shows it in every format; an unreadable neighbour is named below."""
    (folder(runs) / "broken.json").write_text("{", encoding="utf-8")
    header, one, other = rows(read_all(runs), "auto*/digits")
    assert header == HEADER
    seconds = record["measured"][0]["figures"]["train"]["seconds"]
    assert one[4] == f"{seconds:.4g}"
    assert other[3].endswith("hardware.threads=1 method.batch_size=4")
    for form, mark in (
        ("terminal", "s/iteration"),
        ("markdown", "| autoencoder | digits | cpu: "),
        ("csv", "method,data"),
    ):
        sys.argv[1:] = ["bench=all", f"runs={runs}", f"format={form}"]
        from novelty.report.__main__ import _main

        _main()
        out = capfd.readouterr().out
        assert mark in out
        assert form == "csv" or "broken.json" in out
    with pytest.raises(NoveltyError, match=r"No record of a bench is called kde/\*. Known: autoencoder/digits;"):
        rows(read_all(runs), "kde/*")


class _Heard:
    """A worker's channel that keeps what is sent."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []

    def send(self, message: dict[str, Any]) -> None:
        self.sent.append(message)


@pytest.mark.parametrize("error", [NoveltyError("a mistake"), ValueError("a fault\nof ours")])
def test_what_fails_over_there_is_raised_here(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    heard = _Heard()

    def fail(channel: _Heard) -> None:
        raise error

    monkeypatch.setattr(worker, "PipeChannel", lambda: heard)
    monkeypatch.setattr(worker, "keep_memory", lambda: True)
    monkeypatch.setattr(worker, "serve", fail)
    worker.main()
    (message,) = heard.sent
    monkeypatch.setattr(workers, "COMMAND", (sys.executable, "-c", f"print({json.dumps(message)!r})"))
    expected = "a mistake" if isinstance(error, NoveltyError) else "Measuring A failed: ValueError: a fault"
    with Worker("A", []) as started, pytest.raises(NoveltyError) as raised:
        started.open()
    assert str(raised.value) == expected
    if isinstance(raised.value, Failed):
        assert "Traceback" in raised.value.traceback
        assert "in fail" in raised.value.traceback


def test_a_fault_leaves_its_traceback_in_a_file(
    runs: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    message = {"failure": "ValueError: a fault", "traceback": "Traceback of it"}
    monkeypatch.setattr(workers, "COMMAND", (sys.executable, "-c", f"print({json.dumps(message)!r})"))
    code, _, err = inside("novelty.bench.__main__", ["data=digits"], capfd)
    written = folder(runs) / "traceback.txt"
    assert code == 1
    assert err == (
        f"novelty: Measuring this configuration failed: ValueError: a fault (the traceback is in {written}).\n"
    )
    assert written.read_text(encoding="utf-8") == "Traceback of it"


def test_a_killed_process_is_said_to_be_killed() -> None:
    with Worker("B", []) as started:
        started.process.kill()
        with pytest.raises(NoveltyError, match=r"The process that measured B ended without a word \(killed"):
            started.open()


def _children(parent: int) -> list[int]:
    listed = Path(f"/proc/{parent}/task/{parent}/children").read_text(encoding="ascii")
    return [int(number) for number in listed.split()]


def _wait_until_gone(number: int) -> bool:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            if "Z" in Path(f"/proc/{number}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()[0]:
                return True  # dead; whoever inherited it has not looked yet
        except (FileNotFoundError, ProcessLookupError):
            return True
        time.sleep(0.1)
    return False


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_an_interrupted_bench_leaves_no_process(number: int, code: int, tmp_path: Path) -> None:
    """Neither Ctrl-C nor a kill that nothing can catch."""
    command = [sys.executable, "-m", "novelty.bench", "data=digits", "bench.seconds=600"]
    process = subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env=os.environ,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # jobs in the background ignore it
    )
    deadline = time.monotonic() + 60
    while not (children := _children(process.pid)) and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.5)
    process.send_signal(number)
    try:
        _, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == code
    assert errors == ("novelty: Interrupted: nothing was recorded.\n" if code == 130 else "")
    assert len(children) == 1
    assert _wait_until_gone(children[0])


def test_records_of_another_layout_are_named_not_read(tmp_path: Path) -> None:
    folder(tmp_path).mkdir()
    (folder(tmp_path) / "old.json").write_text(json.dumps({"schema": 0}), encoding="utf-8")
    (left_out,) = read_all(tmp_path)
    assert left_out["error"] == "not of layout 1"
