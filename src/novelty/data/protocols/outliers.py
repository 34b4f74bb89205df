"""One class against a chosen share of outliers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from novelty.data.protocols.base import Draw, DrawnProtocol
from novelty.data.protocols.gpnd import checked_share
from novelty.data.source import Annotations
from novelty.errors import NoveltyError


class OutlierShare(DrawnProtocol):
    """Official split, with so many random outliers that they are a share of the test (CRBND on MNIST, 10 to 50 %).

    Train: all official training images of the class. Test: all n of its official test images and round(n p / (100 - p))
    random test images of other classes, halves to even. A larger share keeps the outliers of a smaller one, so that a
    curve over shares moves by its outliers alone. protocols.md section 9.

    share:  per cent of outliers p in the test.
    repeat: draws the outliers (and, as in `DrawnProtocol`, what train_fraction and validation choose).
    """

    def __init__(
        self,
        *,
        normal: str | int | Sequence[str | int] | None = None,
        repeat: int = 0,
        share: int = 50,
        train_fraction: float = 1.0,
        validation: float = 0.0,
    ) -> None:
        super().__init__(normal=normal, repeat=repeat, train_fraction=train_fraction, validation=validation)
        self.share = checked_share(share)

    def draw(self, normal: np.ndarray, novel: np.ndarray, known: Annotations, rng: np.random.Generator) -> Draw:
        inliers = np.flatnonzero(normal & known.test)
        others = rng.permutation(np.flatnonzero(novel & known.test))
        count = round(len(inliers) * self.share / (100 - self.share))
        if count > len(others):
            raise NoveltyError(
                f"protocol.share={self.share} asks for {count:,} novel test images beside {len(inliers):,} normal "
                f"ones, and there are {len(others):,}: take a smaller share."
            )
        return Draw(np.flatnonzero(normal & ~known.test), np.concatenate([inliers, others[:count]]))
