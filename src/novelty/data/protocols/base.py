"""The contract of a protocol, and what those that draw their splits from classes have in common."""

from __future__ import annotations

import difflib
import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, NamedTuple

import numpy as np

from novelty.data.protocols.split import Split, Stream, choose, finished, stream
from novelty.data.source import Annotations, plain_name
from novelty.errors import NoveltyError


class Protocol(ABC):
    """Maps annotations to a `Split`; the seed of training has no part in it. Keyword-only arguments are its options."""

    one_of: ClassVar[bool] = True
    """Whether every class gives a run of its own, chosen by an argument `normal`; otherwise one run is all there is
    (for each `repeat`), and `normal`, where there is such an argument, only says which side is normal."""

    @abstractmethod
    def classes(self, known: Annotations) -> tuple[str, ...]:
        """The classes among which a normal one is chosen."""

    @abstractmethod
    def normal_classes(self, known: Annotations) -> tuple[int, ...]:
        """The normal classes as ascending indices into `classes`."""

    @abstractmethod
    def split(self, known: Annotations) -> Split:
        """Raises NoveltyError where the data lack what the protocol needs, or too few images remain."""


class Draw(NamedTuple):
    """What a protocol draws, as indices in any order.

    validation: normal images, where the protocol itself says which; None leaves them to the share `validation`.
    """

    train: np.ndarray
    test: np.ndarray
    validation: np.ndarray | None = None


class DrawnProtocol(Protocol):
    """A protocol in which classes are normal or novel, and repeats are numbered.

    normal:         the normal class or classes, by name or index; null = the first class.
    repeat:         number of the random draw, where something is drawn.
    train_fraction: share of the training images that is used, drawn by the repeat (Puzzle-AE's small set is 1/12).
    validation:     share of the (remaining) training images that is carved off for validation.

    A subclass offers those of these arguments that make sense for it and gives `draw`, and `classes` with `labels`
    where it sees other classes than the data set's own; the rest is the same for all. Names of classes win over
    indices, and match without regard to case, blanks, hyphens and underscores.
    """

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
    def draw(self, normal: np.ndarray, novel: np.ndarray, known: Annotations, rng: np.random.Generator) -> Draw:
        """Who trains and who is tested; normal, novel: (N,) bool, both False for an image that is left out."""

    def classes(self, known: Annotations) -> tuple[str, ...]:
        """The data set's own."""
        return known.classes

    def labels(self, known: Annotations) -> np.ndarray:
        """(N,) indices into `classes`; -1 for images that the protocol leaves out."""
        return known.labels

    def split(self, known: Annotations) -> Split:
        chosen, labels = self.normal_classes(known), self.labels(known)
        normal = np.isin(labels, chosen)
        pool, tested, carved = self.draw(
            normal, (labels >= 0) & ~normal, known, stream(Stream.DRAW, self.repeat, *chosen)
        )
        pool = np.sort(pool)
        if self.train_fraction < 1:
            count = max(1, round(self.train_fraction * len(pool)))
            pool = choose(pool, count, stream(Stream.FRACTION, self.repeat, *chosen))
        if carved is None:
            rng = stream(Stream.VALIDATION, self.repeat, *chosen)
            carved = choose(pool, round(self.validation * len(pool)), rng)
        train = np.setdiff1d(pool, carved, assume_unique=True)
        names = " + ".join(self.classes(known)[i] for i in chosen)
        return finished(Split(train, carved, tested, ~normal[tested]), f"class {names}")

    def normal_classes(self, known: Annotations) -> tuple[int, ...]:
        """The canonical form of ``normal``.

        Raises NoveltyError for an unknown class, and where no class is left to be novel.
        """
        classes = self.classes(known)
        wanted = (0,) if self.normal is None else self.normal
        if not wanted:
            raise NoveltyError("protocol.normal names no class: give at least one.")
        chosen = tuple(sorted({_index(value, classes) for value in wanted}))
        if len(chosen) == len(classes):
            raise NoveltyError(f"All classes are normal ({', '.join(classes[:20])}): one must be left to be novel.")
        return chosen


def named(wanted: str, names: Sequence[str]) -> str | None:
    """The one of ``names`` that ``wanted`` means: itself, or the only one that differs in spelling alone."""
    if wanted in names:
        return wanted
    alike = [name for name in names if plain_name(name) == plain_name(wanted)]
    return alike[0] if len(alike) == 1 else None


def listed(names: Sequence[str]) -> str:
    """``names`` for a sentence, cut after twenty."""
    return ", ".join(names[:20]) + (f", ... ({len(names)} in all)" if len(names) > 20 else "")


def suggestion(word: str, names: Sequence[str]) -> str:
    """The end of a sentence about an unknown word: ``"; did you mean x?"``, or a full stop."""
    close = difflib.get_close_matches(word.lower(), [name.lower() for name in names], n=1)
    return f"; did you mean {next(name for name in names if name.lower() == close[0])}?" if close else "."


def _index(value: str | int, classes: tuple[str, ...]) -> int:
    """The index of a class given by name or index."""
    if isinstance(value, bool):
        raise NoveltyError(
            f"protocol.normal is {value}, a truth value: put a class of that name in quotes ({listed(classes)})."
        )
    text = str(value)
    if not re.fullmatch(r"-\d+", text) and (name := named(text, classes)) is not None:  # -1 is not the class 1
        return classes.index(name)
    if re.fullmatch(r"\d+", text) and int(text) < len(classes):
        return int(text)
    raise NoveltyError(
        f"There is no class {text}{suggestion(text, classes)} Classes: {listed(classes)}; "
        f"an index from 0 to {len(classes) - 1} works too."
    )
