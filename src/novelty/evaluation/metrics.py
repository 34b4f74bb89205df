"""Metrics of image scores: pure functions of raw scores (n,) and flags ``novel`` (n,) bool, novel = positive.

Scores are taken as they are, in float64: nothing is clamped, squashed or normalised before ranking, so every ranking
metric is unchanged by any strictly rising transform of the scores. All functions raise `NoveltyError` for scores that
are not finite, for lengths that differ, and for a test set with normal images only or novel images only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from novelty.errors import NoveltyError
from novelty.evaluation import counts as formulas
from novelty.evaluation.counts import Counts, Positive

VERSION: int = 1
"""Bumped by hand when the definition of a metric changes: it is part of the evaluation key."""

_CHUNK = 2**19  # counts per round of the bootstrap: small enough for the processor's cache


def finite(scores: np.ndarray, name: str = "scores") -> np.ndarray:
    """``scores`` as float64 (n,); NoveltyError where there are none, or some are not finite (it says how many)."""
    values = np.asarray(scores, dtype=np.float64)
    if values.ndim != 1 or not len(values):
        raise NoveltyError(f"{name}: expected a list of at least one number, got shape {values.shape}.")
    wrong = len(values) - int(np.isfinite(values).sum())
    if wrong:
        raise NoveltyError(
            f"{wrong} of {len(values)} {name} are not finite: the method diverged, so nothing is ranked."
        )
    return values


def count(scores: np.ndarray, novel: np.ndarray) -> Counts:
    """`Counts` of a test set: scores (n,), novel (n,) bool."""
    group, flags, thresholds = _groups(scores, novel)
    size = len(thresholds)
    return Counts(thresholds, np.bincount(group[flags], minlength=size), np.bincount(group[~flags], minlength=size))


def auroc(scores: np.ndarray, novel: np.ndarray) -> float:
    """Area under the ROC curve: share of (novel, normal) pairs ranked right, ties half. Reversed flags give 1 - AUROC.

    >>> auroc(np.array([0.0, 1, 1, 1, 2]), np.array([False, False, False, True, True]))
    0.8333333333333334
    """
    return float(formulas.auroc(count(scores, novel)))


def average_precision(scores: np.ndarray, novel: np.ndarray) -> float:
    """Average precision, novel positive; sum of precision times recall steps, as in scikit-learn."""
    return float(formulas.average_precision(count(scores, novel)))


def fpr_at_tpr(scores: np.ndarray, novel: np.ndarray, tpr: float) -> float:
    """Smallest share of false alarms among thresholds that find at least the share ``tpr`` of the novel images."""
    if not 0 < tpr <= 1:
        raise NoveltyError(f"A true positive rate of {tpr} was asked for: it must lie in (0, 1].")
    return float(formulas.fpr_at_tpr(count(scores, novel), tpr))


def normal_threshold(normal_scores: np.ndarray, quantile: float = 0.95) -> float:
    """Threshold from scores of normal training or validation images alone: at most 1 - ``quantile`` of them alarm.

    It is the float64 next above the ``quantile`` of the scores (an observed score), since an alarm is
    ``score >= threshold``: where many normal scores tie, as zeros do, the tie raises no alarm.
    """
    if not 0 < quantile <= 1:
        raise NoveltyError(f"A quantile of {quantile} was asked for: it must lie in (0, 1].")
    reached = np.quantile(finite(normal_scores, "scores of normal images"), quantile, method="inverted_cdf")
    return float(np.nextafter(reached, np.inf))


def f1(scores: np.ndarray, novel: np.ndarray, threshold: float, positive: Positive = "novel") -> float:
    """F1 of the class ``positive``; images with ``score >= threshold`` are called novel. See `normal_threshold`."""
    return float(formulas.f1(count(scores, novel), threshold, positive))


def best_f1(scores: np.ndarray, novel: np.ndarray, positive: Positive = "novel") -> float:
    """Highest F1 over all thresholds. An oracle: it reads the labels, so report it under that name."""
    return float(formulas.best_f1(count(scores, novel), positive))


def bootstrap(
    scores: np.ndarray,
    novel: np.ndarray,
    statistics: Mapping[str, Callable[[Counts], np.ndarray]],
    resamples: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> dict[str, tuple[float, float]]:
    """Percentile intervals of ``statistics`` (functions of `Counts`), all from the same resamples of the test set.

    Normal and novel images are drawn apart, with replacement and in their own numbers, so that the share of novel
    images stays that of the protocol. The interval speaks of the test images, not of another training: seeds do that.
    Cost: 1,000 resamples of 10,000 images take under a second; it is not meant for pixels.
    """
    group, flags, thresholds = _groups(scores, novel)
    rng = np.random.default_rng(seed)
    size = len(thresholds)
    step = max(1, _CHUNK // max(size, len(group)))
    drawn: dict[str, list[np.ndarray]] = {name: [] for name in statistics}
    for start in range(0, resamples, step):
        rounds = min(step, resamples - start)
        counts = Counts(thresholds, *(_resample(rng, group[side], rounds, size) for side in (flags, ~flags)))
        for name, statistic in statistics.items():
            drawn[name].append(statistic(counts))
    tails = ((1 - confidence) / 2, (1 + confidence) / 2)
    intervals = {name: np.quantile(np.concatenate(values), tails) for name, values in drawn.items()}
    return {name: (float(low), float(high)) for name, (low, high) in intervals.items()}


def _resample(rng: np.random.Generator, group: np.ndarray, rounds: int, size: int) -> np.ndarray:
    """(rounds, size): counts of ``len(group)`` draws with replacement from ``group`` (values below ``size``)."""
    picks = group[rng.integers(0, len(group), (rounds, len(group)), dtype=np.int32)]
    picks += size * np.arange(rounds)[:, None]
    return np.bincount(picks.ravel(), minlength=rounds * size).reshape(rounds, size)


def _groups(scores: np.ndarray, novel: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Index of each image's score among the distinct scores (n,), its flag (n,) bool, distinct scores, falling (G,)."""
    values, flags = finite(scores), np.asarray(novel)
    if flags.shape != values.shape or flags.dtype != bool:
        raise NoveltyError(f"`novel` must be {len(values)} booleans, got shape {flags.shape} of {flags.dtype}.")
    if flags.all() or not flags.any():
        kind = "novel" if flags.all() else "normal"
        raise NoveltyError(f"All {len(values)} test images are {kind}: ranking metrics need normal and novel ones.")
    rising, group = np.unique(values, return_inverse=True)
    return len(rising) - 1 - group, flags, rising[::-1]
