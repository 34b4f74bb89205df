"""Ranking metrics as exact formulas on counts per distinct score: one definition for a test set and for its resamples.

Conventions (fact sheet "protocols", section 12): novel images are positive, an alarm is ``score >= threshold``,
ties count half in the AUROC. Every function takes `Counts` and returns an array over their leading axes.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np

Positive = Literal["novel", "normal"]


class Counts(NamedTuple):
    """How many images lie at each distinct score, highest score first.

    thresholds: (G,) float64, strictly falling.
    novel, normal: (..., G) int64; leading axes are resamples of one test set.
    """

    thresholds: np.ndarray
    novel: np.ndarray
    normal: np.ndarray

    def alarms(self) -> tuple[np.ndarray, np.ndarray]:
        """(true, false) alarms, each (..., G), with the threshold at each distinct score."""
        return self.novel.cumsum(-1), self.normal.cumsum(-1)


def auroc(counts: Counts) -> np.ndarray:
    """Share of (novel, normal) pairs in which the novel image scores higher, ties half (Mann-Whitney); (...,)."""
    true, false = counts.alarms()
    # Twice the number of won pairs, in integers: no rounding whatever the scores.
    won = (counts.normal * (2 * true - counts.novel)).sum(-1)
    return np.asarray(won / (2 * true[..., -1] * false[..., -1]))


def average_precision(counts: Counts) -> np.ndarray:
    """Sum of precision times the step in recall over falling thresholds (no interpolation); (...,)."""
    true, false = counts.alarms()
    precision = true / np.maximum(true + false, 1)  # a resample may leave the highest scores empty
    return np.asarray((counts.novel * precision).sum(-1) / true[..., -1])


def fpr_at_tpr(counts: Counts, tpr: float) -> np.ndarray:
    """Smallest false positive rate among thresholds whose true positive rate is at least ``tpr``; (...,)."""
    true, false = counts.alarms()
    # Divide rather than multiply: 55/100 rounds to the literal 0.55, but 0.55*100 exceeds 55.
    first = (true / true[..., -1:] >= tpr).argmax(-1)
    return np.asarray(np.take_along_axis(false, first[..., None], -1)[..., 0] / false[..., -1])


def f1(counts: Counts, threshold: float, positive: Positive = "novel") -> np.ndarray:
    """F1 of the ``positive`` class where images with ``score >= threshold`` are called novel; (...,)."""
    above = counts.thresholds >= threshold
    true, false = (counts.novel * above).sum(-1), (counts.normal * above).sum(-1)
    return _f1(true, false, counts.novel.sum(-1), counts.normal.sum(-1), positive)


def best_f1(counts: Counts, positive: Positive = "novel") -> np.ndarray:
    """Highest F1 over all thresholds: an oracle, since it reads the labels; (...,)."""
    true, false = counts.alarms()
    novel, normal = true[..., -1:], false[..., -1:]
    at_scores = _f1(true, false, novel, normal, positive).max(-1)
    silent = _f1(0 * novel, 0 * normal, novel, normal, positive)[..., 0]  # a threshold above every score
    return np.asarray(np.maximum(at_scores, silent))


def _f1(true: np.ndarray, false: np.ndarray, novel: np.ndarray, normal: np.ndarray, positive: Positive) -> np.ndarray:
    if positive == "novel":
        return np.asarray(2 * true / (true + false + novel))
    kept = normal - false
    return np.asarray(2 * kept / (kept + novel - true + normal))
