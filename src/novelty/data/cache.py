"""A data set at the size of the run: decoded once, kept on disk and in the process."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
import tempfile
import time
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from novelty.data.decode import to_channels
from novelty.data.source import Images, Source, fingerprint_of
from novelty.errors import NoveltyError

_log = logging.getLogger(__name__)

FORMAT = 1
"""Bump when decoding, resizing or the layout of the cache changes: old entries are then passed over."""

_KEPT_IN_PROCESS = 2
_ABANDONED_SECONDS = 24 * 3600
_PATIENCE_SECONDS = 2.0

_memo: OrderedDict[str, Images] = OrderedDict()


def load(source: Source, size: int | None = None, cache: Path | None = None, channels: int | None = None) -> Images:
    """The images of ``source`` as (N, channels, size, size) uint8.

    size:     side in pixels; None keeps the native size, which must then be one square size for all images. Otherwise
              bilinear with antialiasing, short side first; what is not square loses its ends, never its proportions.
    cache:    folder for decoded images (None: none is kept). Written once by atomic rename, memory-mapped from then on
              (copy on write: the tensor may be written to, the file never changes). Where the folder cannot be used, a
              warning is all that happens.
    channels: 1 or 3; None leaves the source's.

    The last two data sets stay in the process. Raises NoveltyError where the data are missing or broken.
    """
    if size is not None and size < 1:
        raise NoveltyError(f"data.image_size is {size}: it must be at least 1 pixel.")
    if channels not in (None, 1, 3):
        raise NoveltyError(f"data.channels is {channels}: it must be 1 (grey) or 3 (colour).")
    kind = f"{type(source).__module__}.{type(source).__qualname__}"
    key = fingerprint_of([FORMAT, kind, source.fingerprint(), size, channels])[:32]
    if key not in _memo:
        _memo[key] = _load(source, size, cache, channels, key)
        while len(_memo) > _KEPT_IN_PROCESS:
            _memo.popitem(last=False)
    _memo.move_to_end(key)
    return _memo[key]


def _load(source: Source, size: int | None, cache: Path | None, channels: int | None, key: str) -> Images:
    entry = Path(cache).expanduser() / key if cache is not None else None
    kept = _read(entry, source) if entry is not None else None
    if kept is not None:
        return kept
    decoded = _decode(source, size, channels)
    if entry is not None:
        try:
            _write(entry, decoded)
        except OSError as error:
            reason = error.strerror or str(error)
            _log.warning("Decoded images cannot be kept in %s (%s): the next run decodes them again.", cache, reason)
        else:
            decoded.parts.clear()  # before mapping the same pixels
            kept = _read(entry, source)
            if kept is None:
                raise NoveltyError(f"The decoded images in {cache} vanished while they were written: run again.")
            return kept
    return decoded.images(source)


class _Decoded:
    """parts: images in order, (n, C, S, S) each; the rest as in `Images`."""

    def __init__(self) -> None:
        self.parts: list[Tensor] = []
        self.labels = np.empty(0, dtype=np.int64)
        self.test = np.empty(0, dtype=bool)
        self.digest = self.copy = ""

    def images(self, source: Source) -> Images:
        pixels = torch.from_numpy(np.concatenate([part.numpy() for part in self.parts]))
        return Images(pixels, self.labels, self.test, source.classes, self.digest, self.copy, source.traits)


def _decode(source: Source, size: int | None, channels: int | None) -> _Decoded:
    """Everything that `Source.blocks` gives, resized; its digest is that of the originals, whatever the blocks were."""
    decoded = _Decoded()
    summed = hashlib.sha256()
    shapes: list[list[int]] = []  # runs of one shape: how many, height, width, channels
    labels: list[np.ndarray] = []
    tests: list[np.ndarray] = []
    with _progress(source.count) as advance:
        for pixels, block_labels, is_test in source.blocks():
            pixels = np.ascontiguousarray(pixels)
            summed.update(pixels.data)
            if shapes and shapes[-1][1:] == list(pixels.shape[1:]):
                shapes[-1][0] += len(pixels)
            else:
                shapes.append(list(pixels.shape))
            labels.append(np.asarray(block_labels, dtype=np.int64))
            tests.append(np.full(len(pixels), is_test))
            side = size if size is not None else _native(pixels, shapes)
            decoded.parts.append(to_square(to_channels(pixels, channels or pixels.shape[-1]), side))
            advance(len(pixels))
    if not labels:
        raise NoveltyError(f"{type(source).__name__} holds no images.")
    decoded.labels, decoded.test = np.concatenate(labels), np.concatenate(tests)
    if np.any(decoded.test[:-1] & ~decoded.test[1:]):
        raise ValueError(f"{type(source).__name__}.blocks gives training images behind test images")
    summed.update(repr((shapes, source.classes)).encode())
    summed.update(decoded.labels.astype("<i8").data)
    summed.update(decoded.test.data)
    decoded.digest, decoded.copy = summed.hexdigest(), source.copy
    return decoded


def _native(pixels: np.ndarray, shapes: list[list[int]]) -> int:
    height, width = pixels.shape[1:3]
    if len({tuple(shape[1:3]) for shape in shapes}) > 1 or height != width:
        sizes = " and ".join(f"{w}x{h}" for _, h, w, _ in shapes[:2])
        raise NoveltyError(
            f"The images are not all of one square size ({sizes}): give data.image_size a side in pixels."
        )
    return int(height)


def to_square(pixels: np.ndarray, size: int) -> Tensor:
    """(n, H, W, C) uint8 as (n, C, size, size): short side resized (bilinear, antialiased), then the centre cut out."""
    height, width = pixels.shape[1:3]
    short = min(height, width)
    target = (round(height * size / short), round(width * size / short))
    images = pixels.transpose(0, 3, 1, 2)
    if target != (height, width):
        tensor = torch.from_numpy(pixels if pixels.flags.writeable else pixels.copy()).permute(0, 3, 1, 2)
        images = F.interpolate(tensor, size=target, mode="bilinear", antialias=True, align_corners=False).numpy()
    top, left = (target[0] - size) // 2, (target[1] - size) // 2
    # numpy copies: on a busy machine torch waits a time slice for its threads at every small copy
    return torch.from_numpy(np.array(images[..., top : top + size, left : left + size], order="C"))


def _write(entry: Path, decoded: _Decoded) -> None:
    """Appears whole or not at all; where another process was faster, its copy stays."""
    entry.parent.mkdir(parents=True, exist_ok=True)
    _sweep(entry.parent)
    building = Path(tempfile.mkdtemp(prefix=".building-", dir=entry.parent))
    try:
        building.chmod(0o755)
        count = len(decoded.labels)
        with (building / "pixels.npy").open("wb") as file:
            header = {"descr": "|u1", "fortran_order": False, "shape": (count, *decoded.parts[0].shape[1:])}
            np.lib.format.write_array_header_1_0(file, header)
            file.writelines(part.numpy().data for part in decoded.parts)
        np.savez(building / "index.npz", labels=decoded.labels, test=decoded.test)
        (building / "about.json").write_text(json.dumps({"digest": decoded.digest, "copy": decoded.copy}))
        try:
            building.rename(entry)
        except OSError:
            if not (entry / "about.json").is_file():
                raise
    finally:
        shutil.rmtree(building, ignore_errors=True)


def _read(entry: Path, source: Source) -> Images | None:
    """What lies in ``entry``; None where nothing does, or nothing whole (which is then removed)."""
    try:
        about = json.loads((entry / "about.json").read_text())
        with (entry / "index.npz").open("rb") as file, np.load(file, allow_pickle=False) as index:
            labels, test = index["labels"], index["test"]
        pixels = np.load(entry / "pixels.npy", mmap_mode="c", allow_pickle=False)
        if len(pixels) != len(labels) or pixels.dtype != np.uint8:
            raise ValueError("lengths differ")
        tensor = torch.from_numpy(pixels)
        return Images(tensor, labels, test, source.classes, about["digest"], about["copy"], source.traits)
    except (FileNotFoundError, NotADirectoryError):
        pass
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        _log.warning("The decoded images in %s are damaged (%s) and are made anew.", entry, error)
    if entry.exists():
        shutil.rmtree(entry, ignore_errors=True)
    return None


def _sweep(cache: Path) -> None:
    """Remove what killed processes left half built."""
    for left in cache.glob(".building-*"):
        try:
            if time.time() - left.stat().st_mtime > _ABANDONED_SECONDS:
                shutil.rmtree(left, ignore_errors=True)
        except OSError:
            continue


@contextmanager
def _progress(total: int | None) -> Iterator[Callable[[int], None]]:
    """A bar on stderr, for decoding that takes more than two seconds."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    bar = Progress(*columns, console=Console(stderr=True))
    task = bar.add_task("Decoding images", total=total)
    start, shown = time.monotonic(), False

    def advance(count: int) -> None:
        nonlocal shown
        bar.advance(task, count)
        if total and not shown and not bar.finished and time.monotonic() - start > _PATIENCE_SECONDS:
            bar.start()
            shown = True

    try:
        yield advance
    finally:
        if shown:
            bar.stop()
