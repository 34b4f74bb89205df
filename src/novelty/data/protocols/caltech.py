"""Caltech-256: a few categories against clutter."""

from __future__ import annotations

import re
from typing import ClassVar, Literal

import numpy as np

from novelty.data.protocols.base import Draw, DrawnProtocol, listed, named
from novelty.data.protocols.split import Stream, stream
from novelty.data.source import Annotations
from novelty.errors import NoveltyError


class CategoriesVsClutter(DrawnProtocol):
    """Some random categories are inliers, and as many images of the clutter class are outliers.

    CRBND, and the line of ALOCC, G2D and R-graph that it compares with: n = 1, 3, 5 categories of Caltech-256, 50 %
    outliers, 20 repeats (protocols.md section 8). Images of all other categories, and official splits, are left aside.

    inliers:      number of categories n; the same repeat draws one more where n is larger.
    mode:         `holdout`: int(0.8 m) of a draw of m inliers train, the others are tested. `transductive`: all of them
                  train and all of them are tested too, as in the numbers that this line of papers prints: training and
                  test share images.
    repeat:       draws categories, images and outliers.
    per_category: at most so many images of a category, the first ones by file name (ALOCC: 150).
    outliers:     the class that outliers come from; "257.clutter" goes by the name clutter.
    validation:   share of the training images that is carved off.
    """

    one_of = False
    train_share: ClassVar[float] = 0.8

    def __init__(
        self,
        *,
        inliers: int = 1,
        mode: Literal["holdout", "transductive"] = "holdout",
        repeat: int = 0,
        per_category: int = 150,
        outliers: str = "clutter",
        validation: float = 0.0,
    ) -> None:
        super().__init__(repeat=repeat, validation=validation)
        for name, value in (("inliers", inliers), ("per_category", per_category)):
            if value < 1:
                raise NoveltyError(f"protocol.{name} is {value}: it must be at least 1.")
        self.inliers, self.mode = inliers, mode
        self.per_category, self.outliers = per_category, outliers

    def normal_classes(self, known: Annotations) -> tuple[int, ...]:
        """The categories that the repeat draws."""
        clutter = self._clutter(known)
        categories = [label for label in range(len(known.classes)) if label != clutter]
        if self.inliers > len(categories):
            raise NoveltyError(f"protocol.inliers is {self.inliers}, and there are {len(categories)} categories.")
        order = stream(Stream.COMMON, self.repeat).permutation(categories)
        return tuple(sorted(int(label) for label in order[: self.inliers]))

    def labels(self, known: Annotations) -> np.ndarray:
        """Neither the other categories nor images beyond `per_category` take part."""
        taking_part = (*self.normal_classes(known), self._clutter(known))
        labels = np.where(np.isin(known.labels, taking_part), known.labels, -1)
        for label in taking_part[:-1]:
            labels[np.flatnonzero(known.labels == label)[self.per_category :]] = -1
        return labels

    def draw(self, normal: np.ndarray, novel: np.ndarray, known: Annotations, rng: np.random.Generator) -> Draw:
        own = rng.permutation(np.flatnonzero(normal))
        trained = int(self.train_share * len(own)) if self.mode == "holdout" else len(own)
        tested = own[trained:] if self.mode == "holdout" else own
        others = np.flatnonzero(novel)
        if len(tested) > len(others):
            raise NoveltyError(
                f"{len(tested):,} inliers in the test need as many outliers, and class {self.outliers} has "
                f"{len(others):,}: lower protocol.inliers or protocol.per_category."
            )
        return Draw(own[:trained], np.concatenate([tested, rng.choice(others, len(tested), replace=False)]))

    def _clutter(self, known: Annotations) -> int:
        plain = [re.sub(r"^\d+\.", "", name) for name in known.classes]
        found = named(self.outliers, plain)
        if found is None:
            raise NoveltyError(
                f"protocol.outliers is {self.outliers}, and the data set has no such class to take outliers from. "
                f"Classes: {listed(known.classes)}."
            )
        return plain.index(found)
