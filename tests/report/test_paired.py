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
    assert said[0] == "Our rows, mean rank over 10 shared classes: piad 1.0, kde 2.0."
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
