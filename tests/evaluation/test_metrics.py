"""Metrics against scikit-learn and brute force, and the oracles of the fact sheet "protocols", sections 12 and 13."""

from __future__ import annotations

import json
import time

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score

from novelty.errors import NoveltyError
from novelty.evaluation import counts as formulas
from novelty.evaluation import metrics
from novelty.evaluation.evaluation import Evaluation, percent

Sample = tuple[np.ndarray, np.ndarray]


@st.composite
def samples(draw: st.DrawFn) -> Sample:
    """Scores with many ties, or none, and flags of both kinds."""
    value = draw(st.sampled_from([st.integers(0, 3).map(float), st.floats(-1e6, 1e6)]))
    pairs = draw(st.lists(st.tuples(value, st.booleans()), min_size=2, max_size=40))
    scores, novel = (np.array(column) for column in zip(*pairs, strict=True))
    assume(novel.any() and not novel.all())
    return scores, novel


def gaussian(size: int = 2000, share: float = 0.5) -> Sample:
    rng = np.random.default_rng(0)
    novel = rng.random(size) < share
    return rng.normal(size=size) + novel, novel


@given(samples())
def test_agrees_with_scikit_learn(sample: Sample) -> None:
    scores, novel = sample
    assert metrics.auroc(scores, novel) == pytest.approx(roc_auc_score(novel, scores), abs=1e-12)
    assert metrics.average_precision(scores, novel) == pytest.approx(average_precision_score(novel, scores), abs=1e-12)
    for threshold in (-1.0, 1.0, 1.5, 1e7):
        called = scores >= threshold
        expected = f1_score(novel, called, zero_division=0)
        assert metrics.f1(scores, novel, threshold) == pytest.approx(expected, abs=1e-12)
        inverse = f1_score(~novel, ~called, zero_division=0)
        assert metrics.f1(scores, novel, threshold, "normal") == pytest.approx(inverse, abs=1e-12)


@given(samples(), st.sampled_from([0.25, 0.5, 0.55, 0.95, 1.0]))
def test_fpr_at_tpr_is_the_smallest_over_thresholds(sample: Sample, tpr: float) -> None:
    scores, novel = sample
    rates = [((scores[novel] >= t).mean(), (scores[~novel] >= t).mean()) for t in scores]
    assert metrics.fpr_at_tpr(scores, novel, tpr) == min(false for true, false in rates if true >= tpr)


@given(samples(), st.sampled_from(["novel", "normal"]))
def test_best_f1_is_the_best_over_thresholds(sample: Sample, positive: str) -> None:
    scores, novel = sample
    over = [metrics.f1(scores, novel, t, positive) for t in (*scores, np.inf)]
    assert metrics.best_f1(scores, novel, positive) == pytest.approx(max(over), abs=1e-12)


@given(samples())
def test_reversed_flags_give_the_complement(sample: Sample) -> None:
    scores, novel = sample
    assert metrics.auroc(scores, ~novel) == pytest.approx(1 - metrics.auroc(scores, novel), abs=1e-12)
    assert metrics.auroc(-scores, novel) == pytest.approx(1 - metrics.auroc(scores, novel), abs=1e-12)


def test_oracles() -> None:
    novel = np.array([False, False, False, True, True])
    assert metrics.auroc(np.array([0, 1, 1, 1, 2]), novel) == pytest.approx(5 / 6)
    assert metrics.auroc(np.zeros(5), novel) == 0.5
    # Energy-projection sheet, oracle 10: pixels of two images pooled.
    assert metrics.auroc(np.array([0, 1, 0, 1]), np.array([False, True, False, False])) == pytest.approx(5 / 6)


def test_fpr_at_tpr_meets_a_rate_that_rounds_badly() -> None:
    assert 0.55 * 100 > 55  # so a product would ask for a 56th novel image
    scores, novel = np.r_[np.arange(100.0), 44.5], np.r_[np.ones(100, bool), False]
    assert metrics.fpr_at_tpr(scores, novel, 0.55) == 0
    assert metrics.fpr_at_tpr(scores, novel, 0.56) == 1


def test_no_sigmoid_trap() -> None:
    """torchmetrics squashes scores outside [0, 1] in float32: 0.752 became 0.500 with 30 added to every score."""
    scores, novel = gaussian()
    value = metrics.auroc(scores, novel)
    assert value == pytest.approx(0.76, abs=0.02)
    for moved in (scores + 30, scores - 1e3, scores * 1e6, scores.astype(np.float32).astype(np.float64) + 1e4):
        assert metrics.auroc(moved, novel) == pytest.approx(value, abs=1e-6)


