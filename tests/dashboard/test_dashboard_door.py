"""The door: what real runs logged has a panel and no panel is empty; files, TensorBoard, W&B with and without a key."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from cells import plan, run
from dashboard.server import receiving, serving
from report.made_up import whole_row, written
from wandb_files import read_back

from novelty.dashboard import saving
from novelty.dashboard.__main__ import _main
from novelty.dashboard.board import layout_of
from novelty.dashboard.building import dashboard_of
from novelty.dashboard.logged import logged_in, narrowed, without_data
from novelty.dashboard.runs import find_runs, sync_command
from novelty.errors import NoveltyError
from novelty.results.records import read_all
from novelty.tables import Row, Table, load_table

NAME = "piad/table2_mnist"
LOGGED = ("logger=all", "budget.scale=0.05", "pictures=true", f"logger.tables=[{NAME}]")
METHODS = ("autoencoder", "kde")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of records with blanks in its name."""
    folder = tmp_path / "my runs"
    folder.mkdir()
    monkeypatch.setenv("NOVELTY_RUNS", str(folder))
    return folder


def on_digits() -> Table:
    """A table whose rows were run here."""
    rows = tuple(Row(name, (f"method={name}",), (0,)) for name in METHODS)
    return replace(load_table(NAME), rows=rows, common=("data=digits",))


def door(monkeypatch: pytest.MonkeyPatch, *typed: str) -> None:
    monkeypatch.setattr(sys, "argv", ["dashboard", *typed])
    _main()


def summary(folder: Path) -> set[str]:
    """Names of what the offline run of a training holds."""
    (offline,) = folder.glob("logs/wandb/offline-run-*")
    return set(read_back(offline)["summary"])


