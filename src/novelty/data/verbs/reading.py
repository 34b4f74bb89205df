"""Reading a data set through, once, with an eye on what a cache does not keep: sizes, and masks before they shrink."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from novelty.data.building import cut
from novelty.data.contents import hashes
from novelty.data.source import Block, Images, Source
from novelty.data.verbs.asked import Asked
from novelty.errors import NoveltyError


@dataclass(frozen=True)
class Read:
    """sizes: (N, 2) height and width of every image.  marked: (N,) bool, whether its mask marks something, or None."""

    images: Images
    sizes: np.ndarray
    marked: np.ndarray | None


@dataclass
class _Seen:
    """What went by of a source."""

    sizes: list[np.ndarray] = field(default_factory=list)
    marked: list[np.ndarray] = field(default_factory=list)

    def note(self, block: Block) -> None:
        count, size = len(block.labels), block.pixels.shape[1:3]
        self.sizes.append(np.full((count, 2), size, dtype=np.int32))
        if block.masks is not None:
            self.marked.append(np.any(block.masks, axis=(1, 2)))

    @property
    def count(self) -> int:
        return sum(map(len, self.sizes))


def read(one: Asked, source: Source) -> Read:
    """Have every image of ``source`` decoded exactly once, into the cache where it is not there yet.

    What is there already, or a part of it from a build that was cut, is decoded again and compared: a file may have
    been damaged since. Raises NoveltyError where an image is broken or is not what was decoded earlier.
    """
    images, later = _watched(one, source)
    before = _Seen()
    _compare(source, images, len(images.labels) - later.count, before, one.cache)
    marked = [*before.marked, *later.marked]
    return Read(images, np.concatenate([*before.sizes, *later.sizes]), np.concatenate(marked) if marked else None)


def name_all_broken(one: Asked) -> None:
    """Read on behind the first broken image: the source itself warns of each that it would leave out."""
    print("Every image that cannot be read:", file=sys.stderr, flush=True)
    with suppress(NoveltyError):  # a class of which nothing is left
        for _ in one.source(skip_broken=True).blocks():
            pass


def _watched(one: Asked, source: Source) -> tuple[Images, _Seen]:
    """The images, and what had to be decoded for them."""
    seen, decoded = _Seen(), source.blocks

    def blocks(start: int = 0) -> Iterator[Block]:
        seen.sizes.clear()
        seen.marked.clear()
        for block in decoded(start):
            seen.note(block)
            yield block

    vars(source)["blocks"] = blocks  # of this object alone: the cache knows entries by the class
    try:
        return one.images(source), seen
    finally:
        del vars(source)["blocks"]


def _compare(source: Source, images: Images, stop: int, seen: _Seen, cache: Path) -> None:
    """Decode the images before number ``stop`` and hold them against what is known of them."""
    from rich.console import Console
    from rich.progress import Progress

    if not stop:
        return
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("Reading again what was decoded earlier", total=stop)
        for block in source.blocks():
            left = cut(block, 0, stop - seen.count)
            first = seen.count
            known = images.contents[first : first + len(left.labels)]
            other = np.flatnonzero(hashes(left.pixels)[:, 0] != known)
            if len(other):
                number = first + int(other[0])
                raise NoveltyError(
                    f"Image {number:,} of the data set, of class {images.classes[images.labels[number]]}, is not what "
                    f"an earlier run decoded, although size and time of its file are the same: get the copy again, or "
                    f"remove {cache} to take it as it is now."
                )
            seen.note(left)
            progress.update(task, completed=seen.count)
            if seen.count == stop:
                return
    raise NoveltyError(
        f"Of {stop:,} images that an earlier run decoded, {seen.count:,} are left: get the copy again, or remove "
        f"{cache} to take it as it is now."
    )
