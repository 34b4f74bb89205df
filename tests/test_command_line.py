"""What a person types, mistyped: one clear sentence, exit code 1, no traceback, nothing left behind."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

FAST = ("data=digits", "budget=smoke", "hardware=cpu", "logger=none")


def novelty(*arguments: str, module: str = "novelty.run", cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", module, *arguments], capture_output=True, text=True, timeout=300, cwd=cwd, env=os.environ
    )


WRONG = {
    "method.widht=3": ("method.widht is no option of Autoencoder", "Options:"),
    "method.epochs=many": ("method.epochs=many must be a whole number",),
    "method=autoencodr": ("There is no method autoencodr; did you mean autoencoder?", "kde"),
    "data=cifar": ("There is no data cifar; did you mean cifar10?",),
    "hardware.precison=16": ("hardware.precison is no key", "did you mean precision?"),
    "hardware.channels_last=maybe": ("channels_last", "maybe"),
    "protocol.normal=eleven": ("eleven", "0, 1"),
    "+nosuch=1": ("nosuch is no key of the configuration",),
    "sed=1": ("sed is no key", "did you mean seed?"),
    "seed=abc": ("abc", "Integer"),
    "keep=everything": ("everything", "weights"),
    "table=piad/table9": ("There is no table piad/table9", "piad/table2_mnist"),
    "method._target_=os.system": ("os.system",),
    "method._target_=novelty.methods.nothing.Nothing": ("cannot be imported",),
    "budget.scale=0": ("budget.scale=0",),
    "data.channels=2": ("data.channels=2 must be 1",),
    "data.image_size=0": ("image_size",),
    "data=mnist data.source.download=false": ("MNIST", "NOVELTY_DATA"),
    "hardware.devices=many": ("hardware.devices=many",),
    "method.batch_size=0": ("batch_size is 0",),
}


@pytest.mark.parametrize("typed", WRONG)
def test_a_mistake_is_one_sentence(typed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOVELTY_DATA", str(tmp_path / "nowhere"))
    monkeypatch.setenv("NOVELTY_RUNS", str(tmp_path / "runs"))
    overrides = [o for o in FAST if o.split("=")[0] not in typed]
    done = novelty(*overrides, *typed.split(), cwd=tmp_path)
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr + done.stdout
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    for part in WRONG[typed]:
        assert part in done.stderr
    assert not list((tmp_path / "runs").rglob("*.json"))


REPORT_WRONG = {
    "": "Name a table",
    "tabel=x": "did you mean table?",
    "table=nothing": "There is no table nothing",
    "table=all format=pdf": "format=pdf is no choice",
    "table=all runs=/nowhere/at/all": "There are no records in /nowhere/at/all",
}


@pytest.mark.parametrize("typed", REPORT_WRONG)
def test_a_mistake_in_a_report_is_one_sentence(typed: str) -> None:
    done = novelty(*typed.split(), module="novelty.report")
    assert done.returncode == 1
    assert REPORT_WRONG[typed] in done.stderr
    assert "Traceback" not in done.stderr


DATA_WRONG = {
    "inof": "did you mean info?",
    "info data=mnits": "did you mean mnist?",
    "stats": "images= must be a folder",
    "stats images=. backbone=resnet": "backbone=resnet is no choice",
    "stats images=. size=big": "size=big",
}


@pytest.mark.parametrize("typed", DATA_WRONG)
def test_a_mistake_about_data_is_one_sentence(typed: str) -> None:
    done = novelty(*typed.split(), module="novelty.data")
    assert done.returncode == 1
    assert DATA_WRONG[typed] in done.stderr
    assert "Traceback" not in done.stderr


def test_help_answers_at_once_and_names_the_choices() -> None:
    novelty("--help")
    start = time.monotonic()
    done = novelty("--help")
    assert done.returncode == 0
    for word in ("method:", "piad", "cifar10", "python -m novelty.report"):
        assert word in done.stdout
    assert time.monotonic() - start < 5  # a second on a quiet machine; what matters is that torch is not imported


def test_help_imports_nothing_heavy() -> None:
    code = "import sys, novelty.run, novelty.report.__main__, novelty.data.__main__; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "False"


def test_a_run_prints_its_numbers_and_its_record_and_is_skipped_the_second_time(runs: Path) -> None:
    first = novelty(*FAST)
    assert first.returncode == 0, first.stderr
    assert "AUROC" in first.stdout
    assert "protocol.normal=range(10)" in first.stdout
    assert f"Record: {runs}" in first.stdout
    (result,) = runs.rglob("result.json")
    written = result.stat().st_mtime_ns
    second = novelty(*FAST)
    assert second.returncode == 0
    assert result.stat().st_mtime_ns == written


def test_sigterm_stops_with_143_and_the_same_command_goes_on(runs: Path) -> None:
    command = [sys.executable, "-m", "novelty.run", "data=digits", "budget.scale=1000", "hardware=cpu", "logger=none"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ)
    deadline = time.monotonic() + 120
    while not list(runs.rglob("config.yaml")) and time.monotonic() < deadline:
        time.sleep(0.2)
    time.sleep(2)
    process.terminate()
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 143, errors
    assert "the same command goes on" in errors
    assert list(runs.rglob("resume.ckpt"))


def test_data_info_says_what_is_here() -> None:
    done = novelty("info", module="novelty.data")
    assert done.returncode == 0, done.stderr
    for name in ("digits", "mnist", "cifar10", "missing"):
        assert name in done.stdout
