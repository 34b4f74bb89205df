"""What a data set is before anyone decides who is normal."""

from __future__ import annotations

import hashlib
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:  # checking a configuration imports sources; it should not have to wait for torch
    from torch import Tensor


class Block(NamedTuple):
    """Some images of one size, in the order of the data set.

    pixels: (n, H, W, C) uint8, C = 1 or 3.  labels: (n,) class indices.  test: whether the official split tests them.
    """

    pixels: np.ndarray
    labels: np.ndarray
    test: bool


class Source(ABC):
    """Images, labels, class names; nothing of novelty.

    ``root`` is the folder of all data sets (``paths.data``); keyword-only arguments of a subclass are its options.
    An object looks at the files once and remembers what it saw: make a new one to see what changed.
    """

    def __init__(self, root: Path) -> None:
        self.root = Path(root).expanduser()

    @property
    @abstractmethod
    def classes(self) -> tuple[str, ...]:
        """Class names in label order; known without reading an image."""

    @abstractmethod
    def fingerprint(self) -> str:
        """Cheap identity of the files as they lie there (names, sizes, times): the key of the decoded cache.

        Raises NoveltyError where the data set is missing: what to get, from whom, under which licence, where to put it
        (after trying to download where the licence allows).
        """

    @abstractmethod
    def blocks(self) -> Iterator[Block]:
        """Decoded images in a fixed order: the whole data set, training images first."""

    @property
    def count(self) -> int | None:
        """How many images there are, where that is known before decoding; only progress bars ask."""
        return None

    @property
    def copy(self) -> str:
        """ "original" where the files are the distributed ones, otherwise what they are ("JPEG class folders", ...)."""
        return "original"

    @property
    def traits(self) -> frozenset[str]:
        """Properties that methods may branch on, such as "texture"."""
        return frozenset()


@dataclass(frozen=True)
class Images:
    """A data set in memory, at the size of the run.

    pixels: (N, C, S, S) uint8, training images first.  labels: (N,) int64.  test: (N,) bool, the official test split.
    digest: sha256 of the decoded originals, labels and splits: equal exactly where the content is equal.
    """

    pixels: Tensor
    labels: np.ndarray
    test: np.ndarray
    classes: tuple[str, ...]
    digest: str
    copy: str = "original"
    traits: frozenset[str] = field(default_factory=frozenset)


def fingerprint_of(parts: Iterable[object]) -> str:
    """A short identity of ``parts``, by their ``repr``."""
    summed = hashlib.sha256()
    for part in parts:
        summed.update(repr(part).encode() + b"\n")
    return summed.hexdigest()


def plain_name(name: str) -> str:
    """A class name without case, blanks, hyphens and underscores: names are alike where these are equal."""
    return re.sub(r"[\s_-]+", "", name).lower()
