"""Many image files to blocks: decoded in threads, in order, a few at a time."""

from __future__ import annotations

import logging
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import groupby
from typing import NamedTuple, Protocol, TypeVar

import numpy as np

from novelty.data.decode import BrokenImage
from novelty.data.source import Block
from novelty.errors import NoveltyError

_log = logging.getLogger(__name__)

_TASK_FILES, _TASK_BYTES = 128, 1 << 19
THREADS = min(8, os.cpu_count() or 1)


class Listed(Protocol):
    """An image that was found and not yet read: class index, split, size in bytes."""

    @property
    def label(self) -> int: ...
    @property
    def test(self) -> bool: ...
    @property
    def size(self) -> int: ...


class Picture(NamedTuple):
    """A decoded image: pixels (H, W, C) uint8, mask (H, W) bool or None."""

    pixels: np.ndarray
    mask: np.ndarray | None = None


Item = TypeVar("Item", bound=Listed)
Load = Callable[[Item], Picture]


def stream(items: Iterable[Item], load: Load[Item], left_out: list[str] | None = None) -> Iterator[Block]:
    """Blocks of ``items`` in their order; no more than a few megabytes of files are taken ahead of the reader.

    load:     reads one image, in any thread; it raises BrokenImage where that cannot be done.
    left_out: where broken images are noted, with a warning each; None: they are raised.
    """

    def work(task: list[Item]) -> list[tuple[Item, Picture | BrokenImage]]:
        return [(item, _attempt(load, item)) for item in task]

    for results in in_order(work, tasks(items)):
        good: list[tuple[Item, Picture]] = []
        for item, result in results:
            if isinstance(result, Picture):
                good.append((item, result))
            elif left_out is None:
                raise result
            else:
                _log.warning("Left out: %s", result)
                left_out.append(str(result))
        for (_, test), run in groupby(good, key=lambda pair: (pair[1].pixels.shape, pair[0].test)):
            kept, pictures = zip(*run, strict=True)
            masks = [picture.mask for picture in pictures if picture.mask is not None]
            yield Block(
                np.stack([picture.pixels for picture in pictures]),
                np.array([item.label for item in kept], dtype=np.int64),
                test,
                np.stack(masks) if masks else None,
            )


def stream_own(
    items: Sequence[Item],
    load: Load[Item],
    classes: Sequence[str],
    skip_broken: bool,
    left_out: list[str],
    start: int = 0,
) -> Iterator[Block]:
    """As `stream`, of a person's own images, from image number ``start`` on.

    skip_broken: broken images do not count; then all files are read, whatever ``start`` is, to know which these are.
    left_out:    emptied, then filled with what was passed over.

    Raises BrokenImage, with the remedy; NoveltyError where no image of a class can be read.
    """
    left_out.clear()
    if not skip_broken:
        try:
            yield from stream(items[start:], load)
        except BrokenImage as error:
            raise may_be_skipped(error) from None
        return
    seen: set[int] = set()
    passed = start
    for block in stream(items, load, left_out):
        seen.update(block.labels.tolist())
        kept = (
            block.pixels[passed:],
            block.labels[passed:],
            block.test,
            None if block.masks is None else block.masks[passed:],
        )
        passed = max(0, passed - len(block.labels))
        if len(kept[1]):
            yield Block(*kept)
    lost = sorted({item.label for item in items} - seen)
    if lost:
        raise NoveltyError(f"No image of class {classes[lost[0]]} can be read; the first that failed: {left_out[0]}")


def may_be_skipped(error: BrokenImage) -> BrokenImage:
    """``error`` with the remedy of sources that have the option ``skip_broken``."""
    return BrokenImage(f"{str(error).rstrip('.')}, or leave such images out with data.source.skip_broken=true.")


Task = TypeVar("Task")
Result = TypeVar("Result")


def in_order(work: Callable[[Task], Result], tasks: Iterable[Task]) -> Iterator[Result]:
    """``map(work, tasks)`` in threads: results in order, at most two tasks a thread begun before they are wanted."""
    if THREADS == 1:
        yield from map(work, tasks)
        return
    with ThreadPoolExecutor(THREADS) as pool:
        ahead: deque[Future[Result]] = deque()
        try:
            for task in tasks:
                ahead.append(pool.submit(work, task))
                if len(ahead) > 2 * THREADS:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _attempt(load: Load[Item], item: Item) -> Picture | BrokenImage:
    try:
        return load(item)
    except BrokenImage as error:
        return error


def tasks(items: Iterable[Item]) -> Iterator[list[Item]]:
    """Consecutive items in lists of about half a megabyte of files."""
    task: list[Item] = []
    weight = 0
    for item in items:
        task.append(item)
        weight += item.size
        if len(task) >= _TASK_FILES or weight >= _TASK_BYTES:
            yield task
            task, weight = [], 0
    if task:
        yield task
