"""Figures that are trained for: what is run, what is drawn from the records, and what is said of it."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from figures.drawing import TINY, drawn, run, write_figure

from novelty.errors import NoveltyError
from novelty.figures.cells import pooled
from novelty.tables import load_figure
from novelty.training.sweep import asked, expand

LINES = """
_target_: novelty.figures.lines.Lines
x: outliers, %
cells:
  common: [data=digits, protocol=outliers, method=kde]
  columns:
    each: {protocol.share: [20, 50]}
    average: {protocol.normal: [0, 1]}
  seeds: [0, 1]
  rows:
    kde: {overrides: []}
"""


def test_points_are_means_of_whole_seeds() -> None:
    seeds, members = np.array([0, 0, 1, 1, 2]), np.array(["a", "b", "a", "b", "a"])
    point = pooled(seeds, members, np.array([0.2, 0.4, 0.5, 0.7, 99.0]), whole=2)
    assert point is not None
    assert point.mean == pytest.approx(0.45)
    assert point.std == pytest.approx(math.sqrt(0.045))
    assert point.seeds == 2
    assert pooled(seeds[4:], members[4:], np.array([99.0]), whole=2) is None
    single = pooled(seeds[:1], members[:1], np.array([0.3]), whole=1)
    assert single is not None
    assert math.isnan(single.std)


def test_a_figure_has_columns_that_average_and_cells_without_a_printed_block(own_figures: Path) -> None:
    write_figure(own_figures, "a/lines", LINES)
    layout = load_figure("a/lines")
    assert layout is not None
    assert [column.name for column in layout.columns] == ["20", "50"]
    assert layout.columns[0].members == (
        ("protocol.share=20", "protocol.normal=0"),
        ("protocol.share=20", "protocol.normal=1"),
    )
    assert len(list(layout.cells())) == 8
    typed = ["figure=a/lines", "++figure.log=true", "budget=smoke", "++protocol.normal=1"]
    assert len(asked(layout, typed, seeds=1)) == 2
    cells = expand([typed], 1, "keep=weights")
    assert len(cells) == 2
    assert all({"keep=weights", "pictures=false", "budget=smoke"} <= set(cell) for cell in cells)
    assert not any(o.lstrip("+").startswith("figure") for cell in cells for o in cell)


def test_a_figure_without_cells_needs_none(own_figures: Path) -> None:
    write_figure(own_figures, "a/none", "_target_: x.Y\n")
    assert load_figure("a/none") is None
    write_figure(own_figures, "a/broken", "_target_: x.Y\ncells: {columns: {}}\n")
    with pytest.raises(NoveltyError, match=r"figure file .*broken.yaml lacks or misplaces 'rows'"):
        load_figure("a/broken")


def test_cells_run_once_and_are_drawn_again(
    own_figures: Path,
    runs: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    write_figure(own_figures, "a/lines", LINES)
    run("figure=a/lines", *TINY, "dry_run=true")
    said = capfd.readouterr().out
    assert "4 cells: 4 missing." in said
    assert "it would be drawn into" in said
    assert not runs.exists()
    run("figure=a/lines", *TINY)
    said = capfd.readouterr().out
    assert "4 of 4 cells, 1 seed; budget smoke; data: digits (original)" in said
    folder, about, lines = drawn(runs, "a/lines")
    assert f"Figure: {folder / 'figure.png'}" in said
    assert {line["x"] for line in lines} == {"20", "50"}
    assert about["finding"] in said
    assert len(about["cells"]) == 4
    assert all((folder / cell["record"]).resolve().is_file() for cell in about["cells"])
    records = {path: path.stat().st_mtime_ns for path in runs.rglob("result.json")}
    before = {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "about.json"}
    run("figure=a/lines", *TINY)
    assert "4 cells: 4 done." in capfd.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in runs.rglob("result.json")} == records
    assert {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "about.json"} == before
    (png, svg) = (folder / "figure.png").read_bytes(), (folder / "figure.svg").read_text(encoding="utf-8")
    assert png[:4] == b"\x89PNG"
    assert "<svg" in svg
    run("figure=a/lines", *TINY, "protocol.normal=1", "protocol.share=20")
    assert "1 of 1 cells" in capfd.readouterr().out
    assert len(list((runs / "figures" / "a/lines").iterdir())) == 2


def test_what_failed_is_named_and_the_rest_is_drawn(
    own_figures: Path,
    runs: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    write_figure(own_figures, "a/lines", LINES.replace("[0, 1]}", "[0, nobody]}").replace("20, 50", "20"))
    write_figure(own_figures, "b/whole", LINES.replace("[0, 1]}", "[0]}").replace("20, 50", "20"))
    with pytest.raises(NoveltyError, match=r"1 of 2 figures failed, .*: a/lines\."):
        run("figure=all", *TINY)
    out, err = capfd.readouterr()
    assert "novelty: a/lines: 2 of 2 cells failed" not in err
    assert "novelty: a/lines: 1 of 2 cells failed" in err
    assert "nobody" in err
    assert "1 of its 2 cells are missing" in out
    assert "b/whole" in out
    assert drawn(runs, "b/whole")[2]
    assert [cell["record"] is None for cell in drawn(runs, "a/lines")[1]["cells"]] == [False, True]


WRONG = {
    "figure.metrc=f1": "figure.metrc is no option of Lines; did you mean metric?",
    "figure.metric=f2": "has no metric f2 of nll; it has normal_images",
    "figure.cells.seeds=[3]": "leave some out by their own keys",
    "figure.log=true,false": "figure.log has several values",
    "figure.panels={all:[kdf]}": "figure.panels has kdf, which is none of kde",
    "figure.printed={kde:3}": "figure.printed.kde is 3",
    "figure.values=[1] figure.scores={a:[x,y]}": "figure.scores has 2 scores for a",
    "figure.values=[1] figure.scores={a:[x]}": "give the figure a single column",
    "figure._target_=novelty.methods.kde.KDE": "which is no CellFigure",
    "seed=7": "No cell of a/lines has seed=7; there seed is one of 0, 1",
    "data=mnist": "there data is one of digits",
}


@pytest.mark.parametrize("typed", WRONG)
def test_a_mistake_is_one_sentence(typed: str, own_figures: Path, runs: Path) -> None:
    write_figure(own_figures, "a/lines", LINES)
    with pytest.raises(NoveltyError) as error:
        run("figure=a/lines", *TINY, "protocol.normal=0", "protocol.share=20", *typed.split())
    assert WRONG[typed] in str(error.value)
    assert "\n" not in str(error.value)
    assert not list(runs.rglob("figure.png"))