def test_no_panel_is_without_data_and_each_run_is_found(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = []
    for method in METHODS:
        run(*LOGGED, f"method={method}")
        folders.append(plan(*LOGGED, f"method={method}").record.folder)
    deep, shallow = folders
    board = dashboard_of(on_digits(), "smoke")
    for folder in folders:
        assert logged_in(folder) - {"step"} <= summary(folder)  # metrics.csv calls trainer/global_step so
    both = summary(deep) | summary(shallow)
    assert without_data(board, both) == []
    assert without_data(board, logged_in(deep) | logged_in(shallow)) == []
    lost = {panel.title for panel in without_data(board, logged_in(shallow))}
    assert {"auroc of mse", "Losses"} <= lost
    kept = narrowed(board, logged_in(shallow))
    assert without_data(kept, logged_in(shallow)) == []
    assert {panel.title for panel in kept.panels()}.isdisjoint(lost)
    (training,) = (s for s in narrowed(board, both).sections if s.title == "Training")
    assert [panel.keys for panel in training.panels] == [("loss/reconstruction",)]

    found = find_runs(load_table(NAME), list(read_all(here)), [])
    assert set(found.folders) == set(folders)
    assert found.unsure == ()
    assert found.budgets == ("smoke",)
    command = sync_command(found.offline())
    assert "\n" not in command
    program, verb, *paths = shlex.split(command)
    assert (program, verb) == ("wandb", "sync")
    assert {path.parents[2] for path in map(Path, paths)} == {folder.resolve() for folder in folders}
    assert all(list(Path(path).glob("run-*.wandb")) for path in paths)

    door(monkeypatch, f"table={NAME}")
    out, err = capsys.readouterr()
    assert out.splitlines()[-1] == command
    assert "no run here had budget=full, which is shown; name budget=smoke." in err
    assert "left out, as none of its runs here logged it: auroc of rel_perc_l1, auroc of distance" in err


def test_the_printed_command_sends_all_that_a_table_logged_offline_though_it_kept_nothing(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two evaluations of a training and a method that wraps it: two runs, the first with both and one curve."""
    logged = ("logger=wandb", "data.image_size=32", "budget.scale=0.2", "keep=none", f"logger.tables=[{NAME}]")
    alone = (*logged, "method=autoencoder", "method.latent=32", "method.epochs=20")
    robust = (*alone, "evaluation=robustness")
    slot = "method@method.autoencoder=autoencoder"
    wrapped = (*logged, "method=energy_projection", slot, "method.autoencoder.epochs=20")
    records = {name: run(*typed) for name, typed in (("alone", alone), ("robust", robust), ("wrapped", wrapped))}
    keys = records["wrapped"]["keys"]
    assert keys["training"] == records["alone"]["keys"]["training"] == records["robust"]["keys"]["training"]
    ids = (keys["training"], keys["scoring"])
    found = find_runs(load_table(NAME), list(read_all(here)), [])
    assert found.ids == tuple(sorted(ids))
    assert found.unsure == ()

    door(monkeypatch, f"table={NAME}", "budget=smoke")
    program, *rest = shlex.split(capsys.readouterr().out.splitlines()[-1])
    with receiving() as (address, sent):
        home = {"WANDB_BASE_URL": address, "WANDB_API_KEY": "a" * 40, "HOME": str(here)}
        environment = {name: value for name, value in os.environ.items() if "WANDB" not in name} | home
        command = [Path(sys.executable).with_name(program), *rest]
        subprocess.run(command, check=True, capture_output=True, timeout=120, env=environment, cwd=here)
    assert set(sent) == set(ids)
    run_of_both, own = (sent[name] for name in ids)
    steps = [row["trainer/global_step"] for row in run_of_both.history if "loss/reconstruction" in row]
    assert steps == sorted(set(steps)) != []
    for name in ("alone", "robust"):
        for score, metrics in records[name]["metrics"].items():
            assert run_of_both.summary[f"test/{score}/auroc"] == pytest.approx(metrics["auroc"])
    assert any("@" in name for name in run_of_both.summary)
    score = records["wrapped"]["primary"]
    assert own.summary[f"test/{score}/auroc"] == pytest.approx(records["wrapped"]["metrics"][score]["auroc"])
    assert find_runs(load_table(NAME), list(read_all(here)), []).offline() == []  # sent once, and not again


def test_without_a_key_nothing_is_sent_and_files_say_it_all(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.plugins.custom_scalar.layout_pb2 import Layout

    out = tmp_path / "out"
    monkeypatch.delenv("WANDB_MODE")
    monkeypatch.setenv("HOME", str(tmp_path))
    with serving() as (address, views):
        monkeypatch.setenv("WANDB_BASE_URL", address)
        for _ in range(2):  # what was there is replaced
            door(monkeypatch, f"table={NAME}", f"out={out}")
    assert views == []
    said = capsys.readouterr().out
    assert "Nothing was sent to W&B (no key, or no answer: set WANDB_API_KEY, or wandb login)" in said
    assert "wandb sync" not in said
    assert json.loads((out / NAME / "workspace.json").read_text())["displayName"] == NAME
    assert "Perceptual Image Anomaly Detection" in (out / "piad" / "report.json").read_text()
    board = EventAccumulator(str(out / NAME / "tensorboard"))
    board.Reload()
    (event,) = board.Tensors("custom_scalars__config__")
    layout = Layout()
    layout.ParseFromString(event.tensor_proto.string_val[0])
    assert [category.title for category in layout.category] == list(layout_of(dashboard_of(load_table(NAME))))
    assert [list(chart.multiline.tag) for chart in layout.category[1].chart] == [["loss/.+$"]]


def test_without_the_library_the_rest_is_there_and_it_is_said(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import importlib.util

    known = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: None if "workspaces" in name else known(name, *a))
    door(monkeypatch, "table=piad/text_lsun")
    assert "pip install 'novelty[dashboard]'" in capsys.readouterr().out
    folder = here / "dashboard" / "piad" / "text_lsun"
    assert (folder / "dashboard.json").is_file()
    assert list((folder / "tensorboard").glob("events.*"))
    assert not (folder / "workspace.json").exists()


def test_json_is_printed_alone(here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    door(monkeypatch, "table=piad/text_lsun,piad/table3_celeba", "format=json", "budget=short")
    told = json.loads(capsys.readouterr().out)
    assert [(board["table"], board["budget"]) for board in told] == [
        ("piad/text_lsun", "short"),
        ("piad/table3_celeba", "short"),
    ]
    assert not any(here.iterdir())


def test_a_run_that_another_table_asked_for_is_shown_by_its_id(here: Path) -> None:
    table = load_table(NAME)
    records = whole_row(table, "kde")[:2]
    for i, (record, names) in enumerate(zip(records, ([NAME], ["puzzle_ae/table1_mnist"]), strict=True)):
        record["config"]["logger"]["tables"] = names
        record["keys"]["training"] = f"t{i}"
    written(here, records)
    read = list(read_all(here))
    found = find_runs(table, read, read)
    assert [folder.name for folder in found.folders] == ["t0", "t1"]
    assert found.unsure == ("t1",)
    assert find_runs(table, read, []).unsure == ()


def test_with_a_key_workspace_and_report_are_saved_and_replaced_the_next_time(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    import wandb

    monkeypatch.delenv("WANDB_MODE")
    monkeypatch.setenv("WANDB_API_KEY", "a" * 40)
    with serving() as (address, views):
        monkeypatch.setenv("WANDB_BASE_URL", address)
        try:
            for _ in range(2):
                door(monkeypatch, "table=piad/text_lsun", f"out={tmp_path / 'out'}")
            note = tmp_path / "out" / "piad" / "saved.json"
            note.write_text("{")
            with pytest.raises(NoveltyError, match=r"saved\.json is damaged: remove it"):
                door(monkeypatch, "table=piad/text_lsun", f"out={tmp_path / 'out'}")
        finally:
            wandb.teardown()
    assert [(view["entityName"], view["projectName"]) for view in views] == [("me", "novelty")] * 5
    assert [view.get("id") for view in views[2:]] == ["VmlldzoxMjM="] * 3
    assert "piad/text_lsun" in views[0]["spec"]
    assert f"{address}/me/novelty?nw=abc" in views[1]["spec"]  # the report links to the workspace
    assert f"{address}/me/novelty?nw=abc" in capsys.readouterr().out


def test_a_server_that_never_answers_ends_in_a_sentence(
    here: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import wandb

    monkeypatch.delenv("WANDB_MODE")
    monkeypatch.setenv("WANDB_API_KEY", "a" * 40)
    monkeypatch.setattr(saving, "SECONDS", 2.0)
    with serving(answers=False) as (address, _):
        monkeypatch.setenv("WANDB_BASE_URL", address)
        try:
            with pytest.raises(NoveltyError, match=r"did not take the dashboards \(no answer within 2 s\)"):
                door(monkeypatch, "table=piad/text_lsun", f"out={tmp_path / 'out'}")
        finally:
            wandb.teardown()
    assert (tmp_path / "out" / "piad" / "report.json").is_file()


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ((), "Name a table"),
        (("tabel=all",), "tabel=all is no option; did you mean table?"),
        (("table=piad/table2_mnits",), "did you mean piad/table2_mnist?"),
        ((f"table={NAME}", "format=jsno"), "did you mean json?"),
        ((f"table={NAME}", "budget=smoek"), "did you mean smoke?"),
        ((f"table={NAME}", "project="), "project= is empty"),
        ((f"table={NAME}", "runs=/nowhere"), "There is no folder /nowhere"),
        (("table=puzzle_ae/table6_gt_head_ct_auroc",), "no row of it can be run here yet"),
    ],
)
def test_what_is_typed_wrong_is_one_sentence(
    typed: tuple[str, ...], said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(NoveltyError) as error:
        door(monkeypatch, *typed)
    assert said in str(error.value)
    assert "\n" not in str(error.value)
    assert capsys.readouterr().out == ""


def test_help_imports_nothing_heavy() -> None:
    asked = "import sys; sys.argv = ['x', '--help']; from novelty.dashboard.__main__ import _main; _main(); "
    done = subprocess.run(
        [sys.executable, "-c", asked + "print(sorted({'torch', 'wandb', 'lightning'} & set(sys.modules)))"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout.splitlines()[-1] == "[]"
    assert "usage: python -m novelty.dashboard" in done.stdout
