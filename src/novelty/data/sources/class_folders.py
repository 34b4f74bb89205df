"""Images that lie in files, one folder per class or named by class: listing, identity, decoding."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import NamedTuple, cast

import numpy as np

from novelty.data.decode import SUFFIXES, BrokenImage, decode
from novelty.data.source import Block, fingerprint_of, plain_name
from novelty.data.sources.archives import Archive
from novelty.data.sources.streaming import in_order, tasks
from novelty.errors import NoveltyError

_log = logging.getLogger(__name__)

SPLITS = ("train", "test")
_THREADED_BYTES = 16_384
"""Mean file size from which threads help: on 32x32 JPEGs they fight over the interpreter lock (4.5 s for 60,000 files
with one thread, 6-7 s with two)."""


Entry = tuple[str, int, int]
"""One file: path below the top folder or in the archive, size in bytes, time of change in ns."""


class Item(NamedTuple):
    """One image file: path below the top, class index, split, size in bytes, time of change in ns."""

    path: str
    label: int
    test: bool
    size: int
    time: int


@dataclass
class ClassFolders:
    """The image files below the folder ``top`` or in the archive ``top``: training before test, by class, by name.

    left_out: broken images that `blocks` passed over.
    """

    top: Path
    classes: tuple[str, ...]
    items: list[Item]
    left_out: list[str] = field(default_factory=list)
    _seen: set[int] = field(default_factory=set, init=False)

    def fingerprint(self) -> str:
        """Identity by names, sizes and times of change."""
        return fingerprint_of([self.classes, *self.items])

    def describe(self) -> str:
        """What the files are, by their names: "JPEG class folders"."""
        known = {".jpg": "JPEG", ".jpeg": "JPEG", ".jpe": "JPEG", ".jfif": "JPEG", ".tif": "TIFF"}
        suffixes = {_suffix(item.path) for item in self.items}
        kinds = " and ".join(sorted({known.get(suffix, suffix[1:].upper()) for suffix in suffixes}))
        broken = f", {len(self.left_out)} broken images left out" if self.left_out else ""
        return f"{kinds} class folders{broken}"

    def counts(self) -> dict[str, tuple[int, int]]:
        """Numbers of training and of test images by class."""
        found = Counter((item.label, item.test) for item in self.items)
        return {name: (found[i, False], found[i, True]) for i, name in enumerate(self.classes)}

    def blocks(self, channels: int, skip_broken: bool = False, start: int = 0) -> Iterator[Block]:
        """Decoded images from number ``start`` on; raises BrokenImage, or leaves broken ones out with a warning that
        names each (which ones count is then only known by decoding: those before ``start`` are decoded and dropped)."""
        self.left_out.clear()
        passed = start if skip_broken else 0
        with self._opened() as opened:
            for is_test, items in groupby(self.items[start - passed :], key=lambda item: item.test):
                for decoded in self._decoded(list(items), channels, skip_broken, opened):
                    kept, passed = decoded[passed:], max(0, passed - len(decoded))
                    for _, run in groupby(kept, key=lambda pair: pair[0].shape):
                        pixels, labels = zip(*run, strict=True)
                        yield Block(np.stack(pixels), np.array(labels, dtype=np.int64), is_test)
        empty = sorted({item.label for item in self.items} - self._seen) if self.left_out else []
        if empty:
            raise NoveltyError(f"No image of class {self.classes[empty[0]]} under {self.top} can be read.")

    @contextmanager
    def _opened(self) -> Iterator[Callable[[str], Path]]:
        """What gives, for a path below ``top``, something that `decode` opens."""
        if self.top.is_dir():
            yield self.top.__truediv__
        else:
            with Archive(self.top) as archive:  # PIL reads open files as well as paths
                yield lambda path: cast(Path, archive.read(path))

    def _decoded(
        self, items: list[Item], channels: int, skip_broken: bool, opened: Callable[[str], Path]
    ) -> Iterator[list[tuple[np.ndarray, int]]]:
        """Tasks of images and labels in order; a few tasks ahead of the reader, lest large photographs pile up."""

        def work(task: list[Item]) -> list[tuple[np.ndarray, int] | BrokenImage]:
            return [attempt(item) for item in task]

        def attempt(item: Item) -> tuple[np.ndarray, int] | BrokenImage:
            try:
                return decode(opened(item.path), channels), item.label
            except BrokenImage as error:
                return error

        def admit(results: list[tuple[np.ndarray, int] | BrokenImage]) -> list[tuple[np.ndarray, int]]:
            good = []
            for result in results:
                if not isinstance(result, BrokenImage):
                    self._seen.add(result[1])
                    good.append(result)
                elif skip_broken:
                    _log.warning("Left out: %s", result)
                    self.left_out.append(str(result))
                else:
                    raise result
            return good

        small = sum(item.size for item in items) < _THREADED_BYTES * len(items)
        yield from map(admit, (map if small else in_order)(work, tasks(items)))


def has_split(top: Path, splits: tuple[str, str] = SPLITS) -> bool:
    """Whether ``top`` holds the two folders of an official split."""
    return all((top / split).is_dir() for split in splits)


def read_split(
    top: Path,
    classes: Sequence[str] | None = None,
    splits: tuple[str, str] = SPLITS,
    folders: Sequence[str] | None = None,
) -> ClassFolders:
    """``top/{train,test}/<class>/**``.

    classes: the names in label order (folders match without regard to case, blanks, hyphens and underscores), each of
             which must have images in both splits; without them the folders are the classes, first those that have
             training images, in alphabetical order. Other folders beside train and test (MVTec AD's ground_truth) are
             not looked at.
    splits:  names of the two folders.
    folders: names of the class folders, where those are not the names of the classes.
    """
    if classes is not None:
        found = {split: _matched(top / split, classes, folders or classes) for split in splits}
        names = list(classes)
    else:
        found = {split: {path.name: path for path in _folders(top / split)} for split in splits}
        train, test = (found[split] for split in splits)
        names = sorted(train) + sorted(test.keys() - train.keys())
        if not train:
            where = top / splits[0]
            raise NoveltyError(f"{where} has no class folders: put the images into {where}/<class>/.")
    items = [
        Item(path, label, split == splits[1], size, time)
        for split in splits
        for label, name in enumerate(names)
        if name in found[split]
        for path, size, time in images_below(found[split][name], top)
    ]
    return _checked(top, names, items)


def read_unsplit(top: Path, classes: Sequence[str] | None = None) -> ClassFolders:
    """``top/<class>/**``: no official split, every image is flagged as training; classes as in `read_split`."""
    found = {path.name: path for path in _folders(top)} if classes is None else _matched(top, classes, classes)
    items = [
        Item(path, label, False, size, time)
        for label, folder in enumerate(found.values())
        for path, size, time in images_below(folder, top)
    ]
    return _checked(top, list(found), items)


def read_named(
    top: Path, files: Iterable[Entry], classes: Sequence[str], label_of: Callable[[str], int | None]
) -> ClassFolders:
    """Those of ``files`` (of the folder or archive ``top``) whose paths tell their classes; unsplit.

    label_of: the label of the file of that path below ``top``; None for a file that is none of the data set's images.
    """
    found = sorted(
        Item(path, label, False, size, time) for path, size, time in files if (label := label_of(path)) is not None
    )
    found.sort(key=lambda item: item.label)
    have = {item.label for item in found}
    lost = [name for label, name in enumerate(classes) if label not in have]
    if lost:
        raise NoveltyError(f"{top} holds no image of class {lost[0]}: get it again whole.")
    return ClassFolders(top, tuple(classes), found)


def files_of(top: Path) -> list[Entry]:
    """All files below a folder or in an archive, in any order; those of an archive have its time."""
    if top.is_dir():
        return _below(top, top)
    with Archive(top) as archive:
        time = top.stat().st_mtime_ns
        return [(name, size, time) for name, size in archive.sizes.items()]


def images_below(folder: Path, top: Path) -> list[Entry]:
    """The image files in ``folder`` and its subfolders, sorted; at least one."""
    found = sorted(entry for entry in _below(folder, top) if _suffix(entry[0]) in SUFFIXES)
    if not found:
        raise NoveltyError(f"{folder} holds no image ({' '.join(sorted(SUFFIXES))}).")
    return found


def _below(folder: Path, top: Path) -> list[Entry]:
    start = len(os.fspath(top / "_")) - 1
    return [(path[start:], status.st_size, status.st_mtime_ns) for path, status in _walk(os.fspath(folder))]


def _walk(folder: str, above: tuple[str, ...] = ()) -> Iterator[tuple[str, os.stat_result]]:
    """Files that are not hidden; links are followed, but for those that lead to where the walk came from."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.is_dir(follow_symlinks=False):
                yield from _walk(entry.path, above)
            elif entry.is_dir():
                there, here = os.path.realpath(entry.path), (*above, os.path.realpath(folder))
                if not any(path == there or path.startswith(there + os.sep) for path in here):
                    yield from _walk(entry.path, here)
            elif entry.is_file():
                yield entry.path, entry.stat()


def _suffix(path: str) -> str:
    """`Path.suffix` in lower case, several times faster."""
    return os.path.splitext(path)[1].lower()  # noqa: PTH122


def _checked(top: Path, names: Sequence[str], items: list[Item]) -> ClassFolders:
    if not items:
        raise NoveltyError(f"{top} has no class folders with images: put them into {top}/<class>/.")
    return ClassFolders(top, tuple(names), items)


def _matched(top: Path, classes: Sequence[str], folders: Sequence[str]) -> dict[str, Path]:
    """The folder of each class, by its name; raises NoveltyError for the first that is not there."""
    by_name = {plain_name(path.name): path for path in _folders(top)}
    for name in folders:
        if plain_name(name) not in by_name:
            raise NoveltyError(f"{top} has no folder for class {name}: it needs {', '.join(folders)}.")
    return {name: by_name[plain_name(folder)] for name, folder in zip(classes, folders, strict=True)}


def _folders(top: Path) -> list[Path]:
    return sorted(path for path in top.iterdir() if path.is_dir() and not path.name.startswith("."))
