"""Every figure below experiments/ composes, checks, is drawn at a tiny size, and says what is wrong in one sentence."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest
from data.fakes.every import WRITERS
from data.fakes.mvtec_ad import write_mvtec_ad
from figures.drawing import drawn as results
from figures.drawing import run
from test_command_line import inside, novelty

from novelty.check import bind, check
from novelty.config import compose_cell, experiments_dir, names_under, open_overrides
from novelty.figures.base import Figure
from novelty.figures.cells import CellFigure
from novelty.figures.session import draw_composed
from novelty.tables import load_figure

FIGURES = names_under(experiments_dir() / "figure")
PLAIN = [name for name in FIGURES if load_figure(name) is None]
TRAINED = [name for name in FIGURES if name not in PLAIN]
SMALL = (
    *("budget=smoke", "budget.scale=0.00001", "budget.max_train=8", "budget.max_test=8"),
    *("hardware=cpu", "logger=none"),
)
"""Few images, and no more steps than there must be."""

TINY = ("data=digits", "hardware=cpu", "figure.images=3", "figure.weights=random", "data.image_size=16")


def drawn(*overrides: str) -> Path:
    """The folder of a figure, drawn in this process."""
    cfg, choices = compose_cell(open_overrides(overrides))
    return draw_composed(cfg, choices, list(overrides))


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_composes_and_checks(name: str) -> None:
    config = check(compose_cell([f"figure={name}"]).cfg)
    node = {key: value for key, value in config["figure"].items() if key != "cells"}
    assert bind(node, "figure", Figure if name in PLAIN else CellFigure)["_target_"].startswith("novelty.figures.")
    head = (experiments_dir() / "figure" / f"{name}.yaml").read_text(encoding="utf-8")
    assert head.startswith("# @package figure\n")
    assert f"# python -m novelty.run figure={name} " in head


@pytest.mark.parametrize("name", PLAIN)
def test_every_figure_is_measured_drawn_and_written(name: str, runs: Path) -> None:
    folder = drawn(f"figure={name}", *TINY)
    assert folder.parent == runs / "figures" / name
    about = json.loads((folder / "about.json").read_text(encoding="utf-8"))
    assert about["choices"]["figure"] == name
    assert about["finding"]
    assert about["normal"] == ["0"]
    assert about["provenance"]["weights_sha256"] == "random"
    assert about["data"]["digest"]
    assert about["environment"]["packages"]["matplotlib"]
    assert about["config"]["figure"]["images"] == 3
    assert (folder / "figure.png").read_bytes()[:4] == b"\x89PNG"
    assert "<svg" in (folder / "figure.svg").read_text(encoding="utf-8")
    with (folder / "numbers.csv").open(encoding="utf-8") as file:
        heading, *rows = csv.reader(file)
    assert rows
    assert all(len(row) == len(heading) for row in rows)
    before = {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "about.json"}
    assert drawn(f"figure={name}", *TINY) == folder
    assert {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "about.json"} == before


@pytest.mark.parametrize("name", TRAINED)
def test_every_figure_is_trained_for_and_drawn(
    name: str, tmp_path: Path, runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOVELTY_DATA", str(tmp_path))
    layout = load_figure(name)
    assert layout is not None
    last = [cell for cell in layout.cells() if cell.column == layout.columns[-1].name]
    cells = [next(cell for cell in last if cell.row == row.name) for row in layout.rows]
    typed = [f"seed={cells[0].seed}", *cells[0].member]
    written = set()
    for overrides in dict.fromkeys(tuple(cell.overrides) for cell in cells):  # rows may share a training
        cfg, choices = compose_cell(open_overrides(overrides))
        category = cfg.data.source.get("category")
        if choices["data"] == "mvtec_ad" and category not in written:
            write_mvtec_ad(tmp_path / "mvtec_ad", category)
        elif choices["data"] not in written:
            WRITERS[choices["data"]](tmp_path)
        written |= {choices["data"], category}
        typed += ["method.weights=random"] * bool(cfg.method.get("weights"))
        sets_width = any(override.startswith("method.width=") for cell in cells for override in cell.overrides)
        typed += ["data.image_size=16" if sets_width else "method.width=8"] * ("width" in cfg.method)
    run(f"figure={name}", *typed, *SMALL)
    folder, about, lines = results(runs, name)
    assert len(about["cells"]) == len(cells)
    assert all(cell["record"] for cell in about["cells"])
    assert lines
    assert (folder / "figure.png").is_file()
    assert "budget smoke" in about["basis"]


def test_the_folder_follows_options_and_images_and_not_the_hardware(runs: Path) -> None:
    typed = [f"figure={PLAIN[0]}", *TINY, "dry_run=true"]
    folder = drawn(*typed)
    assert drawn(*typed, "hardware.score_batch=1", "seed=3") == folder
    for other in ("figure.images=4", "protocol.normal=1", "data.image_size=24"):
        assert drawn(*typed, other) != folder
    assert not runs.exists()


def test_a_weights_file_counts_by_content(tmp_path: Path, runs: Path) -> None:
    for name, content in (("a", b"1"), ("b", b"1"), ("c", b"2")):
        (tmp_path / name).write_bytes(content)
    folders = [drawn(f"figure={PLAIN[0]}", "dry_run=true", f"figure.weights={tmp_path / name}") for name in "abc"]
    assert folders[0] == folders[1] != folders[2]


CONTRAST = "figure=piad/fig1_contrast"
WRONG = {
    "figure=nosuch": ("There is no figure nosuch", "piad/fig1_contrast"),
    "figure=piad/fig1_contrsat": ("There is no figure piad/fig1_contrsat; did you mean piad/fig1_contrast?",),
    f"{CONTRAST} figure.shfit=3": ("figure.shfit is no option of ContrastPairs; did you mean shift?", "reductions"),
    f"{CONTRAST} figure.shift=many": ("figure.shift=many must be a whole number",),
    f"{CONTRAST} figure.shift=0": ("figure.shift is 0",),
    f"{CONTRAST} figure.shift=16": ("figure.shift is 16", "16 pixels"),
    f"{CONTRAST} figure.images=0": ("figure.images is 0",),
    f"{CONTRAST} figure.reductions=[0.2]": ("figure.reductions is [0.2]",),
    f"{CONTRAST} figure.weights=nowhere.pth": ("nowhere.pth does not exist",),
    f"{CONTRAST} figure.backbone=resnet": ("figure.backbone=resnet is no choice",),
    f"{CONTRAST} protocol.normal=eleven": ("eleven",),
    f"{CONTRAST} hardware.accelerator=cdua": ("hardware.accelerator=cdua is no choice; did you mean cuda?",),
    f"{CONTRAST} hardware=gpu": ("torch sees no GPU here",),
    f"{CONTRAST} data.image_size=4 figure.shift=1": ("data.image_size to 8 or more",),
    f"{CONTRAST} figure._target_=novelty.methods.kde.KDE": ("which is no Figure",),
    "figure=piad/fig3_features figure.steps=1": ("figure.steps is 1",),
    "figure.shift=3": ("no figure is named", "piad/fig1_contrast"),
    f"{CONTRAST} -m": ("A figure is drawn by itself",),
    f"{CONTRAST} table=piad/table2_mnist": ("A figure is drawn by itself",),
    f"{CONTRAST} figure.shift=3,4": ("figure.shift",),
}


@pytest.mark.parametrize("typed", WRONG)
def test_a_mistake_about_a_figure_is_one_sentence(typed: str, runs: Path, capfd: pytest.CaptureFixture[str]) -> None:
    keys = [argument.split("=", 1)[0] for argument in typed.split()]
    common = [o for o in TINY if o.split("=")[0] not in keys and (not o.startswith("figure.") or "figure" in keys)]
    code, out, err = inside("novelty.run", [*common, *typed.split()], capfd)
    assert code == 1
    assert "Traceback" not in err + out
    assert len(err.strip().splitlines()) == 1, err
    for part in WRONG[typed]:
        assert part in err
    assert not runs.exists()


def test_several_figures_are_drawn_one_after_the_other(runs: Path) -> None:
    done = novelty("figure=piad/*", *TINY)
    assert done.returncode == 0, done.stderr
    written = sorted(
        str(path.relative_to(runs)) for path in runs.rglob("*") if path.is_file() and path.suffix == ".png"
    )
    assert [path.split("/")[2] for path in written] == [
        name.split("/")[1] for name in FIGURES if name.startswith("piad/")
    ]
    for path in written:
        assert f"Figure: {runs / path}" in done.stdout


def test_help_lists_the_figures() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "novelty.run", "--help"], capture_output=True, text=True, timeout=60, check=True
    )
    assert f"figure: {', '.join(FIGURES)}" in done.stdout


def test_the_configuration_of_a_figure_is_shown(capfd: pytest.CaptureFixture[str]) -> None:
    done = novelty(CONTRAST, "figure.shift=3", "--cfg", "job")
    assert done.returncode == 0, done.stderr
    assert "shift: 3" in done.stdout
