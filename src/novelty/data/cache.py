"""A data set at the size of the run: decoded once, kept on disk, mapped into the process."""

from __future__ import annotations

import io
import json
import logging
import math
import mmap
import os
import shutil
import sys
import time
import zipfile
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import torch
from filelock import FileLock, Timeout
from torch import Tensor

from novelty.data.building import build, in_memory
from novelty.data.contents import Summary
from novelty.data.site import ABOUT, INDEX, MASKS, PIXELS, Unusable, writing
from novelty.data.source import Images, Source, fingerprint_of
from novelty.errors import NoveltyError

_log = logging.getLogger(__name__)

FORMAT = 2
"""Bump when decoding, resizing or the layout of the cache changes: old entries are then passed over."""

_KEPT_IN_PROCESS = 2
_ABANDONED_SECONDS = 24 * 3600
_LOCKS = ".locks"
_NORESERVE = getattr(mmap, "MAP_NORESERVE", 0x4000)  # Python knows the name from 3.13 on; Linux's value

_memo: OrderedDict[str, Images] = OrderedDict()


class _Damaged(Exception):
    """What is wrong with an entry."""


def load(source: Source, size: int | None = None, cache: Path | None = None, channels: int | None = None) -> Images:
    """The images of ``source`` as (N, channels, size, size) uint8, and masks as (N, size, size) bool where it has them.

    size:     side in pixels; None keeps the native size, which must then be one square size for all images. Otherwise
              bilinear with antialiasing, short side first; what is not square loses its ends, never its proportions.
              Masks follow by nearest neighbour.
    cache:    folder for decoded images (None: none is kept, all are in memory). Filled image by image (`building`) and
              memory-mapped from then on, so that a data set need not fit in memory (copy on write: the tensors may be
              written to, the files never change). Of several runs that want the same, one decodes and the others wait.
              Where the folder cannot be used, a warning is all that happens.
    channels: 1 or 3; None leaves the source's.

    The last two data sets stay in the process. Raises NoveltyError where the data are missing or broken.
    """
    if size is not None and size < 1:
        raise NoveltyError(f"data.image_size is {size}: it must be at least 1 pixel.")
    if channels not in (None, 1, 3):
        raise NoveltyError(f"data.channels is {channels}: it must be 1 (grey) or 3 (colour).")
    key = _key(source, size, channels)
    if key not in _memo:
        _memo[key] = _load(source, size, cache, channels, key)
        while len(_memo) > _KEPT_IN_PROCESS:
            _memo.popitem(last=False)
    _memo.move_to_end(key)
    return _memo[key]


def known(source: Source, size: int | None, cache: Path, channels: int | None) -> Images | None:
    """What `load` would give without decoding, because an earlier run left it in ``cache``; None where none did."""
    with suppress(_Damaged, Unusable):
        return _read(Path(cache).expanduser() / _key(source, size, channels), source)
    return None


def _key(source: Source, size: int | None, channels: int | None) -> str:
    """The name of an entry."""
    kind = f"{type(source).__module__}.{type(source).__qualname__}"
    return fingerprint_of([FORMAT, kind, source.fingerprint(), size, channels])[:32]


def _load(source: Source, size: int | None, cache: Path | None, channels: int | None, key: str) -> Images:
    if cache is not None:
        try:
            return _kept(source, Path(cache).expanduser() / key, size, channels)
        except Unusable as error:
            _log.warning("Decoded images cannot be kept in %s (%s): the next run decodes them again.", cache, error)
    return in_memory(source, size, channels)


def _kept(source: Source, entry: Path, size: int | None, channels: int | None) -> Images:
    """What lies in ``entry``, put there first where nothing does, or nothing whole."""
    with suppress(_Damaged):
        images = _read(entry, source)
        if images is not None:
            return images
    with _alone(entry):
        try:
            images = _read(entry, source)  # a run that we waited for may have done it
        except _Damaged as error:
            _log.warning("The decoded images in %s are damaged (%s) and are made anew.", entry, error)
            images = None
            with writing():
                shutil.rmtree(entry)
        if images is None:
            _sweep(entry)
            build(source, entry, size, channels)
            with suppress(_Damaged):
                images = _read(entry, source)
    if images is None:
        raise NoveltyError(f"The decoded images in {entry.parent} vanished while they were written: run again.")
    return images


@contextmanager
def _alone(entry: Path) -> Iterator[None]:
    """Hold the key of ``entry``, waiting for another process that does; the lock dies with its holder."""
    lock = FileLock(entry.parent / _LOCKS / entry.name, fallback_to_soft=False)  # a marker file outlives its holder
    try:
        Path(lock.lock_file).parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            line = f"Another run is decoding these images into {entry.parent}; waiting for it, Ctrl-C leaves it alone."
            print(line, file=sys.stderr, flush=True)
            lock.acquire()
    except OSError as error:
        raise Unusable(getattr(error, "strerror", None) or str(error)) from None
    try:
        yield
    finally:
        lock.release()


def _read(entry: Path, source: Source) -> Images | None:
    """What lies in ``entry``, or None where nothing does. Raises _Damaged, or Unusable where it may not be read."""
    try:
        about = json.loads((entry / ABOUT).read_text())
        with np.load(io.BytesIO((entry / INDEX).read_bytes()), allow_pickle=False) as index:
            arrays = {name: index[name] for name in index.files}
        labels, test, contents = (arrays.pop(name) for name in ("labels", "test", "contents"))
        attributes = {name.partition("/")[2]: values for name, values in arrays.items()}
        pixels = _mapped(entry / PIXELS)
        masks = _mapped(entry / MASKS) if about["masks"] else None
        if {len(labels), len(test), len(contents), len(pixels if masks is None else masks)} != {len(pixels)}:
            raise ValueError("lengths differ")
        summary = Summary(labels, test, contents, attributes, about["digest"], about["copy"])
        return summary.images(source, pixels, masks)
    except (FileNotFoundError, NotADirectoryError) as error:
        if not entry.exists():
            return None
        raise _Damaged(f"{Path(error.filename).name} is missing") from None
    except OSError as error:
        raise Unusable(error.strerror or str(error)) from None
    except (ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise _Damaged(str(error)) from None


def _mapped(path: Path) -> Tensor:
    """An npy file in place of memory, copy on write."""
    with path.open("rb") as file:
        if np.lib.format.read_magic(file) != (1, 0):
            raise ValueError(f"{path.name} has another format")
        shape, _, dtype = np.lib.format.read_array_header_1_0(file)
        start = file.tell()
        if os.fstat(file.fileno()).st_size != start + math.prod(shape):
            raise ValueError(f"{path.name} is cut off")
        if sys.platform == "linux":  # numpy's own mapping is refused where the file is larger than the memory
            access, flags = mmap.PROT_READ | mmap.PROT_WRITE, mmap.MAP_PRIVATE | _NORESERVE
            mapped = mmap.mmap(file.fileno(), 0, flags=flags, prot=access)
        else:
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    return torch.from_numpy(np.frombuffer(mapped, dtype=dtype, offset=start).reshape(shape))


def _sweep(entry: Path) -> None:
    """Remove what killed runs left half built a day ago or longer, but not what ``entry`` can go on from."""
    for left in entry.parent.glob(".building-*"):
        key = left.name.removeprefix(".building-")
        with suppress(OSError):
            if key != entry.name and time.time() - left.stat().st_mtime > _ABANDONED_SECONDS:
                with FileLock(entry.parent / _LOCKS / key, timeout=0, fallback_to_soft=False):
                    shutil.rmtree(left, ignore_errors=True)
