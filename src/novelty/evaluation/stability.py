"""How much the test AUROC moves from epoch to epoch: a diagnostic of a training, never a choice of its best moment."""

from __future__ import annotations

from typing import TypedDict

import numpy as np

from novelty.errors import NoveltyError


class Curve(TypedDict):
    """Test AUROC after chosen epochs, in the order of time; ready for JSON and for checkpoints.

    epoch: epochs trained.  step: training steps taken.  auroc: by named score; None where scores were not finite.
    """

    epoch: list[float]
    step: list[int]
    auroc: dict[str, list[float | None]]


class Stability:
    """After which epochs the test images are scored while training goes on, and what is said of them.

    last:  the last so many epochs are looked at and summed up [Puzzle-AE: 20].
    every: beside them every so many-th epoch before them, counted back from the last one, for curves; 0 = none.

    An epoch is one pass over the training images. Where a schedule counts iterations, epochs are counted back from the
    last step in as many steps as one pass takes (at least one).
    """

    def __init__(self, *, last: int = 20, every: int = 0) -> None:
        if last < 1:
            raise NoveltyError(f"evaluation.stability.last is {last}: give a number of epochs, at least 1.")
        if every < 0:
            raise NoveltyError(f"evaluation.stability.every is {every}: give a number of epochs, or 0 for none.")
        self.last, self.every = last, every

    def moments(self, steps: int, epoch: int) -> tuple[int, ...]:
        """After which of a training's ``steps`` to look, rising; ``epoch``: steps in one pass over the images.

        >>> Stability(last=2, every=3).moments(steps=80, epoch=10)
        (20, 50, 70, 80)
        """
        back = range(-(-steps // epoch))
        return tuple(steps - n * epoch for n in reversed(back) if n < self.last or (self.every and n % self.every == 0))

    def part(self, curve: Curve) -> Curve | None:
        """What this would have seen of a training that ``curve`` saw to its end; None where it asks for more, or where
        the curve does not tell how long an epoch is (its last two looks must lie one apart).

        >>> Stability(last=1).part({"epoch": [1.0, 2.0], "step": [5, 10], "auroc": {"avg": [0.5, 0.6]}})
        {'epoch': [2.0], 'step': [10], 'auroc': {'avg': [0.6]}}
        """
        steps = curve["step"]
        if len(steps) < 2:
            return None
        epoch = steps[-1] - steps[-2]
        wanted = self.moments(steps[-1], epoch)
        if round(steps[-1] / epoch, 3) != curve["epoch"][-1] or not set(wanted) <= set(steps):
            return None
        places = [steps.index(step) for step in wanted]
        return {
            "epoch": [curve["epoch"][place] for place in places],
            "step": [steps[place] for place in places],
            "auroc": {name: [values[place] for place in places] for name, values in curve["auroc"].items()},
        }

    def summary(self, curve: Curve) -> dict[str, dict[str, float | int]]:
        """Mean, variance, standard deviation (both over n), smallest and largest AUROC of the last epochs, by score.

        Names end in ``_last_20`` after `last`; ``epochs_last_20`` is how many went in: a shorter training has fewer,
        and epochs whose scores were not finite are left out (a score without a single one has that count alone).
        """
        found: dict[str, dict[str, float | int]] = {}
        for name, values in curve["auroc"].items():
            kept = np.array([value for value in values[-self.last :] if value is not None], dtype=np.float64)
            said: dict[str, float | int] = {f"epochs_last_{self.last}": len(kept)}
            if len(kept):
                said |= {
                    f"auroc_{statistic}_last_{self.last}": float(value)
                    for statistic, value in (
                        ("mean", kept.mean()),
                        ("variance", kept.var()),
                        ("std", kept.std()),
                        ("min", kept.min()),
                        ("max", kept.max()),
                    )
                }
            found[name] = said
        return found
