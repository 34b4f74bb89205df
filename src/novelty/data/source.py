"""What a data set is before anyone decides who is normal."""

from __future__ import annotations

import hashlib
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import numpy as np

if TYPE_CHECKING:  # checking a configuration imports sources; it should not have to wait for torch
    from torch import Tensor


class Block(NamedTuple):
    """Some images of one size, in the order of the data set.

    pixels: (n, H, W, C) uint8, C = 1 or 3.  labels: (n,) class indices.  test: whether the official split tests them.
    masks: (n, H, W) bool, True on defects, in a data set that has masks (all False for an image without defect);
    None in any other.
    """

    pixels: np.ndarray
    labels: np.ndarray
    test: bool
    masks: np.ndarray | None = None


class About(NamedTuple):
    """What a person needs to know before there is a file: for `python -m novelty.data info` and for what is missing.

    title: name, authors, year.  licence: as its owner states it.  get: files and the page that has them.
    place: where to put them below the data folder.
    """

    title: str
    licence: str
    get: str
    place: str


class Source(ABC):
    """Images, labels, class names; nothing of novelty.

    ``root`` is the folder of all data sets (``paths.data``); keyword-only arguments of a subclass are its options.
    An object looks at the files once and remembers what it saw: make a new one to see what changed.
    """

    about: ClassVar[About | None] = None
    """Owner, licence and place of a published data set; None for a person's own images."""

    total: ClassVar[int | None] = None
    """Published number of images, needed only where `expected` does not name every class."""

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
    def blocks(self, start: int = 0) -> Iterator[Block]:
        """Decoded images in a fixed order, training images first: the whole data set, or what is left of it from image
        number ``start`` on (a cache that was cut while it was built goes on from there)."""

    @property
    def count(self) -> int | None:
        """How many images there are, where that is known before decoding; only progress bars ask."""
        return None

    @property
    def expected(self) -> Mapping[str, tuple[int, int]] | None:
        """Published numbers of (training, test) images by class, where there are any: what `verify` holds a copy to."""
        return None

    @property
    def attributes(self) -> Mapping[str, np.ndarray]:
        """Yes/no properties of every image in the order of `blocks`, (N,) bool each, such as CelebA's forty."""
        return {}

    @property
    def groupings(self) -> Mapping[str, Mapping[str, tuple[int, ...]]]:
        """Named ways to join classes: ``{"official": {"fish": (1, 32, 67, 73, 91), ...}}`` (CIFAR-100)."""
        return {}

    @property
    def copy(self) -> str:
        """ "original" where the files are the distributed ones, otherwise what they are ("JPEG class folders", ...)."""
        return "original"

    @property
    def traits(self) -> frozenset[str]:
        """Properties that methods may branch on, such as "texture"."""
        return frozenset()


@dataclass(frozen=True, kw_only=True)
class Annotations:
    """What is known of a data set beside its pixels: all that a protocol sees.

    labels: (N,) int64.  test: (N,) bool, the official test split.  contents: (N,) uint64, equal exactly where the
    decoded originals are equal.  attributes, groupings: as in `Source`.
    """

    labels: np.ndarray
    test: np.ndarray
    classes: tuple[str, ...]
    contents: np.ndarray
    attributes: Mapping[str, np.ndarray] = field(default_factory=dict)
    groupings: Mapping[str, Mapping[str, tuple[int, ...]]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Images(Annotations):
    """A data set at the size of the run, mapped from disk where there is a cache.

    pixels: (N, C, S, S) uint8, training images first.  masks: (N, S, S) bool or None.
    digest: sha256 of the decoded originals, labels, masks and splits: equal exactly where the content is equal.
    """

    pixels: Tensor
    digest: str
    masks: Tensor | None = None
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
