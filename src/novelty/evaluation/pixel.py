"""How well anomaly maps show where a defect lies: exact metrics of all pixels of all test images, pooled."""

from __future__ import annotations

from typing import Any

import numpy as np

from novelty.errors import NoveltyError
from novelty.evaluation.pixel_counts import PixelCounts, Steps


class Pixels:
    """Metrics of raw anomaly maps against masks, as plain numbers ready for JSON.

    Every pixel counts alike, those of normal images too; an alarm is ``map >= threshold``. All thresholds are used.

    pro_limit: AUPRO is taken up to this false positive rate and divided by it [0.3, as in MVTec AD's evaluation].
    memory:    megabytes to work in, beside one image [512]. Less means more passes over the maps, not other numbers:
               175 million pixels (167 images of 1,024 px) are read four times, in 6 s of one core.
    """

    def __init__(self, *, pro_limit: float = 0.3, memory: float = 512) -> None:
        if not 0 < pro_limit <= 1:
            raise NoveltyError(f"evaluation.pixel.pro_limit is {pro_limit}: it must lie in (0, 1].")
        if not memory > 0:
            raise NoveltyError(f"evaluation.pixel.memory is {memory}: give a number of megabytes, such as 512.")
        self.pro_limit, self.memory = pro_limit, memory

    def __call__(self, maps: np.ndarray, masks: np.ndarray) -> dict[str, Any]:
        """Metrics of maps (n, H, W) float32, of any range, and masks (n, H, W) bool; either may be mapped from disk.

        ``pixel_auroc``: share of (defective, normal) pairs of pixels in the right order, ties half.
        ``pixel_average_precision``: precision summed over steps in recall, as in scikit-learn.
        ``aupro``: area under mean overlap of regions (8-connected components of the masks, each counting alike) against
        the false positive rate, by trapezoids between thresholds and interpolated at ``pro_limit``.
        ``dice_oracle``, ``dice_oracle_threshold``: best Dice (F1) of pooled pixels over all thresholds and the highest
        threshold that reaches it. It reads the masks, so it is an oracle: a bound, no result of a detector.

        Raises NoveltyError for values that are not finite, and where no pixel, or every pixel, is defective.
        """
        counts = PixelCounts(maps, masks, self.memory)
        if not counts.defective:
            raise NoveltyError(
                f"No pixel of the {len(maps)} test images is marked as defective, which pixel metrics need: "
                f"the data has no masks, or the protocol tests no defective images."
            )
        if not counts.normal:
            raise NoveltyError(
                f"Every pixel of the {len(maps)} test images is marked as defective: pixel metrics need normal ones."
            )
        curve = _Curve(counts, self.pro_limit)
        for steps in counts.steps():
            curve.add(steps)
        return curve.metrics()


class _Curve:
    """Sums along falling thresholds.

    true, false: alarms so far.  won: twice the number of pairs in order.  overlap: mean over the regions so far.
    area: below the overlap, up to ``limit``; both in false alarms rather than in their rate.
    """

    def __init__(self, counts: PixelCounts, limit: float) -> None:
        self.defective, self.normal = counts.defective, counts.normal
        self.limit = limit * counts.normal
        self.true = self.false = self.won = 0
        self.precision = self.overlap = self.area = self.dice = self.threshold = 0.0

    def add(self, steps: Steps) -> None:
        true = self.true + steps.true.cumsum()
        # In integers, and each sum below 2 ** 63 for up to two thousand million pixels.
        self.won += int((steps.true * (2 * self.normal - steps.false - steps.passed)).sum())
        self.precision += float((steps.true * (true / (true + steps.false))).sum())
        dice = 2 * true / (true + steps.false + self.defective)
        best = int(dice.argmax())
        if dice[best] > self.dice:
            self.dice, self.threshold = float(dice[best]), float(steps.thresholds[best])
        self._add_area(steps)
        self.true, self.false = int(true[-1]), int(steps.false[-1])

    def _add_area(self, steps: Steps) -> None:
        """Between two steps overlap stays while false alarms grow; at a step both may grow, along a straight line."""
        after = self.overlap + steps.overlap.cumsum()
        before = np.r_[self.overlap, after[:-1]]
        reached = np.r_[self.false, steps.false[:-1]]
        level = before * (np.minimum(steps.passed, self.limit) - np.minimum(reached, self.limit))
        width = np.clip(self.limit, steps.passed, steps.false) - steps.passed
        slope = (after - before) / np.maximum(steps.false - steps.passed, 1)
        self.area += float((level + width * (before + slope * width / 2)).sum())
        self.overlap = float(after[-1])

    def metrics(self) -> dict[str, Any]:
        rest = max(self.limit - self.false, 0.0)  # all regions are found, so the overlap is 1
        return {
            "pixel_auroc": self.won / (2 * self.defective * self.normal),
            "pixel_average_precision": self.precision / self.defective,
            "aupro": (self.area + rest) / self.limit,
            "dice_oracle": self.dice,
            "dice_oracle_threshold": self.threshold,
        }
