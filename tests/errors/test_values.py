"""Values that no run can have, flags that do not exist, configurations that would run something: one sentence each."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from cells import plan
from test_command_line import FAST, inside

from novelty import flags
from novelty.errors import NoveltyError
from novelty.flags import in_order

WRONG = {
    "method.lr=nan": r"method\.lr=nan must be a number",
    "method.lr=inf": r"method\.lr=inf must be a number",
    "method.epochs=1e400": r"method\.epochs=inf must be a whole number",
    "evaluation.quantile=nan": r"evaluation\.quantile=nan must be a number",
    "budget.scale=inf": r"budget\.scale=inf must be above 0",
    "budget.scale=nan": r"budget\.scale=nan must be above 0",
    "hardware.threads=0": r"hardware\.threads=0 must be at least 1, or null",
    "hardware.score_batch=-5": r"hardware\.score_batch=-5 must be at least 1, or null",
    "hardware.checkpoint_every=nan": r"hardware\.checkpoint_every=nan must be a number of seconds",
    "hardware.checkpoint_every=-1": r"hardware\.checkpoint_every=-1\.0 must be a number of seconds",
    "hardware.devices=9999": r"hardware\.devices=9999 is more than the \d+ cores here",
    "seed=99999999999999999999999999": r"seed=\d+ must be a whole number of at most 63 bits",
    "seed=???": "seed cannot be resolved: Missing mandatory value",
    "method.lr=${nosuch}": r"method\.lr cannot be resolved: Interpolation key 'nosuch' not found",
    "method.lr=${oc.env:NOSUCH}": r"method\.lr cannot be resolved: .*Environment variable 'NOSUCH' not found",
    "method._target_=.x": r"method\._target_ is \.x, which cannot be imported \(ValueError: Empty module name\)",
    "method._target_=os.system": r"method\._target_ is os\.system, which is no Method but Python's own",
    "method._target_=antigravity.x": r"antigravity\.x, which is no Method but Python's own",
    "data.source=null": r"data\.source needs a _target_",
    "protocol.normal=-1": "There is no class -1",
    "data.image_size=100000": "There is not enough memory|image_size",
}


@pytest.mark.parametrize("typed", [typed for typed in WRONG if "image_size" not in typed])
def test_a_value_that_no_run_can_have(typed: str) -> None:
    with pytest.raises(NoveltyError, match=WRONG[typed]):
        plan(typed)


def test_the_key_of_wandb_is_kept_out_of_the_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "sekretsekret")
    with pytest.raises(NoveltyError, match="The configuration holds the key in WANDB_API_KEY") as caught:
        plan("logger.project=${oc.env:WANDB_API_KEY}")
    assert "sekret" not in str(caught.value)


FLAGS = {
    "--cfg banana": "invalid choice: 'banana'",
    "--foo": "unrecognized arguments: --foo",
    "--experimental-rerun x.pickle": "runs what a pickle says",
    "--config-path /tmp": "add a folder with --config-dir",
    "--config-dir nowhere": "--config-dir=nowhere is no folder",
    "--config-name nothing": "Cannot find primary config 'nothing'",
    "+hydra.callbacks.x._target_=os.system": r"hydra\.callbacks may run anything",
    "hydra.job_logging.handlers.x.()=os.system": "hydra.",
    "+hydra.job.env_set.PYTHONPATH=/tmp": r"hydra\.job\.env_set may run anything",
    "hydra.launcher._target_=subprocess.Popen": r"hydra\.launcher\._target_ is no plugin",
    "~seed": "seed is missing: leave out ~seed",
    "method=5": "A group is chosen by name",
    "table=": "There is no table",
}


@pytest.mark.parametrize("typed", FLAGS)
def test_a_wrong_flag_is_one_sentence(typed: str, runs: Path, capfd: pytest.CaptureFixture[str]) -> None:
    fixed = [o for o in FAST if not typed.startswith("method")]
    code, out, err = inside("novelty.run", [*fixed, *typed.split()], capfd)
    assert code == 1
    assert "Traceback" not in out + err
    assert len(err.strip().splitlines()) == 1, err
    assert re.search(FLAGS[typed], err), err
    assert not runs.exists()


def test_flags_may_stand_anywhere() -> None:
    assert in_order(["data=digits", "-m", "method=kde,ocsvm"]) == ["data=digits", "method=kde,ocsvm", "-m"]
    assert in_order(["-m", "data=digits", "~recipe", "--cfg", "job"]) == [
        "data=digits",
        "~recipe",
        "-m",
        "--cfg",
        "job",
    ]


HOSTILE = """
# @package _global_
hydra:
  callbacks:
    trap:
      _target_: pathlib.Path.touch
      self: {ran}
"""


def test_a_folder_of_configs_runs_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "configs" / "budget"
    folder.mkdir(parents=True)
    (folder / "trap.yaml").write_text(HOSTILE.format(ran=tmp_path / "ran"))
    code, _, err = inside("novelty.run", ["--config-dir", str(tmp_path / "configs"), "budget=trap"], capfd)
    assert code == 1
    assert "hydra.callbacks may run anything" in err
    assert not (tmp_path / "ran").exists()


def test_a_sweep_over_a_hostile_config_runs_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "configs" / "budget"
    folder.mkdir(parents=True)
    (folder / "trap.yaml").write_text(HOSTILE.format(ran=tmp_path / "ran"))
    typed = ["--config-dir", str(tmp_path / "configs"), "budget=smoke,trap", "-m", "protocol.normal=range(3)"]
    code, _, err = inside("novelty.run", typed, capfd)
    assert code == 1
    assert "hydra.callbacks may run anything" in err
    assert not (tmp_path / "ran").exists()


def test_a_yaml_that_names_a_class_of_python_is_text(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "configs" / "budget"
    folder.mkdir(parents=True)
    (folder / "trap.yaml").write_text(f"name: !!python/object/apply:os.mkdir ['{tmp_path}/ran']\n")
    code, _, err = inside("novelty.run", ["--config-dir", str(tmp_path / "configs"), "budget=trap"], capfd)
    assert code == 1, err
    assert "Traceback" not in err
    assert not (tmp_path / "ran").exists()
    assert os.sep in str(folder)


def test_a_thousand_seeds_are_looked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    known = flags._hydra
    monkeypatch.setattr(flags, "_hydra", lambda name, overrides: asked.append(overrides) or known(name, overrides))
    typed = ["-m", "seed=range(1000)", "method=kde,ocsvm", "hydra.launcher.n_jobs=2", "launcher=joblib"]
    assert flags.in_order(typed)[-1] == "-m"
    assert len(asked) == 3  # ours, theirs, and theirs with the other method
    assert [[o for o in overrides if o.startswith("method=")] for overrides in asked[1:]] == [
        ["method=kde"],
        ["method=ocsvm"],
    ]
