"""Small two-class sets, with a handful of normal images held out."""

from __future__ import annotations

from typing import Literal

import numpy as np

from novelty.data.protocols.base import Draw, DrawnProtocol
from novelty.data.source import Annotations
from novelty.errors import NoveltyError


class MedicalHoldout(DrawnProtocol):
    """Test: a few random normal images and all novel ones; train: the other normal images (Puzzle-AE, section 4).

    Head CT: train 90, test 10 + 100. Brain MRI: train 88, test 10 + 155; its files hold exact duplicates.

    normal:     which class is normal; null = the first.
    repeat:     number of the draw; with ten normal images results depend on it, so report several (five [D]).
    holdout:    number of normal images in the test.
    duplicates: files of identical content. `group` (protocols.md section 5 [D]) keeps all files and draws whole groups
                of copies for the test, passing over a group that would overshoot, so that no normal test image has a
                copy in training; `drop` keeps the first file of each group, novel ones too; `ignore` draws files.
    validation: share of the training images that is carved off, file by file.
    """

    one_of = False

    def __init__(
        self,
        *,
        normal: str | int | None = None,
        repeat: int = 0,
        holdout: int = 10,
        duplicates: Literal["group", "drop", "ignore"] = "group",
        validation: float = 0.0,
    ) -> None:
        super().__init__(normal=normal, repeat=repeat, validation=validation)
        if holdout < 1:
            raise NoveltyError(f"protocol.holdout is {holdout}: at least one normal image must be tested.")
        self.holdout, self.duplicates = holdout, duplicates

    def draw(self, normal: np.ndarray, novel: np.ndarray, known: Annotations, rng: np.random.Generator) -> Draw:
        own, others = np.flatnonzero(normal), np.flatnonzero(novel)
        if self.duplicates == "drop":
            own, others = _distinct(own, known.contents), _distinct(others, known.contents)
        grouped = self.duplicates == "group"
        copies = known.contents[own] if grouped else np.arange(len(own))
        held = self._held(copies, rng)
        return Draw(own[~held], np.concatenate([own[held], others]))

    def _held(self, copies: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """(n,) bool: which normal images are tested; copies: (n,), equal where images are copies of each other."""
        groups, group = np.unique(copies, return_inverse=True)
        sizes = np.bincount(group, minlength=len(groups))
        left, held = self.holdout, np.zeros(len(groups), dtype=bool)
        for candidate in rng.permutation(len(groups)):
            if sizes[candidate] <= left:
                held[candidate] = True
                left -= sizes[candidate]
        if left and self.holdout < len(copies):
            raise NoveltyError(
                f"No {self.holdout} normal test images can be drawn without parting copies of one image: "
                "set protocol.duplicates=drop, or another protocol.holdout."
            )
        return held[group]


def _distinct(index: np.ndarray, contents: np.ndarray) -> np.ndarray:
    """The first of all images of equal content, in order."""
    _, first = np.unique(contents[index], return_index=True)
    return index[np.sort(first)]
