"""The HTML report's sections: those of the dashboard, drawn from what runs left beside their records."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from report.made_up import whole_row, written
from sklearn.metrics import roc_auc_score, roc_curve

from novelty.dashboard.building import dashboard_of
from novelty.report import sections
from novelty.report.__main__ import _main
from novelty.report.compare import lines
from novelty.report.match import fill
from novelty.report.sections import RATES, Shown, sections_of
from novelty.results.records import read_all, write_arrays
from novelty.tables import load_table

NAME = "piad/table2_mnist"
STEPS = np.arange(0, 50, 10)


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Two rows of a table; of the first the raw scores of one record, logs of two and a page of another are there."""
    table = load_table(NAME)
    records = [r for row in ("piad", "kde") for r in whole_row(table, row)]
    written(tmp_path, records)
    rng = np.random.default_rng(0)
    novel = rng.random(60) < 0.5
    folder = tmp_path / "piad" / "mnist" / "t0"
    write_arrays(folder / "e" / "scores.npz", novel=novel, **{"score/x": rng.normal(size=60) + novel})
    (folder.parent / "t1" / "e" / "scores.npz").write_text("half of one")
    for training, loss in ((folder, 1.0), (folder.parent / "t1", 3.0)):
        (training / "logs" / "csv").mkdir(parents=True)
        rows = "\n".join(f"{step},{loss},0.5" for step in STEPS)
        (training / "logs" / "csv" / "metrics.csv").write_text(f"step,loss/critic,weight/x\n{rows}\n")
    (folder.parent / "t2" / "e" / "page.html").touch()
    return tmp_path


def shown(runs: Path) -> dict[str, Shown]:
    """The sections by heading."""
    table = load_table(NAME)
    found = lines(table, fill(table, read_all(runs)))
    return {one.title: one for one in sections_of(dashboard_of(table), found)}


def test_the_sections_are_those_of_the_dashboard_and_say_what_they_rest_on(runs: Path) -> None:
    found = shown(runs)
    assert list(found) == [s.title for s in dashboard_of(load_table(NAME)).sections if s.title != "Results"]
    assert "1 of 40 records have their raw scores here" in found["ROC"].said
    assert "2 of 40 trainings have their logs here" in found["Training"].said
    assert "1 of 40 records were drawn with pictures=true" in found["Pictures"].said
    assert found["Pictures"].drawing is None
    assert found["Cost"].said == "Mean over runs, on a box, 2 cores."


def test_a_roc_curve_is_that_of_the_raw_scores(runs: Path) -> None:
    drawing = shown(runs)["ROC"].drawing
    assert drawing is not None
    (axes,) = drawing.axes
    assert axes.get_title(loc="left") == "0"
    with np.load(runs / "piad" / "mnist" / "t0" / "e" / "scores.npz") as arrays:
        scores, novel = arrays["score/x"], arrays["novel"]
    line, _chance = axes.lines
    x, y = line.get_data()
    assert (x[0], y[0], x[-1], y[-1]) == (0, 0, 1, 1)
    false, true, _ = roc_curve(novel, scores, drop_intermediate=False)
    np.testing.assert_allclose(y[1:], np.interp(RATES, false, true))
    assert np.trapezoid(y, x) == pytest.approx(roc_auc_score(novel, scores), abs=0.02)


def test_curves_of_the_training_are_means_over_runs_with_their_range(runs: Path) -> None:
    drawing = shown(runs)["Training"].drawing
    assert drawing is not None
    (axes,) = drawing.axes  # weight/x is none of the dashboard's
    assert axes.get_title(loc="left") == "loss/critic"
    (line,) = axes.lines
    assert line.get_xdata().tolist() == STEPS.tolist()
    assert line.get_ydata().tolist() == [2.0] * len(STEPS)
    (band,) = axes.collections
    assert (band.get_paths()[0].vertices[:, 1].min(), band.get_paths()[0].vertices[:, 1].max()) == (1, 3)


def test_seconds_are_bars_a_row(runs: Path) -> None:
    drawing = shown(runs)["Cost"].drawing
    assert drawing is not None
    widths = {axes.get_title(loc="left"): [bar.get_width() for bar in axes.patches] for axes in drawing.axes}
    assert widths == {"Seconds of training": [8, 8], "Seconds of scoring": [2, 2]}


def test_runs_of_unlike_length_are_averaged_where_all_have_been() -> None:
    steps = np.arange(0, 10_000, 10.0)
    joined = sections._joined([(steps, steps), (steps[:600], 3 * steps[:600]), (steps[:0], steps[:0])])
    assert joined.shape[1] <= sections.POINTS
    assert (joined[0, 0], joined[0, -1]) == (0, 5990)
    np.testing.assert_allclose(joined[1], 2 * joined[0])


def test_the_page_has_them_and_other_formats_do_not_wait_for_them(
    runs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["report", f"table={NAME}", f"runs={runs}", "format=html"])
    _main()
    page = capsys.readouterr().out
    assert [f"<h3>{title}</h3>" in page for title in ("ROC", "Training", "Pictures", "Cost")] == [True] * 4
    assert page.count("data:image/svg+xml;base64,") == 4
    assert len(page) < 1_000_000
    monkeypatch.setattr("novelty.report.__main__._shown", lambda *_: pytest.fail("drawn for nobody"))
    monkeypatch.setattr("sys.argv", ["report", f"table={NAME}", f"runs={runs}", "format=csv"])
    _main()
    assert "0.9" in capsys.readouterr().out


def test_without_scores_and_logs_there_are_bars_alone(tmp_path: Path) -> None:
    written(tmp_path, whole_row(load_table(NAME), "kde"))
    assert list(shown(tmp_path)) == ["Cost"]
