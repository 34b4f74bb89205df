"""The pictures of a run and its page: what is on them, and that the page stands alone."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cells import plan, quiet, run
from data.fakes.mvtec_ad import write_mvtec_ad
from figures.drawing import trained_runs
from PIL import Image

from novelty.config import compose_cell, open_overrides
from novelty.pictures.extremes import ends
from novelty.pictures.localisation import localisation
from novelty.pictures.page import CAPTIONS, page
from novelty.pictures.ranking import curves, histogram
from novelty.pictures.training import read_log, training
from novelty.training.cell import run_cell
from novelty.training.plan import make_plan

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a done evaluation with everything drawn."""
    typed = ("method=autoencoder", "pictures=true", "logger=csv", "method.epochs=20")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NOVELTY_RUNS", str(tmp_path_factory.mktemp("runs")))
        run(*typed)
        return plan(*typed).record.result.parent


def test_every_picture_is_there_twice(drawn: Path) -> None:
    found = {path.name for path in (drawn / "pictures").iterdir()}
    for name in ("ranking", "histogram", "extremes", "sheet", "training"):
        assert {f"{name}.png", f"{name}.svg"} <= found
        with Image.open(drawn / "pictures" / f"{name}.png") as image:
            assert image.width >= 600
            assert len(image.convert("L").getcolors(256) or []) > 2  # not blank


def test_the_page_stands_alone_and_says_what_the_record_says(drawn: Path) -> None:
    text = (drawn / "page.html").read_text(encoding="utf-8")
    record = json.loads((drawn / "result.json").read_text(encoding="utf-8"))
    assert not re.search(r"(src|href)=\"(?!data:)", text)
    assert "url(" not in text
    assert text.count("<img") == 5
    for metrics in record["metrics"].values():
        assert f"{metrics['auroc']:.4f}" in text
    assert record["keys"]["training"] in text
    assert "latent: " in text  # an option that nobody typed
    assert str(Path.home()) not in text  # paths are of the machine, not of the run


def test_the_page_escapes_what_people_typed(drawn: Path) -> None:
    record = json.loads((drawn / "result.json").read_text(encoding="utf-8"))
    record |= {"normal": ["<script>alert(1)</script>"], "command": 'python "<b>"'}
    text = page(record, drawn / "pictures")
    assert "<script" not in text
    assert "&lt;b&gt;" in text


@pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine")
def test_the_page_opens_in_a_browser(drawn: Path, tmp_path: Path) -> None:
    def browse(*wanted: str) -> str:
        options = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
        address = (drawn / "page.html").as_uri()
        return subprocess.run(
            [str(BROWSER), *options, f"--user-data-dir={tmp_path / 'profile'}", *wanted, address],
            capture_output=True, text=True, timeout=120, check=True,
        ).stdout  # fmt: skip

    assert "AUROC" in browse("--dump-dom")
    browse(f"--screenshot={tmp_path / 'page.png'}", "--window-size=1000,2600")
    with Image.open(tmp_path / "page.png") as image:
        shown = np.asarray(image.convert("L"))
    assert (shown[1200:] < 128).mean() > 0.005  # pictures further down are drawn, not broken links


def test_the_ends_of_a_ranking() -> None:
    scores = np.array([0.1, 0.9, 0.5, 0.5, 0.2])
    novel = np.array([False, True, True, False, True])
    found = {name: places.tolist() for name, places in ends(scores, novel, across=2).items()}
    assert found == {
        "novel, highest scores": [1, 2],
        "novel, lowest scores": [4, 2],
        "normal, lowest scores": [0, 3],
        "normal, highest scores": [3, 0],
    }


def test_the_roc_curve_passes_through_its_points() -> None:
    scores, novel = np.array([3.0, 2, 2, 1]), np.array([True, True, False, False])
    drawing = curves(scores, novel, {"auroc": 0.875, "average_precision": 5 / 6})
    roc = drawing.axes[0].lines[1].get_xydata()
    np.testing.assert_allclose(roc, [(0, 0), (0, 0.5), (0.5, 1), (1, 1)])
    assert "AUROC 0.875" in drawing.axes[0].get_title(loc="left")


@pytest.mark.parametrize("scores", [np.zeros(4), np.array([0.0, 1, 2, 1e9]), np.array([-1e30, 0, 1e30, 5])])
def test_histograms_take_any_finite_scores(scores: np.ndarray, tmp_path: Path) -> None:
    drawing = histogram("x", scores, np.array([False, True, False, True]), 0.5)
    for patch in drawing.axes[0].patches:
        values: Any = patch.get_data().values  # type: ignore[attr-defined]
        assert values.sum() == pytest.approx(1)
    drawing.savefig(tmp_path / "x.png")


def test_a_log_that_was_cut_is_joined(tmp_path: Path) -> None:
    (tmp_path / "metrics.1.csv").write_text("epoch,loss/a,step\n0,1.0,9\n0,2.0,19\n")
    (tmp_path / "metrics.csv").write_text("epoch,loss/a,step,weight/w\n0,3.0,19,\n1,4.0,29,0.5\n")
    log = read_log(tmp_path)
    assert [values.tolist() for values in log["loss/a"]] == [[9, 19, 29], [1, 3, 4]]
    assert log["weight/w"][1].tolist() == [0.5]
    drawing = training(log, {"step": [30], "epoch": [1], "auroc": {"mse": [0.7]}})
    assert drawing is not None
    assert len(drawing.axes) == 3
    broken = training(log, {"step": [10, 20, 30], "epoch": [1, 2, 3], "auroc": {"mse": [0.6, None, 0.7]}})
    assert broken is not None  # an epoch without finite scores is a gap
    assert np.isnan(np.asarray(broken.axes[-1].lines[0].get_ydata())).tolist() == [False, True, False]
    assert training({}) is None


def test_maps_are_laid_over_marked_defects(tmp_path: Path, runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOVELTY_DATA", str(tmp_path))
    write_mvtec_ad(tmp_path / "mvtec_ad", "screw")
    typed = ("data=mvtec_ad", "data.source.category=screw", "data.image_size=32", "evaluation=pixel")
    small = ("method=autoencoder", "method.epochs=1", "pictures=true", "budget=smoke", "hardware=cpu", "logger=none")
    record = run_cell(make_plan(*compose_cell(open_overrides([*typed, *small]))), "test", quiet())
    folder = Path(next(runs.rglob("result.json"))).parent
    with Image.open(folder / "pictures" / "overlays.png") as image:
        assert image.width > 600
        blue = (np.abs(np.asarray(image.convert("RGB")).astype(int) - (0, 114, 178)).sum(2) < 30).sum()
    assert blue > 50  # the contour of the ground truth
    text = (folder / "page.html").read_text(encoding="utf-8")
    assert CAPTIONS["overlays"] in text
    assert record["primary"] in record["metrics"]


def test_without_masks_nothing_is_laid_over(runs: Path) -> None:
    plain = trained_runs()[0]
    assert plain.load is not None
    assert localisation(plain.load(), "mse") is None
