"""The folds of GPND."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from novelty.data.protocols.base import Draw, DrawnProtocol
from novelty.data.protocols.split import Stream, stream
from novelty.data.source import Annotations
from novelty.errors import NoveltyError


class GPNDFolds(DrawnProtocol):
    """Five folds with a fixed share of outliers in the test, as GPND's own tables have them (protocols.md section 3).

    Official training and test images are pooled, shuffled once for all classes and folds, and every class is cut into
    five equal parts; the remainder is left out. Fold k tests part k, validates on part 0 (part 1 where k = 0) and
    trains on the normal images of the other three. Then images of the test's short side are *repeated* until outliers
    have their share; none is dropped.

    repeat: number of the fold, 0 to 4.
    share:  per cent of outliers in the test (GPND: 10, 20, 30, 40, 50).
    normal: as in `DrawnProtocol`.
    validation: has no say, since a fold has a part for it; it is admitted because recipes of methods may set it.

    GPND chooses its F1 threshold on a validation part that holds outliers too. Here nothing is chosen with labels, so
    validation holds the normal images of that part alone and its outliers are left out.
    """

    parts: ClassVar[int] = 5

    def __init__(
        self,
        *,
        normal: str | int | Sequence[str | int] | None = None,
        repeat: int = 0,
        share: int = 50,
        validation: float = 0.0,
    ) -> None:
        super().__init__(normal=normal, repeat=repeat, validation=validation)
        if repeat >= self.parts:
            raise NoveltyError(f"protocol.repeat is {repeat}: it numbers GPND's five folds, 0 to 4.")
        self.share = checked_share(share)

    def draw(self, normal: np.ndarray, novel: np.ndarray, known: Annotations, rng: np.random.Generator) -> Draw:
        part = self._parts(known.labels, len(known.classes))
        fold = self.repeat
        validating = 0 if fold else 1
        training = (part >= 0) & (part != fold) & (part != validating)
        inliers, outliers = np.flatnonzero(normal & (part == fold)), np.flatnonzero(novel & (part == fold))
        wanted = len(inliers) * self.share // (100 - self.share)
        if wanted > len(outliers):
            outliers = repeated(outliers, wanted, rng)
        else:
            inliers = repeated(inliers, len(outliers) * (100 - self.share) // self.share, rng)
        return Draw(
            np.flatnonzero(normal & training),
            np.concatenate([inliers, outliers]),
            np.flatnonzero(normal & (part == validating)),
        )

    def _parts(self, labels: np.ndarray, classes: int) -> np.ndarray:
        """(N,) number of every image's part; -1 for the remainder of its class."""
        order = stream(Stream.COMMON).permutation(len(labels))
        part = np.full(len(labels), -1, dtype=np.int64)
        for label in range(classes):
            own = order[labels[order] == label]
            size = len(own) // self.parts
            part[own[: self.parts * size]] = np.repeat(np.arange(self.parts), size)
        return part


def repeated(items: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """``items`` repeated to ``count``, each as often as the others but for a random remainder; never fewer of them."""
    if count <= len(items) or not len(items):
        return items
    times, rest = divmod(count, len(items))
    return np.concatenate([np.tile(items, times), rng.permutation(items)[:rest]])


def checked_share(share: int) -> int:
    """A share of outliers in per cent."""
    if not 0 < share < 100:
        raise NoveltyError(f"protocol.share is {share}: it is per cent of outliers in the test, 1 to 99.")
    return share
