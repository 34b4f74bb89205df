"""One data set against another: which images do not come from the first?"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np

from novelty.data.decode import to_channels
from novelty.data.source import Block, Source, fingerprint_of

CLASSES = ("inside", "outside")


class Against(Source):
    """All images of one source as the class "inside", the test images of another as the class "outside".

    inside:  keeps its official split.
    outside: gives its test images alone, all its images where it has no official split.

    Where ``inside`` has no official split nothing is flagged as test, and the protocol draws. In colour throughout:
    grey images get three equal channels (and lose nothing where ``channels`` is 1). Sizes are made equal by
    ``data.image_size``. Classes, masks and attributes of the two are dropped.
    """

    def __init__(self, root: Path, *, inside: Source, outside: Source) -> None:
        super().__init__(root)
        self.inside, self.outside = inside, outside

    @property
    def classes(self) -> tuple[str, ...]:
        return CLASSES

    def fingerprint(self) -> str:
        kinds = (type(source).__qualname__ for source in (self.inside, self.outside))
        return fingerprint_of(["Against", *kinds, self.inside.fingerprint(), self.outside.fingerprint()])

    def blocks(self, start: int = 0) -> Iterator[Block]:
        """The training images of ``inside``, its test images, and the images of ``outside``."""
        passed, split = start, False
        for block in self.inside.blocks(start):
            passed, split = passed + len(block.labels), block.test
            yield _labelled(block, 0, block.test)
        if passed == start:  # begun behind them, or at their end
            passed, split = _extent(self.inside)
        for block in of_test(self.outside, start - passed if start > passed else 0):
            yield _labelled(block, 1, split)

    @property
    def copy(self) -> str:
        copies = (self.inside.copy, self.outside.copy)
        if copies == ("original", "original"):
            return "original"
        return "; ".join(f"{name}: {copy}" for name, copy in zip(CLASSES, copies, strict=True))

    @property
    def traits(self) -> frozenset[str]:
        """Those of the normal images."""
        return self.inside.traits


def of_test(source: Source, start: int) -> Iterator[Block]:
    """The test images of a source from number ``start`` on, or all its images where it has no official split.

    Training images come first and may be millions: where the copy has the published number of them they are passed
    over, otherwise they are decoded and dropped.
    """
    first = sum(train for train, _ in (source.expected or {}).values())
    if not (first and _begins_at(source, first)):
        first = 0
        for block in source.blocks():
            if block.test:
                break
            first += len(block.labels)
        else:
            first = 0
    return source.blocks(first + start)


def _begins_at(source: Source, first: int) -> bool:
    """Whether ``first`` is the number of the first test image."""
    around = [(len(block.labels), block.test) for block in islice(source.blocks(first - 1), 2)]
    return around[:1] == [(1, False)] and [test for _, test in around[1:]] == [True]


def _extent(source: Source) -> tuple[int, bool]:
    """How many images there are, and whether there is an official split."""
    count, split = 0, False
    for block in source.blocks():
        count, split = count + len(block.labels), block.test
    return count, split


def _labelled(block: Block, label: int, test: bool) -> Block:
    labels = np.full(len(block.labels), label, dtype=np.int64)
    return Block(to_channels(block.pixels, 3), labels, test)
