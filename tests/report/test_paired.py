"""Our rows against one another: ranks, Wilcoxon, Holm, and never under different conditions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from report.made_up import whole_row
from scipy import stats

from novelty.report.compare import Line, lines
from novelty.report.match import fill
from novelty.report.paired import comparable, holm, in_words, midranks, pairs, ranks, wilcoxon
from novelty.tables import Table, load_table


@pytest.fixture(scope="module")
def table() -> Table:
    return load_table("piad/table2_mnist")


def found(table: Table, *records: list[dict[str, Any]]) -> list[Line]:
    return lines(table, fill(table, [record for row in records for record in row]))


def with_classes(records: list[dict[str, Any]], values: list[float]) -> list[dict[str, Any]]:
    """Records with the value of their class, shifted by their seed."""
    for record in records:
        record["metrics"]["x"]["auroc"] = values[int(record["normal"][0])] + 0.01 * record["seed"]
    return records


def test_ranks_are_means_over_classes_and_ties_share(table: Table) -> None:
    kde = with_classes(whole_row(table, "kde"), [0.9] * 5 + [0.5] * 5)
    ocsvm = with_classes(whole_row(table, "ocsvm"), [0.8] * 4 + [0.9] + [0.6] * 5)
    placed = ranks(table, found(table, kde, ocsvm))
    assert placed == pytest.approx({"kde": (4 * 1 + 1.5 + 5 * 2) / 10, "ocsvm": (4 * 2 + 1.5 + 5 * 1) / 10})
    assert ranks(table, found(table, kde)) == {}
    assert in_words(table, found(table, kde)) == []


def test_pairs_are_tested_over_classes_after_averaging_seeds(table: Table) -> None:
    better = [0.9 + 0.001 * k for k in range(10)]
    worse = [0.85 + 0.003 * k - 0.02 * (k == 9) for k in range(10)]
    piad = with_classes(whole_row(table, "piad"), better)  # three seeds: 0.01 above in the mean
    kde = with_classes(whole_row(table, "kde"), worse)
    (pair,) = pairs(table, found(table, piad, kde))
    difference = [a + 0.01 - b for a, b in zip(better, worse, strict=True)]
    assert (pair.first, pair.second, pair.units) == ("piad", "kde", 10)
    assert pair.difference == pytest.approx(sum(difference) / 10)
    assert pair.p == pytest.approx(stats.wilcoxon(difference).pvalue)
    assert pair.p < 0.01
    said = in_words(table, found(table, piad, kde))
    assert said[0] == (
        "Our rows against one another (budget full; data original): "
        "mean rank over 10 classes that all of them have: piad 1.0, kde 2.0."
    )
    assert said[1].startswith("piad - kde: +0.0")
    assert "p = 0.00" in said[1]


def test_few_classes_give_a_difference_and_no_p(table: Table) -> None:
    some = [r for r in whole_row(table, "kde") if int(r["normal"][0]) < 5]
    (pair,) = pairs(table, found(table, some, whole_row(table, "ocsvm", 0.8)))
    assert (pair.units, pair.p) == (5, None)
    assert pair.difference == pytest.approx(0.1)


def test_other_budgets_and_other_images_are_not_held_against_each_other(table: Table) -> None:
    kde, ocsvm = whole_row(table, "kde"), whole_row(table, "ocsvm", 0.8)
    smoke = whole_row(table, "piad", 0.99, config__budget__scale=0.5, config__method__iterations=25_000)
    assert set(comparable(found(table, kde, ocsvm, smoke))) == {"kde", "ocsvm"}
    other = whole_row(table, "ocsvm", 0.8, data__digest="other")
    assert pairs(table, found(table, kde, other)) == []
    half = [r for r in other if int(r["normal"][0]) < 7]
    (pair,) = pairs(table, found(table, kde, half, [r for r in ocsvm if int(r["normal"][0]) > 5]))
    assert pair.units == 4  # classes 6 to 9, the line of ocsvm that begins elsewhere
    newest = [
        r | {"evaluated": "2026-01-02T00:00:00+00:00"} for r in whole_row(table, "kde", 0.7, data__digest="other")
    ]
    (pair,) = pairs(table, found(table, kde, newest, ocsvm, other))
    assert (pair.units, pair.difference) == (10, pytest.approx(-0.1))  # a class that both have twice counts once


@pytest.mark.parametrize(
    "changes",
    [
        {"config__hardware__precision": "bf16-mixed"},
        {"processes": 2},
        {"versions": {"framework": 2, "method": 1, "metrics": 1}},
        {"versions": {"framework": 1, "method": 1, "metrics": 2}},
        {"data__copy": "JPEG"},
        {"config__budget__max_test": 200},
    ],
)
def test_rows_under_other_conditions_are_not_tested(table: Table, changes: dict[str, Any]) -> None:
    columns = ("0", "1", "2")
    kde, ocsvm = (whole_row(table, row, columns=columns) for row in ("kde", "ocsvm"))
    assert len(pairs(table, found(table, kde, ocsvm))) == 1
    assert pairs(table, found(table, kde, whole_row(table, "ocsvm", columns=columns, **changes))) == []


def test_the_published_length_counts_before_the_number_of_rows(table: Table) -> None:
    columns, smoke = ("0", "1"), {"config__budget__name": "smoke", "config__budget__max_train": 256}
    short = [whole_row(table, row, 0.5, columns, **smoke) for row in ("kde", "ocsvm", "piad")]
    whole = [whole_row(table, row, 0.9, columns) for row in ("kde", "ocsvm")]
    assert set(comparable(found(table, *short, *whole))) == {"kde", "ocsvm"}
    assert "(budget full; data original)" in in_words(table, found(table, *short, *whole))[0]
    alone = found(table, *short, whole[0])
    assert set(comparable(alone)) == {"kde", "ocsvm", "piad"}
    assert "(budget smoke (256 training images); data original)" in in_words(table, alone)[0]


def test_of_a_row_in_two_versions_the_newer_counts(table: Table) -> None:
    old, other = (whole_row(table, row, 0.9, ("0", "1", "2")) for row in ("kde", "ocsvm"))
    new = whole_row(table, "kde", 0.5, ("0", "1"), versions={"framework": 1, "method": 2, "metrics": 1})
    (pair,) = pairs(table, found(table, old, new, other))
    assert (pair.units, pair.difference) == (2, pytest.approx(-0.4))


def test_pairs_are_told_where_all_rows_share_nothing(table: Table) -> None:
    kde = whole_row(table, "kde", columns=[str(k) for k in range(1, 10)])
    said = in_words(table, found(table, kde, whole_row(table, "ocsvm", 0.8), whole_row(table, "piad", columns=["0"])))
    assert said[0].endswith("no class that all of them have, so no ranks.")
    assert any(note.startswith("kde - ocsvm: +0.1 in the mean of 9 classes (p = 0.00") for note in said)
    assert any(note == "piad - ocsvm: +0.11 in the mean of 1 class (too few for a test)." for note in said)


def test_columns_with_images_of_their_own_are_classes() -> None:
    mvtec, columns = load_table("puzzle_ae/table2_mvtec_ad"), ("bottle", "cable", "capsule")
    values = {"auroc": 0.8, "auroc_mean_last_20": 0.8}
    puzzle = whole_row(mvtec, "puzzle_ae", columns=columns, metrics__x=values)
    plain = whole_row(mvtec, "ae_l2", columns=columns, metrics={"squared_error": values}, primary="squared_error")
    (pair,) = pairs(mvtec, found(mvtec, puzzle, plain))
    assert pair.units == 3


@pytest.mark.parametrize(
    ("given", "expected"),
    [([], []), ([0.01, 0.04, 0.03], [0.03, 0.06, 0.06]), ([0.5, 0.6], [1.0, 1.0]), ([0.001, 0.001], [0.002, 0.002])],
)
def test_holm(given: list[float], expected: list[float]) -> None:
    assert holm(given) == pytest.approx(expected)


@pytest.mark.parametrize("seed", range(5))
def test_wilcoxon_is_that_of_scipy_where_nothing_ties(seed: int) -> None:
    difference = np.random.default_rng(seed).normal(0.3, 1, size=6 + 5 * seed)
    assert wilcoxon(difference) == pytest.approx(stats.wilcoxon(difference, method="exact").pvalue, abs=1e-12)


def test_wilcoxon_counts_every_throw_of_signs_where_ranks_tie() -> None:
    difference = np.array([0.1, 0.1, -0.1, 0.2, 0.2, 0.3, 0.0])
    ranks_of = stats.rankdata(np.abs(difference[:-1]))
    sums = [sum(r for k, r in enumerate(ranks_of) if throw >> k & 1) for throw in range(2**6)]
    seen = ranks_of[difference[:-1] > 0].sum()
    low = min(seen, sum(ranks_of) - seen)
    assert wilcoxon(difference) == pytest.approx(min(1.0, 2 * np.mean([total <= low for total in sums])))
    assert wilcoxon(np.zeros(8)) == 1.0


def test_midranks() -> None:
    values = np.array([3.0, 1.0, 3.0, 2.0, 3.0])
    assert midranks(values).tolist() == stats.rankdata(values).tolist()
