"""P1: most of one class trains, the rest is tested with as many novel images."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from novelty.data.protocols.base import Draw, DrawnProtocol
from novelty.data.protocols.split import Stream, stream
from novelty.data.source import Annotations
from novelty.errors import NoveltyError


class BalancedHoldout(DrawnProtocol):
    """P1, 80/20 of one class with an equal number of anomalies (PIAD, Puzzle-AE; made from GPND's folds).

    Official training and test images are pooled; int(0.8 n) random normal images train, the others are tested together
    with as many random images of all other classes (with all of these where they are fewer).
    """

    train_share: ClassVar[float] = 0.8  # PIAD section 4, Puzzle-AE section 4

    def draw(self, normal: np.ndarray, novel: np.ndarray, known: Annotations, rng: np.random.Generator) -> Draw:
        own = rng.permutation(np.flatnonzero(normal))
        others = np.flatnonzero(novel)
        trained = int(self.train_share * len(own))
        tested = own[trained:]
        anomalies = rng.choice(others, min(len(tested), len(others)), replace=False)
        return Draw(own[:trained], np.concatenate([tested, anomalies]))


class RandomClass(BalancedHoldout):
    """P1 in which the repeat draws the normal class too: COIL-100's 30 repeats, each with another random object.

    Classes are drawn without replacement by one order for all repeats (protocols.md section 2 [D]); the images of
    repeat r are those of P1 for that class and r.
    """

    one_of = False

    def __init__(self, *, repeat: int = 0, train_fraction: float = 1.0, validation: float = 0.0) -> None:
        super().__init__(repeat=repeat, train_fraction=train_fraction, validation=validation)

    def normal_classes(self, known: Annotations) -> tuple[int, ...]:
        count = len(known.classes)
        if self.repeat >= count:
            raise NoveltyError(
                f"protocol.repeat is {self.repeat}, but each repeat draws another of {count} classes: 0 to {count - 1}."
            )
        return (int(stream(Stream.COMMON).permutation(count)[self.repeat]),)
