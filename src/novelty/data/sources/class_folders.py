"""Images that lie in one folder per class: listing, identity, decoding."""

from __future__ import annotations

import logging
import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import numpy as np

from novelty.data.decode import SUFFIXES, BrokenImage, decode
from novelty.data.source import Block, fingerprint_of, plain_name
from novelty.errors import NoveltyError

_log = logging.getLogger(__name__)

_TASK_FILES, _TASK_BYTES = 256, 1 << 20
_THREADED_BYTES = 16_384
"""Mean file size from which threads help: on 32x32 JPEGs they fight over the interpreter lock (4.5 s for 60,000 files
with one thread, 6-7 s with two)."""


class Item(NamedTuple):
    """One image file: path below the top folder, class index, split, size in bytes, time of change in ns."""

    path: str
    label: int
    test: bool
    size: int
    time: int


@dataclass
class ClassFolders:
    """The image files below ``top``: training before test, by class, in the order of their names.

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

    def blocks(self, channels: int, skip_broken: bool = False) -> Iterator[Block]:
        """Decoded images; raises BrokenImage, or leaves broken ones out with a warning that names each."""
        self.left_out.clear()
        for is_test, items in groupby(self.items, key=lambda item: item.test):
            for decoded in self._decoded(list(items), channels, skip_broken):
                for _, run in groupby(decoded, key=lambda pair: pair[0].shape):
                    pixels, labels = zip(*run, strict=True)
                    yield Block(np.stack(pixels), np.array(labels, dtype=np.int64), is_test)
        empty = sorted({item.label for item in self.items} - self._seen) if self.left_out else []
        if empty:
            raise NoveltyError(f"No image of class {self.classes[empty[0]]} under {self.top} can be read.")

    def _decoded(self, items: list[Item], channels: int, skip_broken: bool) -> Iterator[list[tuple[np.ndarray, int]]]:
        """Tasks of images and labels in order; a few tasks ahead of the reader, lest large photographs pile up."""

        def work(task: list[Item]) -> list[tuple[np.ndarray, int] | BrokenImage]:
            return [self._decode(item, channels) for item in task]

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

        threads = min(8, os.cpu_count() or 1)
        if threads == 1 or sum(item.size for item in items) < _THREADED_BYTES * len(items):
            yield from (admit(work(task)) for task in _tasks(items))
            return
        with ThreadPoolExecutor(threads) as pool:
            ahead: deque[Future[list[tuple[np.ndarray, int] | BrokenImage]]] = deque()
            try:
                for task in _tasks(items):
                    ahead.append(pool.submit(work, task))
                    if len(ahead) > 2 * threads:
                        yield admit(ahead.popleft().result())
                while ahead:
                    yield admit(ahead.popleft().result())
            finally:
                pool.shutdown(wait=False, cancel_futures=True)

    def _decode(self, item: Item, channels: int) -> tuple[np.ndarray, int] | BrokenImage:
        try:
            return decode(self.top / item.path, channels), item.label
        except BrokenImage as error:
            return error


def has_split(top: Path) -> bool:
    """Whether ``top`` holds the two folders of an official split."""
    return (top / "train").is_dir() and (top / "test").is_dir()


def read_split(top: Path, classes: Sequence[str] | None = None) -> ClassFolders:
    """``top/{train,test}/<class>/**``.

    classes: the names in label order (folders match without regard to case, blanks, hyphens and underscores), each of
    which must have images in both splits; without them the folders are the classes, first those that have training
    images, in alphabetical order. Other folders beside train and test (MVTec AD's ground_truth) are not looked at.
    """
    splits = ("train", "test")
    found = {split: {path.name: path for path in _folders(top / split)} for split in splits}
    if classes is None:
        names = sorted(found["train"]) + sorted(found["test"].keys() - found["train"].keys())
        if not found["train"]:
            raise NoveltyError(f"{top / 'train'} has no class folders: put the images into {top / 'train'}/<class>/.")
    else:
        names = list(classes)
        for split in splits:
            by_name = {plain_name(name): path for name, path in found[split].items()}
            lost = [name for name in names if plain_name(name) not in by_name]
            if lost:
                raise NoveltyError(f"{top / split} has no folder for class {lost[0]}: it needs {', '.join(names)}.")
            found[split] = {name: by_name[plain_name(name)] for name in names}
    items = [
        Item(path, label, split == "test", size, time)
        for split in splits
        for label, name in enumerate(names)
        if name in found[split]
        for path, size, time in images_below(found[split][name], top)
    ]
    return _checked(top, names, items)


def read_unsplit(top: Path) -> ClassFolders:
    """``top/<class>/**``: no official split, every image is flagged as training."""
    names = [path.name for path in _folders(top)]
    items = [
        Item(path, label, False, size, time)
        for label, name in enumerate(names)
        for path, size, time in images_below(top / name, top)
    ]
    return _checked(top, names, items)


def images_below(folder: Path, top: Path) -> list[tuple[str, int, int]]:
    """(path below ``top``, size, time) of the image files in ``folder`` and its subfolders, sorted; at least one."""
    start = len(os.fspath(top / "_")) - 1
    found = sorted((path[start:], status.st_size, status.st_mtime_ns) for path, status in _walk(os.fspath(folder)))
    if not found:
        raise NoveltyError(f"{folder} holds no image ({' '.join(sorted(SUFFIXES))}).")
    return found


def _walk(folder: str) -> Iterator[tuple[str, os.stat_result]]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.is_dir(follow_symlinks=False):
                yield from _walk(entry.path)
            elif _suffix(entry.name) in SUFFIXES and entry.is_file():
                yield entry.path, entry.stat()


def _suffix(path: str) -> str:
    """`Path.suffix` in lower case, several times faster."""
    return os.path.splitext(path)[1].lower()  # noqa: PTH122


def _checked(top: Path, names: Sequence[str], items: list[Item]) -> ClassFolders:
    if not items:
        raise NoveltyError(f"{top} has no class folders with images: put them into {top}/<class>/.")
    return ClassFolders(top, tuple(names), items)


def _folders(top: Path) -> list[Path]:
    return sorted(path for path in top.iterdir() if path.is_dir() and not path.name.startswith("."))


def _tasks(items: Iterable[Item]) -> Iterator[list[Item]]:
    """Consecutive items in lists of about a megabyte."""
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
