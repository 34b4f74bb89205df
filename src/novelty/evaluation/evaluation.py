"""What a record keeps about the scores of a test set."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal

import numpy as np

from novelty.errors import NoveltyError
from novelty.evaluation import counts as formulas
from novelty.evaluation import metrics
from novelty.evaluation.counts import Counts
from novelty.evaluation.pixel import Pixels
from novelty.evaluation.robustness import Robustness
from novelty.evaluation.stability import Stability


class Evaluation:
    """Metrics of raw image scores, as plain numbers ready for JSON.

    bootstrap:  resamples of the test set behind each interval; 0 leaves the intervals out.
    confidence: share of resamples inside an interval (percentile bootstrap, normal and novel images drawn apart).
    seed:       of the resamples; it has nothing to do with the seed of training.
    tpr:        true positive rates at which the false positive rate is reported (Puzzle-AE: 0.95, 0.99, 0.995).
    quantile:   the F1 threshold leaves at most 1 - ``quantile`` of the normal scores above it.
    threshold:  an F1 threshold on the raw primary score in place of the quantile's (CRBND: 0 on its logit).
    positive:   the class whose F1 is meant ("normal" in the outlier tables of CRBND).

    Parts that ask for more than scores; each adds to the metrics of the scores that it concerns:

    pixel:      metrics of anomaly maps against masks of defects.
    robustness: scores of disturbed test images, each with the metrics of a score of its own.
    stability:  the test AUROC over the last epochs of the training.
    """

    def __init__(
        self,
        *,
        bootstrap: int = 1000,
        confidence: float = 0.95,
        seed: int = 0,
        tpr: Sequence[float] = (0.95, 0.99, 0.995),
        quantile: float = 0.95,
        threshold: float | None = None,
        positive: Literal["novel", "normal"] = "novel",
        pixel: Pixels | None = None,
        robustness: Robustness | None = None,
        stability: Stability | None = None,
    ) -> None:
        if bootstrap < 0:
            raise NoveltyError(
                f"evaluation.bootstrap is {bootstrap}: give a number of resamples, or 0 for no intervals."
            )
        if not 0 < confidence < 1:
            raise NoveltyError(f"evaluation.confidence is {confidence}: it must lie between 0 and 1.")
        for name, share in [("quantile", quantile), *(("tpr", rate) for rate in tpr)]:
            if not 0 < share <= 1:
                raise NoveltyError(f"evaluation.{name} is {share}: it must lie in (0, 1].")
        self.bootstrap = bootstrap
        self.confidence = confidence
        self.seed = seed
        self.tpr = tuple(tpr)
        self.quantile = quantile
        self.threshold = threshold
        self.positive = positive
        self.pixel, self.robustness, self.stability = pixel, robustness, stability

    def __call__(
        self, scores: np.ndarray, novel: np.ndarray, normal_scores: np.ndarray | None = None, primary: bool = True
    ) -> dict[str, Any]:
        """Metrics of scores (n,) with flags novel (n,) bool.

        normal_scores (m,): scores of normal training or validation images, for the threshold of ``f1``; without them
        and without a fixed threshold ``f1`` and ``threshold`` are left out.
        primary: whether these are the scores that a fixed threshold speaks of.

        Returns, beside each metric NAME, ``NAME_interval`` [low, high]: ``auroc``, ``average_precision``,
        ``fpr_at_tpr95`` and so on, ``f1``; without interval ``threshold`` (an alarm is score >= threshold),
        ``f1_oracle`` (best threshold by the labels: maximised anew in each resample it would lie too high),
        and the sizes ``normal_images``, ``novel_images``.

        Raises NoveltyError for scores that are not finite and for test sets of one kind only.
        """
        counts = metrics.count(scores, novel)
        statistics: dict[str, Callable[[Counts], np.ndarray]] = {
            "auroc": formulas.auroc,
            "average_precision": formulas.average_precision,
        }
        for rate in self.tpr:
            statistics[f"fpr_at_tpr{percent(rate)}"] = partial(formulas.fpr_at_tpr, tpr=rate)
        result: dict[str, Any] = {
            "normal_images": int(counts.normal.sum()),
            "novel_images": int(counts.novel.sum()),
            "f1_oracle": float(formulas.best_f1(counts, self.positive)),
        }
        threshold = self.threshold if primary else None
        if threshold is None and normal_scores is not None:
            threshold = metrics.normal_threshold(normal_scores, self.quantile)
        if threshold is not None:
            result["threshold"] = threshold
            statistics["f1"] = partial(formulas.f1, threshold=threshold, positive=self.positive)
        result |= {name: float(statistic(counts)) for name, statistic in statistics.items()}
        if self.bootstrap:
            intervals = metrics.bootstrap(scores, novel, statistics, self.bootstrap, self.confidence, self.seed)
            result |= {f"{name}_interval": list(interval) for name, interval in intervals.items()}
        return result


def percent(rate: float) -> str:
    """A rate as it stands in a metric's name: 0.95 is "95", 0.995 is "995", 0.9 is "90", 1 is "100"."""
    return "100" if rate == 1 else f"{rate:.10f}".rstrip("0")[2:].ljust(2, "0")
