"""Bars beside print, from made-up records and a made-up paper."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from figures.made_up import made_up

from novelty.errors import NoveltyError
from novelty.figures import style
from novelty.figures.bars import Bars
from novelty.tables import Layout

PAPER = """
tables:
- id: p/table
  columns: ["0", "1", "2"]
  unit_max: 100
  rows:
  - {method: ours, values: [90.0, 70.0, 50.0], mean: 70.0}
  - {method: other, values: [60.0, null, 80.0], mean: 65.0}
  - {method: third, values: [1.0, 1.0, 1.0], mean: 1.0}
"""


@pytest.fixture
def paper(own_figures: Path) -> None:
    (own_figures / "published" / "p.yaml").write_text(PAPER, encoding="utf-8")


def _rows(figure: Bars, **values: float) -> dict[tuple[str, str, str], float]:
    runs = [made_up("ours", column.lstrip("c"), 0, {"s": {"auroc": value}}) for column, value in values.items()]
    table = figure.gather(runs).tables["numbers"]
    names = zip(table["group"].tolist(), table["bar"].tolist(), table["source"].tolist(), strict=True)
    return dict(zip(names, table["value"].tolist(), strict=True))


def test_ours_stand_beside_print_as_fractions(paper: None) -> None:
    figure = Bars(published=("p/table",), beside=("other",))
    assert _rows(figure, c0=0.8, c1=0.6) == {
        ("0", "ours", "ours"): 0.8,
        ("1", "ours", "ours"): 0.6,
        ("mean", "ours", "ours"): pytest.approx(0.7),
        ("0", "ours", "printed"): 0.9,
        ("1", "ours", "printed"): 0.7,
        ("mean", "ours", "printed"): 0.7,
        ("0", "other", "printed"): 0.6,
        ("mean", "other", "printed"): 0.65,
    }


def test_columns_may_stand_without_their_mean(paper: None) -> None:
    figure = Bars(published=("p/table",), mean=False)
    assert {group for group, _, _ in _rows(figure, c0=0.8, c1=0.6)} == {"0", "1"}
    runs = [made_up("ours", column, 0, {"s": {"auroc": value}}) for column, value in (("0", 0.8), ("1", 0.6))]
    finding = figure.finding(figure.gather(runs))
    assert finding == "AUROC (0): ours 0.800 (printed 0.900); AUROC (1): ours 0.600 (printed 0.700)"


def test_the_mean_waits_for_every_column() -> None:
    runs = [made_up("ours", "0", 0, {"s": {"auroc": 0.8}}), made_up("ours", "1", 0, None)]
    table = Bars().gather(runs).tables["numbers"]
    assert table["group"].tolist() == ["0"]
    with pytest.raises(NoveltyError, match="No bar has all of its cells"):
        Bars(over="metrics").gather(runs)


def test_metrics_may_stand_along_the_axis(paper: None) -> None:
    runs = [
        made_up("ours", column, seed, {"s": {"fpr_at_tpr99": 0.2 + seed / 10, "f1": 0.5}})
        for column in "01"
        for seed in range(2)
    ]
    figure = Bars(metrics=("fpr_at_tpr99", "f1"), over="metrics")
    table = figure.gather(runs).tables["numbers"]
    assert table["value"].tolist() == pytest.approx([0.25, 0.5])
    assert table["std"].tolist() == pytest.approx([np.sqrt(0.005), 0])
    assert figure.finding(figure.gather(runs)) == "FPR at TPR 99 %: ours 0.250; F1: ours 0.500"


def test_the_finding_tells_the_mean_and_what_was_printed(paper: None) -> None:
    figure = Bars(published=("p/table",), beside=("other",), names={"ours": "Puzzle-AE", "other": "LSA"})
    runs = [made_up("ours", column, 0, {"s": {"auroc": 0.8}}) for column in "012"]
    said = figure.finding(figure.gather(runs))
    assert said == "AUROC (mean): Puzzle-AE 0.800 (printed 0.700), LSA printed 0.650"


def test_bars_are_drawn_from_the_base(paper: None) -> None:
    figure = Bars(published=("p/table",), beside=("other",), base=0.5)
    runs = [made_up("ours", column, 0, {"s": {"auroc": 0.8}}) for column in "012"]
    with style.styled():
        (axes,) = figure.draw(figure.gather(runs)).axes
    assert [patch.get_y() for patch in axes.patches] == [0.5] * 7
    assert axes.patches[0].get_height() == pytest.approx(0.3)
    assert [label.get_text() for label in axes.get_xticklabels()] == ["0", "1", "2", "mean"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"metrics": ("auroc", "f1")}, "give one, or several"),
        ({"metrics": ()}, "give one, or several"),
        ({"published": ("a", "b")}, "names 2 blocks for 1 metrics"),
    ],
)
def test_options_that_do_not_fit_are_refused(options: dict, said: str) -> None:
    with pytest.raises(NoveltyError, match=said):
        Bars(**options)


def test_rows_beside_must_be_printed(paper: None) -> None:
    layout = Layout("a/b", (), (), ())
    with pytest.raises(NoveltyError, match="has nobody, which is none of ours, other, third"):
        Bars(published=("p/table",), beside=("nobody",)).admit(layout)
    with pytest.raises(NoveltyError, match="must say of which block"):
        Bars(beside=("other",)).admit(layout)
