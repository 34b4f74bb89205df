"""What a person types, mistyped: one clear sentence, exit code 1, no traceback, nothing left behind."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from novelty.doors import door

FAST = ("data=digits", "budget=smoke", "hardware=cpu", "logger=none")


def novelty(*arguments: str, module: str = "novelty.run", cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", module, *arguments], capture_output=True, text=True, timeout=300, cwd=cwd, env=os.environ
    )


WRONG = {
    "method.widht=3": ("method.widht is no option of Autoencoder", "Options:"),
    "method.epochs=many": ("method.epochs=many must be a whole number",),
    "method=[kde,ocsvm]": ("method=[kde,ocsvm] is no choice", "-m method=A,B"),
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
    "hardware=gpu": ("torch sees no GPU here",),
    "hardware.precision=fp32": ("hardware.precision=fp32 is no choice", "32-true"),
    "hardware.strategy=dpp": ("did you mean ddp?",),
    "hardware.devices=-1": ("from 1 on",),
    "hardware.devices=[0,1]": ("from 1 on",),
    "hardware.compile=fast": ("hardware.compile=fast is no choice", "default"),
    "hardware.precision=16-mixed": ("needs a GPU", "cpu_fast"),
    "logger.mode=onlin logger.wandb=true": ("logger.mode=onlin is no choice",),
    "protocol.normal=[0": ("protocol.normal=[0 cannot be read as key=value", "in quotes"),
    "method=null": ("method=null leaves the run without its method",),
    "hardware.devices=many": ("hardware.devices=many",),
    "method.batch_size=0": ("batch_size is 0",),
}


@pytest.mark.parametrize("typed", WRONG)
def test_a_mistake_is_one_sentence(
    typed: str, tmp_path: Path, runs: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NOVELTY_DATA", str(tmp_path / "nowhere"))
    code, out, err = inside("novelty.run", [*(o for o in FAST if o.split("=")[0] not in typed), *typed.split()], capfd)
    assert code == 1
    assert "Traceback" not in err + out
    assert len(err.strip().splitlines()) == 1, err
    for part in WRONG[typed]:
        assert part in err
    assert not list(runs.rglob("*.json"))


def inside(module: str, arguments: list[str], capfd: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    """As `novelty`, in this process: importing Lightning anew for each mistake would take minutes."""
    from hydra.core.global_hydra import GlobalHydra

    before, typed = os.environ.copy(), list(sys.argv)
    sys.argv[:] = [module, *arguments]
    with pytest.raises(SystemExit) as left:
        door(importlib.import_module(module)._main)
    sys.argv[:] = typed
    GlobalHydra.instance().clear()
    os.environ.clear()
    os.environ.update(before)
    out, err = capfd.readouterr()
    kept = [line for line in err.splitlines(keepends=True) if not line.startswith("Decoding")]  # on slow machines
    return int(left.value.code or 0), out, "".join(kept)


def test_a_mistake_in_a_process_of_its_own_leaves_with_1(tmp_path: Path) -> None:
    done = novelty("method.widht=3", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("novelty: method.widht is no option of Autoencoder; did you mean width?")
    assert done.stdout == ""


REPORT_WRONG = {
    "": "Name a table",
    "tabel=x": "did you mean table?",
    "table=nothing": "There is no table nothing",
    "table=all format=pdf": "format=pdf is no choice",
    "table=all runs=/nowhere/at/all": "There are no records in /nowhere/at/all",
}


@pytest.mark.parametrize("typed", REPORT_WRONG)
def test_a_mistake_in_a_report_is_one_sentence(typed: str, capfd: pytest.CaptureFixture[str]) -> None:
    code, _, err = inside("novelty.report.__main__", typed.split(), capfd)
    assert code == 1
    assert REPORT_WRONG[typed] in err
    assert len(err.strip().splitlines()) == 1


DATA_WRONG = {
    "inof": "did you mean info?",
    "info data=mnits": "did you mean mnist?",
    "stats": "images= must be a folder",
    "stats images=. backbone=resnet": "backbone=resnet is no choice",
    "stats images=. size=big": "size=big",
}


@pytest.mark.parametrize("typed", DATA_WRONG)
def test_a_mistake_about_data_is_one_sentence(typed: str, capfd: pytest.CaptureFixture[str]) -> None:
    code, _, err = inside("novelty.data.__main__", typed.split(), capfd)
    assert code == 1
    assert DATA_WRONG[typed] in err
    assert len(err.strip().splitlines()) == 1


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


def test_a_path_with_brackets_is_printed_whole(tmp_path: Path) -> None:
    folder = tmp_path / "runs [old]"
    done = novelty(*FAST, f"paths.runs='{folder}'")
    assert done.returncode == 0, done.stderr
    (found,) = folder.rglob("result.json")
    assert f"Record: {found}\n" in done.stdout


def test_a_dry_run_of_one_cell_runs_nothing(runs: Path) -> None:
    done = novelty(*FAST, "dry_run=true")
    assert done.returncode == 0
    assert "missing" in done.stdout
    assert not runs.exists()


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


def test_a_list_of_the_data_says_what_is_here() -> None:
    done = novelty("list", module="novelty.data")
    assert done.returncode == 0, done.stderr
    for name in ("digits", "mnist", "cifar10", "missing"):
        assert name in done.stdout
