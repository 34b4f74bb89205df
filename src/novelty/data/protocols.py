"""Who is normal, who trains, who is tested: pure functions of labels to index arrays."""

from __future__ import annotations

import difflib
import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, NamedTuple

import numpy as np

from novelty.data.source import plain_name
from novelty.errors import NoveltyError

_DRAW, _FRACTION, _VALIDATION, _CAP = range(4)
"""Each random choice has its own stream, so that asking for a validation set leaves the test set as it was."""


class Split(NamedTuple):
    """Indices into the images of a source; the same for every method.

    train, validation: normal images.  test: with ``novel`` (len(test),) bool beside it.  All int64, ascending.
    """

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray
    novel: np.ndarray


class Protocol(ABC):
    """Maps (labels, official test flags, normal classes, repeat) to a `Split`; the seed of training has no part in it.

    normal:         the normal class or classes, by name or index; null = the first class.
    repeat:         number of the random draw, where something is drawn.
    train_fraction: share of the training images that is used, drawn by the repeat (Puzzle-AE's small set is 1/12).
    validation:     share of the (remaining) training images that is carved off for validation.

    A subclass gives `draw`; the rest is the same for all. Names of classes win over indices, and match without regard
    to case, blanks, hyphens and underscores.
    """

    test_only: ClassVar[frozenset[str]] = frozenset()
    """Constructor arguments that change the test set alone: they belong to the evaluation key, not the training key."""

    def __init__(
        self,
        *,
        normal: str | int | Sequence[str | int] | None = None,
        repeat: int = 0,
        train_fraction: float = 1.0,
        validation: float = 0.0,
    ) -> None:
        if repeat < 0:
            raise NoveltyError(f"protocol.repeat is {repeat}: draws are numbered from 0.")
        if not 0 < train_fraction <= 1:
            raise NoveltyError(f"protocol.train_fraction is {train_fraction}: it must be above 0 and at most 1.")
        if not 0 <= validation < 1:
            raise NoveltyError(f"protocol.validation is {validation}: it must be at least 0 and below 1.")
        if normal is not None and (isinstance(normal, str) or not isinstance(normal, Sequence)):
            normal = (normal,)
        self.normal = None if normal is None else tuple(normal)
        self.repeat, self.train_fraction, self.validation = repeat, train_fraction, validation

    @abstractmethod
    def draw(self, normal: np.ndarray, test: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Training pool and test set, as indices in any order, from ``normal`` (N,) bool and ``test`` (N,) bool."""

    def split(self, labels: np.ndarray, test: np.ndarray, classes: tuple[str, ...]) -> Split:
        """labels (N,), test (N,) bool. Raises NoveltyError where a class is unknown or too few images remain."""
        chosen = self.normal_classes(classes)
        labels, test = np.asarray(labels), np.asarray(test, dtype=bool)
        normal = np.isin(labels, chosen)
        pool, tested = self.draw(normal, test, self._rng(chosen, _DRAW))
        pool, tested = np.sort(pool), np.sort(tested)
        names = " + ".join(classes[i] for i in chosen)
        if self.train_fraction < 1:
            count = max(1, round(self.train_fraction * len(pool)))
            pool = _choose(pool, count, self._rng(chosen, _FRACTION))
        carved = _choose(pool, round(self.validation * len(pool)), self._rng(chosen, _VALIDATION))
        train = np.setdiff1d(pool, carved, assume_unique=True)
        novel = ~normal[tested]
        if not len(train):
            raise NoveltyError(f"Too few images: under this protocol class {names} has none to train on.")
        if novel.all() or not novel.any():
            kind = "normal" if novel.all() else "novel"
            raise NoveltyError(
                f"Too few images: under this protocol the test set of class {names} holds no {kind} image."
            )
        return Split(_int(train), _int(carved), _int(tested), novel)

    def normal_classes(self, classes: tuple[str, ...]) -> tuple[int, ...]:
        """The normal classes as ascending indices into ``classes``: the canonical form of ``normal``.

        Raises NoveltyError for an unknown class, and where no class is left to be novel.
        """
        wanted = (0,) if self.normal is None else self.normal
        if not wanted:
            raise NoveltyError("protocol.normal names no class: give at least one.")
        chosen = tuple(sorted({_index(value, classes) for value in wanted}))
        if len(chosen) == len(classes):
            raise NoveltyError(f"All classes are normal ({', '.join(classes[:20])}): one must be left to be novel.")
        return chosen

    def _rng(self, chosen: tuple[int, ...], purpose: int) -> np.random.Generator:
        return np.random.Generator(np.random.PCG64([purpose, self.repeat, *chosen]))


class OneVsAll(Protocol):
    """P2, one-vs-all with the official split: train on the class's official training images, test on all test images.

    holdout: for data without an official split only (no image is flagged as test): the share of the normal images that
             the repeat draws for testing; every image of the other classes is tested beside them.
    """

    def __init__(
        self,
        *,
        normal: str | int | Sequence[str | int] | None = None,
        repeat: int = 0,
        train_fraction: float = 1.0,
        validation: float = 0.0,
        holdout: float = 0.2,
    ) -> None:
        super().__init__(normal=normal, repeat=repeat, train_fraction=train_fraction, validation=validation)
        if not 0 < holdout < 1:
            raise NoveltyError(f"protocol.holdout is {holdout}: it must be above 0 and below 1.")
        self.holdout = holdout

    def draw(self, normal: np.ndarray, test: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        if test.any():
            return np.flatnonzero(normal & ~test), np.flatnonzero(test)
        own = rng.permutation(np.flatnonzero(normal))
        tested = max(1, round(self.holdout * len(own)))
        return own[tested:], np.concatenate([own[:tested], np.flatnonzero(~normal)])


class BalancedHoldout(Protocol):
    """P1, 80/20 of one class with an equal number of anomalies (PIAD, Puzzle-AE; made from GPND's folds).

    Official training and test images are pooled; int(0.8 n) random normal images train, the others are tested together
    with as many random images of all other classes (with all of these where they are fewer).
    """

    train_share: ClassVar[float] = 0.8  # PIAD section 4, Puzzle-AE section 4

    def draw(self, normal: np.ndarray, test: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        own = rng.permutation(np.flatnonzero(normal))
        others = np.flatnonzero(~normal)
        trained = int(self.train_share * len(own))
        tested = own[trained:]
        anomalies = rng.choice(others, min(len(tested), len(others)), replace=False)
        return own[:trained], np.concatenate([tested, anomalies])


def cap(split: Split, max_train: int | None = None, max_test: int | None = None) -> Split:
    """``split`` cut down to at most so many training and test images (the smoke budget); a function of its arguments.

    The test set keeps its share of novel images, and at least one of either kind; validation shrinks as training does.
    """
    rng = np.random.Generator(np.random.PCG64([_CAP]))
    train, validation, test, novel = split
    if max_train is not None and len(train) > max_train:
        if max_train < 1:
            raise NoveltyError(f"budget.max_train is {max_train}: it must be at least 1.")
        kept = max(1, round(len(validation) * max_train / len(train))) if len(validation) else 0
        train, validation = _choose(train, max_train, rng), _choose(validation, kept, rng)
    if max_test is not None and len(test) > max_test:
        if max_test < 2:
            raise NoveltyError(f"budget.max_test is {max_test}: a test needs a normal and a novel image.")
        anomalies = min(max(round(max_test * float(novel.mean())), 1), max_test - 1)
        places = [
            _choose(np.flatnonzero(~novel), max_test - anomalies, rng),
            _choose(np.flatnonzero(novel), anomalies, rng),
        ]
        kept_places = np.sort(np.concatenate(places))
        test, novel = test[kept_places], novel[kept_places]
    return Split(train, validation, test, novel)


def _choose(pool: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """``count`` items of ``pool`` without replacement, in the order of the pool."""
    if count >= len(pool):
        return pool
    return pool[np.sort(rng.choice(len(pool), count, replace=False))]


def _int(index: np.ndarray) -> np.ndarray:
    return index.astype(np.int64, copy=False)


def _index(value: str | int, classes: tuple[str, ...]) -> int:
    """The index of a class given by name or index."""
    known = ", ".join(classes[:20]) + (f", ... ({len(classes)} in all)" if len(classes) > 20 else "")
    if isinstance(value, bool):
        raise NoveltyError(f"protocol.normal is {value}, a truth value: put a class of that name in quotes ({known}).")
    text = str(value)
    if text in classes:
        return classes.index(text)
    alike = [i for i, name in enumerate(classes) if plain_name(name) == plain_name(text)]
    if len(alike) == 1:
        return alike[0]
    if re.fullmatch(r"\d+", text) and int(text) < len(classes):
        return int(text)
    close = difflib.get_close_matches(text.lower(), [name.lower() for name in classes], n=1)
    hint = f"; did you mean {next(name for name in classes if name.lower() == close[0])}?" if close else "."
    raise NoveltyError(
        f"There is no class {text}{hint} Classes: {known}; an index from 0 to {len(classes) - 1} works too."
    )
