"""What every protocol ends in: indices of who trains and who is tested."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

import numpy as np

from novelty.errors import NoveltyError


class Stream(IntEnum):
    """Each random choice has its own stream, so that asking for a validation set leaves the test set as it was."""

    DRAW = 0
    FRACTION = 1
    VALIDATION = 2
    CAP = 3
    COMMON = 4
    """What is drawn before there is a normal class: GPND's parts, and which class is normal where that is drawn."""


def stream(purpose: Stream, *numbers: int) -> np.random.Generator:
    """The random numbers of ``purpose``, alike on every machine; ``numbers``: the repeat, then the normal classes."""
    return np.random.Generator(np.random.PCG64([purpose, *numbers]))


class Split(NamedTuple):
    """Indices into the images of a source; the same for every method.

    train, validation: normal images, each once.  test: with ``novel`` (len(test),) bool beside it.  All int64,
    ascending. No image has two of the three roles, except under Caltech-256's `transductive` mode, which tests on the
    training images and says so. The test set holds an image several times only where a protocol repeats images to meet
    a share of outliers (GPND).
    """

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray
    novel: np.ndarray


def finished(split: Split, whose: str) -> Split:
    """``split`` in ascending order and as int64; NoveltyError where nothing is left to train on or to tell apart.

    whose: "class cat", for the sentence.
    """
    train, validation, test, novel = split
    order = np.argsort(test, kind="stable")
    test, novel = test[order], novel[order]
    if not len(train):
        raise NoveltyError(f"Too few images: under this protocol {whose} has none to train on.")
    if novel.all() or not novel.any():
        kind = "normal" if novel.all() else "novel"
        raise NoveltyError(f"Too few images: under this protocol the test set of {whose} holds no {kind} image.")
    return Split(_int(np.sort(train)), _int(np.sort(validation)), _int(test), novel.astype(bool, copy=False))


def choose(pool: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """``count`` items of ``pool`` without replacement, in the order of the pool."""
    if count >= len(pool):
        return pool
    return pool[np.sort(rng.choice(len(pool), count, replace=False))]


def cap(split: Split, max_train: int | None = None, max_test: int | None = None) -> Split:
    """``split`` cut down to at most so many training and test images (the smoke budget); a function of its arguments.

    The test set keeps its share of novel images, and at least one of either kind; validation shrinks as training does.
    """
    rng = stream(Stream.CAP)
    train, validation, test, novel = split
    if max_train is not None and len(train) > max_train:
        if max_train < 1:
            raise NoveltyError(f"budget.max_train is {max_train}: it must be at least 1.")
        kept = max(1, round(len(validation) * max_train / len(train))) if len(validation) else 0
        train, validation = choose(train, max_train, rng), choose(validation, kept, rng)
    if max_test is not None and len(test) > max_test:
        if max_test < 2:
            raise NoveltyError(f"budget.max_test is {max_test}: a test needs a normal and a novel image.")
        anomalies = min(max(round(max_test * float(novel.mean())), 1), max_test - 1)
        places = [
            choose(np.flatnonzero(~novel), max_test - anomalies, rng),
            choose(np.flatnonzero(novel), anomalies, rng),
        ]
        kept_places = np.sort(np.concatenate(places))
        test, novel = test[kept_places], novel[kept_places]
    return Split(train, validation, test, novel)


def _int(index: np.ndarray) -> np.ndarray:
    return index.astype(np.int64, copy=False)