def test_normal_threshold_lets_at_most_the_rest_alarm() -> None:
    normal = np.arange(1.0, 101.0)
    threshold = metrics.normal_threshold(normal, 0.95)
    assert (normal >= threshold).sum() == 5
    tied = np.r_[np.zeros(95), np.ones(5)]
    assert (tied >= metrics.normal_threshold(tied, 0.95)).sum() == 5
    assert (tied >= metrics.normal_threshold(tied, 1.0)).sum() == 0


def test_bootstrap_matches_delong_and_is_fast() -> None:
    scores, novel = gaussian(10_000, 0.9)
    start = time.process_time()
    low, high = metrics.bootstrap(scores, novel, {"auroc": formulas.auroc})["auroc"]
    assert time.process_time() - start < 2
    value = metrics.auroc(scores, novel)
    # DeLong's variance from the shares of the other kind that each image beats (no ties here).
    beats_normal = np.searchsorted(np.sort(scores[~novel]), scores[novel]) / (~novel).sum()
    beaten_by_novel = 1 - np.searchsorted(np.sort(scores[novel]), scores[~novel]) / novel.sum()
    error = np.sqrt(beats_normal.var() / novel.sum() + beaten_by_novel.var() / (~novel).sum())
    assert low == pytest.approx(value - 1.96 * error, abs=0.2 * error)
    assert high == pytest.approx(value + 1.96 * error, abs=0.2 * error)


def test_bootstrap_counts_are_those_of_redrawn_images() -> None:
    scores, novel = gaussian(200)
    seen: list[formulas.Counts] = []

    def keep(counts: formulas.Counts) -> np.ndarray:
        seen.append(counts)
        return np.zeros(len(counts.novel))

    metrics.bootstrap(scores, novel, {"keep": keep}, resamples=30)
    drawn_novel, drawn_normal = (np.concatenate([getattr(c, name) for c in seen]) for name in ("novel", "normal"))
    assert drawn_novel.shape == drawn_normal.shape == (30, 200)
    assert (drawn_novel.sum(1) == novel.sum()).all()
    assert (drawn_normal.sum(1) == (~novel).sum()).all()
    falling = novel[np.argsort(-scores)]
    assert not drawn_novel[:, ~falling].any()
    assert not drawn_normal[:, falling].any()


def test_evaluation_is_plain_seeded_and_complete() -> None:
    scores, novel = gaussian()
    result = Evaluation()(scores, novel, scores[~novel])
    assert json.loads(json.dumps(result)) == result == Evaluation()(scores, novel, scores[~novel])
    for name in ("auroc", "average_precision", "fpr_at_tpr95", "fpr_at_tpr99", "fpr_at_tpr995", "f1"):
        low, high = result[f"{name}_interval"]
        assert low <= result[name] <= high
    assert result["f1"] == metrics.f1(scores, novel, result["threshold"]) <= result["f1_oracle"]
    assert (result["normal_images"], result["novel_images"]) == ((~novel).sum(), novel.sum())
    assert result["auroc_interval"] != Evaluation(seed=1)(scores, novel)["auroc_interval"]
    bare = Evaluation(bootstrap=0, tpr=[0.9])(scores, novel)
    assert set(bare) == {"auroc", "average_precision", "fpr_at_tpr90", "f1_oracle", "normal_images", "novel_images"}


@pytest.mark.parametrize(("rate", "name"), [(0.95, "95"), (0.995, "995"), (0.9, "90"), (1.0, "100"), (0.05, "05")])
def test_percent(rate: float, name: str) -> None:
    assert percent(rate) == name


def test_bad_input_is_named() -> None:
    scores, novel = gaussian(10)
    with pytest.raises(NoveltyError, match="All 10 test images are normal"):
        metrics.auroc(scores, np.zeros(10, bool))
    with pytest.raises(NoveltyError, match="All 10 test images are novel"):
        Evaluation()(scores, np.ones(10, bool))
    broken = scores.copy()
    broken[[1, 4, 7]] = np.nan, np.inf, -np.inf
    with pytest.raises(NoveltyError, match="3 of 10 scores are not finite"):
        metrics.auroc(broken, novel)
    with pytest.raises(NoveltyError, match="3 of 10 scores of normal images are not finite"):
        metrics.normal_threshold(broken)
    with pytest.raises(NoveltyError, match="10 booleans"):
        metrics.auroc(scores, novel.astype(int))
    with pytest.raises(NoveltyError, match="10 booleans"):
        metrics.auroc(scores, novel[:5])
    for wrong in ({"bootstrap": -1}, {"confidence": 1.0}, {"quantile": 0.0}, {"tpr": [1.5]}):
        with pytest.raises(NoveltyError, match=next(iter(wrong))):
            Evaluation(**wrong)
