"""From the blocks of a source to images of the run's size: as they come into a folder of the cache, or into memory."""

from __future__ import annotations

import logging
import math
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from novelty.data.contents import notes_of, summarise
from novelty.data.decode import to_channels
from novelty.data.paging import physical_memory
from novelty.data.resize import masks_to_square, to_square
from novelty.data.site import Site, Unusable
from novelty.data.source import Block, Images, Source
from novelty.errors import NoveltyError

_log = logging.getLogger(__name__)

_PATIENCE_SECONDS = 2.0
_PIECE_BYTES = 16 << 20


class Piece(NamedTuple):
    """Some images at the size of the run.

    pixels: (n, C, S, S) uint8.  masks: (n, S, S) bool, or None.  notes: (n,) `contents.NOTES` of the originals.
    """

    pixels: np.ndarray
    masks: np.ndarray | None
    notes: np.ndarray


class Preparation:
    """Makes pieces of blocks, all of one form.

    size, channels: as in `cache.load`.  form: (C, S, S) of every image and whether it has a mask; the first block says
    it, or the earlier try that goes on.
    """

    def __init__(self, size: int | None, channels: int | None, form: tuple[tuple[int, ...], bool] | None) -> None:
        self.size, self.channels, self.form = size, channels, form
        self._native = form[0][1:] if form else None

    def pieces(self, block: Block) -> Iterator[Piece]:
        """``block`` in pieces of some megabytes: a source may give all its images in one."""
        side = self.size if self.size is not None else self._native_side(block.pixels)
        channels = self.channels or block.pixels.shape[-1]
        shape = (channels, side, side)
        self._check(shape, block)
        step = max(1, _PIECE_BYTES // max(math.prod(shape), math.prod(block.pixels.shape[1:])))
        for start in range(0, len(block.pixels), step):
            part = cut(block, start, start + step)
            part = part._replace(pixels=np.ascontiguousarray(part.pixels))
            pixels = to_square(to_channels(part.pixels, channels), side).numpy()
            masks = None if part.masks is None else masks_to_square(part.masks, side)
            yield Piece(pixels, masks, notes_of(part))

    def _native_side(self, pixels: np.ndarray) -> int:
        height, width = pixels.shape[1:3]
        first = self._native = self._native or (height, width)
        if first != (height, width) or height != width:
            sizes = " and ".join(f"{w}x{h}" for h, w in dict.fromkeys([first, (height, width)]))
            raise NoveltyError(
                f"The images are not all of one square size ({sizes}): give data.image_size a side in pixels."
            )
        return int(height)

    def _check(self, shape: tuple[int, ...], block: Block) -> None:
        masks, masked = block.masks, block.masks is not None
        if masks is not None and (masks.shape != block.pixels.shape[:3] or masks.dtype != bool):
            raise ValueError(f"masks are {masks.dtype} {masks.shape}, not bool {block.pixels.shape[:3]}")
        self.form = self.form or (shape, masked)
        if self.form[0] != shape:
            raise NoveltyError(
                f"Some images have {self.form[0][0]} channels and some {shape[0]}: set data.channels to 1 or 3."
            )
        if self.form[1] != masked:
            raise ValueError("a source gives masks with every block or with none")


def cut(block: Block, start: int, stop: int | None = None) -> Block:
    """The images ``start`` to ``stop`` of ``block``."""
    part = slice(start, stop)
    masks = None if block.masks is None else block.masks[part]
    return Block(block.pixels[part], block.labels[part], block.test, masks)


def build(source: Source, entry: Path, size: int | None, channels: int | None) -> None:
    """Decode ``source`` into the folder ``entry``, which appears whole; the caller holds the lock of its key.

    Images go to disk as they come, and every few seconds the folder in which they gather notes how many are safe. A
    build that was cut, by `kill -9` too, goes on from there, and its result is the same to the byte.

    Where ``source`` raises (a broken image, a network drive that is gone), what was decoded stays as well. Its place is
    named after the key, hence after the fingerprint of the files: a try after a passing failure goes on, a second try
    on the same broken file fails at once instead of hours later, but a file that was repaired makes another
    fingerprint, and all is decoded anew; what nobody goes on with is swept away after a day.

    Raises Unusable where the folder cannot be written to, or the disk is full; what was written is then removed.
    """
    site = Site(entry.with_name(f".building-{entry.name}"))
    try:
        if not site.complete:
            _fill(site, source, size, channels)
        site.publish(entry)
    except Unusable as error:
        removed = "; what was written has been removed" if site.count else ""
        site.remove()
        raise Unusable(f"{error}{removed}") from None
    except BaseException:
        with suppress(Unusable):
            site.leave()
        raise


def _fill(site: Site, source: Source, size: int | None, channels: int | None) -> None:
    blocks = _rest(source, site)
    preparation = Preparation(size, channels, site.form)
    total = source.count
    with _progress(total, site.count) as advance:
        for block in blocks:
            for piece in preparation.pieces(block):
                site.append(piece.pixels, piece.masks, piece.notes, total)
                advance(len(piece.notes))
    if not site.count:
        raise _empty(source)
    site.finish(summarise(source, site.notes()))


def _rest(source: Source, site: Site) -> Iterator[Block]:
    """What ``site`` lacks; its last image is decoded once more, to see whether the source goes on where it was."""
    if not site.count:
        return source.blocks()
    blocks = source.blocks(site.count - 1)
    first = next(blocks, None)
    if first is not None and np.array_equal(site.notes(site.count - 1), notes_of(cut(first, 0, 1))):
        return chain([cut(first, 1)], blocks)
    _log.warning("What an earlier run decoded of %s does not fit its files: it is decoded anew.", type(source).__name__)
    site.clear()
    return source.blocks()


def in_memory(source: Source, size: int | None, channels: int | None) -> Images:
    """The images of ``source`` where there is no cache."""
    preparation = Preparation(size, channels, None)
    pieces: list[Piece] = []
    with _progress(source.count) as advance:
        for block in source.blocks():
            for piece in preparation.pieces(block):
                if not pieces:
                    _check_memory(source.count, piece)
                pieces.append(piece)
                advance(len(piece.notes))
    if not pieces:
        raise _empty(source)
    summary = summarise(source, np.concatenate([piece.notes for piece in pieces]))
    pixels = deque(piece.pixels for piece in pieces)
    masks = deque(piece.masks for piece in pieces if piece.masks is not None)
    pieces.clear()
    return summary.images(source, _joined(pixels), _joined(masks) if masks else None)


def _joined(parts: deque[np.ndarray]) -> Tensor:
    """``parts`` one behind another; each is let go as soon as it is copied."""
    whole = np.empty((sum(map(len, parts)), *parts[0].shape[1:]), dtype=parts[0].dtype)
    start = 0
    while parts:
        part = parts.popleft()
        whole[start : start + len(part)] = part
        start += len(part)
    return torch.from_numpy(whole)


def _check_memory(count: int | None, piece: Piece) -> None:
    """Better now than by the system's hand after hours."""
    needed, there = (count or 0) * math.prod(piece.pixels.shape[1:]), physical_memory()
    if needed > there:
        raise NoveltyError(
            f"The images take {needed / 1e9:.1f} GB at this size, and the machine has {there / 1e9:.1f} GB of memory: "
            f"set paths.cache to a folder with that much room on disk."
        )


def _empty(source: Source) -> NoveltyError:
    return NoveltyError(f"{type(source).__name__} holds no images.")


@contextmanager
def _progress(total: int | None, done: int = 0) -> Iterator[Callable[[int], None]]:
    """A bar on stderr, for decoding that takes more than two seconds; ``done`` images were decoded before."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    bar = Progress(*columns, console=Console(stderr=True))
    task = bar.add_task("Decoding images", total=total, completed=done)
    start, shown = time.monotonic(), False

    def advance(count: int) -> None:
        nonlocal shown
        bar.advance(task, count)
        if not shown and not bar.finished and time.monotonic() - start > _PATIENCE_SECONDS:
            bar.start()
            shown = True

    try:
        yield advance
    finally:
        if shown:
            bar.stop()
