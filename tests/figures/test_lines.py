"""Lines of metrics against swept values, from made-up records."""

from __future__ import annotations

from dataclasses import replace

import pytest
from figures.made_up import made_up

from novelty.errors import NoveltyError
from novelty.figures import style
from novelty.figures.lines import Lines, _labels, points_of
from novelty.tables import Column, Layout, Row


def test_a_line_is_the_mean_of_classes_and_its_band_the_spread_of_seeds() -> None:
    values = {0: (0.8, 0.6), 1: (0.9, 0.9)}
    runs = [
        made_up("crbnd", "10", seed, {"avg": {"f1": value}}, member=(f"protocol.normal={number}",))
        for seed, pair in values.items()
        for number, value in enumerate(pair)
    ]
    numbers = Lines(metric="f1").gather(runs)
    table = numbers.tables["numbers"]
    assert list(table) == ["row", "line", "x", "seed", "member", "members", "value"]
    point = points_of(table, "crbnd", "")[10.0]
    assert point.mean == pytest.approx(0.8)
    assert point.std == pytest.approx(0.1414, abs=1e-4)
    assert "crbnd F1 0.800 ± 0.141 at 10; 2 seeds" in Lines(metric="f1").finding(numbers)


def test_points_without_all_of_their_classes_are_left_out_and_counted() -> None:
    runs = [
        made_up("a", "1", 0, {"s": {"auroc": 0.5}}, member=("n=0",)),
        made_up("a", "1", 0, None, member=("n=1",)),
        made_up("a", "2", 0, {"s": {"auroc": 0.7}}, member=("n=0",)),
        made_up("a", "2", 0, {"s": {"auroc": 0.9}}, member=("n=1",)),
    ]
    numbers = Lines().gather(runs)
    assert list(points_of(numbers.tables["numbers"], "a", "")) == [2.0]
    assert "a AUROC 0.800 at 2; 1 seed; 1 points still lack cells" in Lines().finding(numbers)


def test_scores_of_one_record_make_lines_of_their_own() -> None:
    metrics = {"max": {"auroc": 0.9}, "max@fgsm-0.1": {"auroc": 0.6}, "max@fgsm-0.1:permuted": {"auroc": 0.7}}
    figure = Lines(
        values=(0.0, 0.1),
        scores={"image": ("max", "max@fgsm-0.1"), "puzzle": ("max", "max@fgsm-0.1:permuted")},
        names={"puzzle": "attack on the puzzle"},
    )
    numbers = figure.gather([made_up("puzzle_ae", "8", 0, metrics)])
    assert points_of(numbers.tables["numbers"], "puzzle_ae", "puzzle")[0.1].mean == 0.7
    assert "attack on the puzzle AUROC 0.900 at 0 and 0.700 at 0.1" in figure.finding(numbers)
    with pytest.raises(NoveltyError, match=r"no score max@fgsm-0\.1:permuted"):
        figure.gather([made_up("puzzle_ae", "8", 0, {name: metrics[name] for name in list(metrics)[:2]})])


def test_several_metrics_of_a_row_are_lines_of_their_own() -> None:
    figure = Lines(metric="f1", metrics={"fixed": "f1", "oracle": "f1_oracle"})
    numbers = figure.gather([made_up("crbnd", "10", 0, {"max": {"f1": 0.5, "f1_oracle": 0.75}})])
    table = numbers.tables["numbers"]
    assert list(zip(table["line"], table["value"], strict=True)) == [("fixed", 0.5), ("oracle", 0.75)]
    with pytest.raises(NoveltyError, match=r"figure\.scores and figure\.metrics both name the lines"):
        Lines(metrics={"a": "f1"}, scores={"b": ["max"]}, values=[1])


def test_columns_must_be_numbers() -> None:
    layout = Layout("a/b", (Row("a", (), (0,)),), (Column("cat", ((),)),), ())
    with pytest.raises(NoveltyError, match="cat is no number"):
        Lines().admit(layout)
    layout = replace(layout, columns=(Column("0", ((),)),))
    Lines().admit(layout)
    with pytest.raises(NoveltyError, match=r"figure\.log is true and a column is 0"):
        Lines(log=True).admit(layout)


def test_labels_of_values_do_not_touch() -> None:
    assert _labels([0.0625, 1 / 12, 0.125, 0.25, 0.5, 1.0], log=True) == ["0.0625", "", "0.125", "0.25", "0.5", "1"]
    assert _labels([10.0, 20.0, 30.0], log=False) == ["10", "20", "30"]
    assert _labels([8.0], log=True) == ["8"]


def test_panels_references_and_prints_are_drawn() -> None:
    rows = {"one": 0.9, "two": 0.8, "three": 0.7}
    runs = [made_up(row, x, 0, {"s": {"auroc": top - float(x) / 100}}) for row, top in rows.items() for x in ("1", "4")]
    figure = Lines(
        x="share", log=True, panels={"left": ("one", "two"), "right": ("three",), "empty": ("four",)},
        references={"chance": {1: 0.5, 4: 0.5, 9: 0.5}}, printed={"one": {4: 0.95}},
    )  # fmt: skip
    numbers = figure.gather(runs)
    with style.styled():
        drawing = figure.draw(numbers)
    left, right = drawing.axes
    assert (left.get_title(loc="left"), right.get_title(loc="left")) == ("left", "right")
    assert left.get_xscale() == "log"
    named = {text.get_text() for text in left.texts}
    assert named == {"one", "two", "one, printed", "chance"}
    chance = next(line for line in left.lines if list(line.get_ydata()) == [0.5, 0.5])
    assert list(chance.get_xdata()) == [1.0, 4.0]
