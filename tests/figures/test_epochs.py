"""Curves over epochs, from made-up records."""

from __future__ import annotations

import numpy as np
import pytest
from figures.made_up import made_up

from novelty.errors import NoveltyError
from novelty.figures import style
from novelty.figures.epochs import Epochs, curve_of
from novelty.tables import Column, Layout, Row

CURVE = {"epoch": [1, 2, 3], "step": [10, 20, 30], "auroc": {"min": [0.5, 0.6, 0.7], "avg": [0.6, None, 0.8]}}


def test_every_watched_score_is_a_line_with_a_band_over_seeds() -> None:
    other = {**CURVE, "auroc": {"min": [0.7, 0.8, 0.7], "avg": [0.8, 0.9, 0.8]}}
    runs = [made_up("a", "8", seed, {"avg": {}}, curve=curve) for seed, curve in enumerate((CURVE, other))]
    figure = Epochs(last=2, names={"8": "digit 8"})
    numbers = figure.gather(runs)
    table = numbers.tables["numbers"]
    epochs, mean, std = curve_of(table, "digit 8", "min")
    assert epochs.tolist() == [1, 2, 3]
    assert mean.tolist() == pytest.approx([0.6, 0.7, 0.7])
    assert std.tolist() == pytest.approx([0.1414, 0.1414, 0], abs=1e-4)
    assert curve_of(table, "digit 8", "avg")[0].tolist() == [1, 3]
    said = figure.finding(numbers)
    assert "last 2 epochs, mean of digit 8: min 0.700, moving by at most 0.000; avg 0.750" in said


def test_panels_are_the_columns_and_lines_are_named_once() -> None:
    runs = [made_up("a", column, 0, {"avg": {}}, curve=CURVE) for column in "2468"]
    figure = Epochs(scores=("min",))
    with style.styled():
        drawing = figure.draw(figure.gather(runs))
    assert [axes.get_title(loc="left") for axes in drawing.axes] == list("2468")
    assert [[text.get_text() for text in axes.texts] for axes in drawing.axes] == [[], [], [], ["min"]]
    assert len({axes.get_ylim() for axes in drawing.axes}) == 1


def test_a_single_seed_has_no_band() -> None:
    numbers = Epochs().gather([made_up("a", "2", 0, {"avg": {}}, curve=CURVE)])
    assert np.isnan(curve_of(numbers.tables["numbers"], "2", "min")[2]).all()


def test_a_record_without_a_curve_says_what_is_missing() -> None:
    with pytest.raises(NoveltyError, match="need evaluation=stability"):
        Epochs().gather([made_up("a", "2", 0, {"avg": {}})])
    with pytest.raises(NoveltyError, match=r"figure\.scores has max, which is none of min, avg"):
        Epochs(scores=("max",)).gather([made_up("a", "2", 0, {"avg": {}}, curve=CURVE)])


def test_a_column_shows_one_cell() -> None:
    layout = Layout("a/b", (Row("a", (), (0,)),), (Column("x", (("n=0",), ("n=1",))),), ())
    with pytest.raises(NoveltyError, match="averages several cells"):
        Epochs().admit(layout)
