"""Ctrl-C, SIGTERM, Slurm's SIGUSR1 and a closed terminal: their exit codes, whenever they come, and nothing lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from novelty.doors import STOPPING, door

CODES = {"SIGINT": 130, "SIGTERM": 143, "SIGUSR1": 138, "SIGHUP": 129}


@pytest.fixture(autouse=True)
def foreground() -> Iterator[None]:
    """As in front of a terminal: a background shell has its children ignore Ctrl-C, and nohup SIGHUP."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGHUP)}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("name", CODES)
def test_a_signal_ends_whatever_is_done_with_a_sentence(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    before = {number: signal.getsignal(number) for number in STOPPING}

    def main() -> None:
        os.kill(os.getpid(), getattr(signal, name))
        time.sleep(5)
        pytest.fail("the signal was lost")

    with pytest.raises(SystemExit) as left:
        door(main)
    assert left.value.code == CODES[name]
    _, err = capfd.readouterr()
    assert "what is saved stays, the same command goes on" in err
    assert len(err.strip().splitlines()) == 1
    assert {number: signal.getsignal(number) for number in STOPPING} == before


def test_nohup_keeps_its_word(monkeypatch: pytest.MonkeyPatch) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        door(lambda: os.kill(os.getpid(), signal.SIGHUP))
    finally:
        signal.signal(signal.SIGHUP, before)


SCORING = """
import os, signal, sys, time
from novelty.training import scoring
real = scoring.CollectScores.on_test_batch_end
def slow(self, *rest):
    real(self, *rest)
    print("scoring", flush=True)
    time.sleep(0.5)
scoring.CollectScores.on_test_batch_end = slow
from novelty.run import main
sys.argv[1:] = ["data=digits", "budget=smoke", "hardware=cpu", "hardware.score_batch=1", "logger=none"]
main()
"""


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_a_signal_while_scoring_keeps_the_training(name: str, runs: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", SCORING], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ
    )
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("scoring"):
            break
    process.send_signal(getattr(signal, name))
    start = time.monotonic()
    _, err = process.communicate(timeout=60)
    assert process.returncode == CODES[name], err
    assert "Traceback" not in err
    assert time.monotonic() - start < 30
    assert list(runs.rglob("model.ckpt"))
    assert not list(runs.rglob("result.json"))


def test_a_terminal_that_knows_only_ascii_ends_nothing(tmp_path: Path) -> None:
    code = "from novelty.doors import door; door(lambda: print('autoencoder \\u00b7 \\u5317'))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True, text=True, timeout=60, env=os.environ | {"PYTHONIOENCODING": "ascii"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout == "autoencoder ? ?\n"
