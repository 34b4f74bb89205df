"""The idx format and data sets that are distributed as four idx files (MNIST and its relatives)."""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np

from novelty.data.download import NoDownload, fetch, md5, missing
from novelty.data.source import Block, Source, fingerprint_of
from novelty.data.sources.class_folders import ClassFolders, has_split, read_split
from novelty.errors import NoveltyError


class IdxFile(NamedTuple):
    """One distributed file: its name without .gz, the MD5 published of the .gz, and that of the content, if any."""

    name: str
    gz_md5: str
    md5: str | None = None


class IdxSource(Source):
    """Reads ``<root>/<original>/raw/*`` (torchvision's layout), ``<root>/<folder>/*`` or ``<root>/<folder>/raw/*``.

    Each file may be gzipped or not. Class folders ``<root>/<folder>/{train,test}/<class>/*`` will do too; where
    there is nothing of these, the files are downloaded into the first.

    folder:   name of the folder below ``root``.
    download: whether to fetch missing files.
    """

    title: ClassVar[str]
    original: ClassVar[str]
    files: ClassVar[tuple[IdxFile, IdxFile, IdxFile, IdxFile]]
    """Training images, training labels, test images, test labels."""
    mirrors: ClassVar[tuple[str, ...]]
    names: ClassVar[tuple[str, ...]]
    rights: ClassVar[str]
    published: ClassVar[tuple[tuple[int, int], ...]]
    """Training and test images of each class."""

    def __init__(self, root: Path, *, folder: str, download: bool = True) -> None:
        super().__init__(root)
        self.folder, self.download = folder, download
        self._exact: bool | None = None

    @property
    def classes(self) -> tuple[str, ...]:
        return self.names

    def fingerprint(self) -> str:
        place = self._place
        if isinstance(place, ClassFolders):
            return place.fingerprint()
        status = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in place]
        return fingerprint_of([type(self).__name__, *status])

    @property
    def expected(self) -> Mapping[str, tuple[int, int]]:
        return dict(zip(self.names, self.published, strict=True))

    @property
    def count(self) -> int | None:
        return len(self._place.items) if isinstance(self._place, ClassFolders) else None

    def blocks(self, start: int = 0) -> Iterator[Block]:
        if isinstance(self._place, ClassFolders):
            yield from self._place.blocks(channels=1, start=start)
            return
        images, labels, test_images, test_labels = self._contents()
        for block in (self._block(images, labels, False), self._block(test_images, test_labels, True)):
            left, start = slice(start, None), max(0, start - len(block.labels))
            if len(block.labels[left]):
                yield Block(block.pixels[left], block.labels[left], block.test)

    @property
    def copy(self) -> str:
        if isinstance(self._place, ClassFolders):
            return self._place.describe()
        if self._exact is None:
            self._contents()
        return "original" if self._exact else "idx files that do not have the published checksums"

    @cached_property
    def _place(self) -> list[Path] | ClassFolders:
        folders = [self.root / self.original / "raw", self.root / self.folder, self.root / self.folder / "raw"]
        for folder in folders:
            found = [_existing(folder / file.name) for file in self.files]
            if all(found):
                return [path for path in found if path is not None]
        if has_split(self.root / self.folder):
            return read_split(self.root / self.folder, self.names)
        return self._download(folders[0])

    def _download(self, folder: Path) -> list[Path]:
        why = "downloads are off"
        if self.download:
            try:
                for file in self.files:
                    if _existing(folder / file.name) is None:
                        urls = [f"{mirror}{file.name}.gz" for mirror in self.mirrors]
                        fetch(urls, folder / f"{file.name}.gz", file.gz_md5)
                return [path for file in self.files if (path := _existing(folder / file.name)) is not None]
            except NoDownload as error:
                why = str(error)
        listed = ", ".join(f"{file.name}.gz" for file in self.files)
        get = (
            f"{listed} from {self.mirrors[0]} into {folder} "
            f"(or class folders {self.root / self.folder}/{{train,test}}/<class>/)"
        )
        raise missing(self.title, str(self.root), get, self.rights, why)

    def _contents(self) -> list[np.ndarray]:
        """The four arrays; notes whether all files are the published ones."""
        assert not isinstance(self._place, ClassFolders)
        self._exact, arrays = True, []
        for path, file in zip(self._place, self.files, strict=True):
            packed = path.read_bytes()
            data = _unzip(packed, path) if path.suffix == ".gz" else packed
            self._exact &= md5(data) == file.md5 or (path.suffix == ".gz" and md5(packed) == file.gz_md5)
            arrays.append(parse_idx(data, path))
        return arrays

    def _block(self, images: np.ndarray, labels: np.ndarray, test: bool) -> Block:
        if images.ndim != 3 or labels.shape != images.shape[:1]:
            raise NoveltyError(
                f"{self._files_of(test)} do not belong together: {images.shape} images, {labels.shape} labels."
            )
        if labels.size and labels.max() >= len(self.names):
            raise NoveltyError(
                f"{self._files_of(test)}: label {labels.max()} is none of the {len(self.names)} of {self.title}."
            )
        return Block(images[..., None], labels.astype(np.int64), test)

    def _files_of(self, test: bool) -> str:
        assert not isinstance(self._place, ClassFolders)
        return " and ".join(str(path) for path in self._place[2 * test : 2 * test + 2])


def parse_idx(data: bytes, path: Path) -> np.ndarray:
    """The array in an idx file of unsigned bytes: 0, 0, 8, number of axes; big-endian lengths; the values."""
    axes = data[3] if len(data) > 3 else 0
    start = 4 + 4 * axes
    if data[:3] != b"\x00\x00\x08" or not axes or len(data) < start:
        raise NoveltyError(f"{path} is no idx file of bytes: get it again.")
    shape = struct.unpack(f">{axes}I", data[4:start])
    if len(data) - start != math.prod(shape):
        raise NoveltyError(
            f"{path} is cut off: {len(data) - start} of {math.prod(shape)} values are there; get it again."
        )
    return np.frombuffer(data, dtype=np.uint8, offset=start).reshape(shape)


def _unzip(packed: bytes, path: Path) -> bytes:
    try:
        return gzip.decompress(packed)
    except (OSError, EOFError, zlib.error):
        raise NoveltyError(f"{path} is damaged or cut off: remove it and get it again.") from None


def _existing(path: Path) -> Path | None:
    """The .gz (its checksum is published for every data set), the plain file, or neither."""
    return next((p for p in (path.with_name(path.name + ".gz"), path) if p.is_file()), None)
