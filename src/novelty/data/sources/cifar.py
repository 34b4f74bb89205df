"""The pickled batches of CIFAR and the two data sets that are distributed as such."""

from __future__ import annotations

import tarfile
import zlib
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np

from novelty.data.download import NoDownload, fetch, md5, missing
from novelty.data.source import About, Block, Source, fingerprint_of
from novelty.data.sources.class_folders import ClassFolders, has_split, read_split
from novelty.data.sources.plain_pickle import read_plain
from novelty.errors import NoveltyError

HOME = "https://www.cs.toronto.edu/~kriz/"


class CifarSource(Source):
    """Reads the distributed archive in ``<root>`` as it is, the folder that is in it (both also below
    ``<root>/<folder>``), or class folders ``<root>/<folder>/{train,test}/<class>/*``; where there is nothing of these,
    the archive is downloaded.

    folder:   name of the folder below ``root``.
    download: whether to fetch the archive where nothing of these is there.
    """

    about: ClassVar[About]
    title: ClassVar[str]
    names: ClassVar[tuple[str, ...]]
    archive: ClassVar[str]
    archive_md5: ClassVar[str]
    unpacked: ClassVar[str]
    batches: ClassVar[Mapping[str, str]]
    """Published MD5 of each batch file, in order; the last is the test set."""
    labels_key: ClassVar[str]
    per_class: ClassVar[tuple[int, int]]
    """Published numbers of training and test images of each class."""

    def __init__(self, root: Path, *, folder: str, download: bool = True) -> None:
        super().__init__(root)
        self.folder, self.download = folder, download
        self._exact: bool | None = None

    @property
    def classes(self) -> tuple[str, ...]:
        return self.names

    @property
    def expected(self) -> Mapping[str, tuple[int, int]]:
        return dict.fromkeys(self.names, self.per_class)

    def fingerprint(self) -> str:
        place = self._place
        if isinstance(place, ClassFolders):
            return place.fingerprint()
        files = [place] if place.is_file() else [place / name for name in self.batches]
        return fingerprint_of([type(self).__name__, *((f.name, f.stat().st_size, f.stat().st_mtime_ns) for f in files)])

    @property
    def count(self) -> int:
        if isinstance(self._place, ClassFolders):
            return len(self._place.items)
        return len(self.names) * sum(self.per_class)

    def blocks(self, start: int = 0) -> Iterator[Block]:
        """All files are read wherever it starts: their checksums are part of `copy`, and they take a second."""
        if isinstance(self._place, ClassFolders):
            yield from self._place.blocks(channels=3, start=start)
            return
        found = self._contents()
        last = [*self.batches][-1]
        for name in self.batches:
            pixels, labels = found.pop(name)
            if start < len(labels):
                yield Block(pixels[start:], labels[start:], name == last)
            start = max(0, start - len(labels))

    @property
    def copy(self) -> str:
        if isinstance(self._place, ClassFolders):
            return self._place.describe()
        if self._exact is None:
            self._contents()
        return "original" if self._exact else f"{self.title} batches that do not have the published checksums"

    @property
    def _url(self) -> str:
        return HOME + self.archive

    @cached_property
    def _place(self) -> Path | ClassFolders:
        own = self.root / self.folder
        for home in (self.root, own):
            if all((home / self.unpacked / name).is_file() for name in self.batches):
                return home / self.unpacked
            if (home / self.archive).is_file():
                return home / self.archive
        if has_split(own):
            return read_split(own, self.names)
        why = "downloads are off"
        if self.download:
            try:
                fetch([self._url], self.root / self.archive, self.archive_md5)
                return self.root / self.archive
            except NoDownload as error:
                why = str(error)
        get = f"{self.about.get} into {self.root} (or class folders {own}/{{train,test}}/<class>/)"
        raise missing(self.about.title, str(self.root), get, self.about.licence, why)

    def _contents(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Pixels (n, 32, 32, 3) and labels (n,) of each batch file; notes whether all files are the published ones."""
        assert isinstance(self._place, Path)
        self._exact, found = True, {}
        for name, data in self._files(self._place):
            self._exact &= md5(data) == self.batches[name]
            found[name] = self.read_batch(data, f"{self._place}: {name}")
        lost = [name for name in self.batches if name not in found]
        if lost:
            raise NoveltyError(
                f"{self._place} lacks {', '.join(lost)}: remove it and get {self.archive} again from {self._url}."
            )
        return found

    def _files(self, place: Path) -> Iterator[tuple[str, bytes]]:
        """Names and contents of the batch files, in the order in which they lie there; the archive in one go."""
        if place.is_dir():
            yield from ((name, (place / name).read_bytes()) for name in self.batches)
            return
        try:
            with tarfile.open(place, "r|*") as archive:
                for member in archive:
                    name = Path(member.name).name
                    file = archive.extractfile(member) if member.isreg() and name in self.batches else None
                    if file is not None:
                        yield name, file.read()
        except (OSError, EOFError, tarfile.TarError, zlib.error):
            raise NoveltyError(f"{place} is damaged or cut off: remove it and get it again from {self._url}.") from None

    @classmethod
    def read_batch(cls, data: bytes, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Pixels (n, 32, 32, 3) uint8 and labels (n,) int64 of one batch: a pickle, of which plain data is admitted."""
        try:
            batch = read_plain(data)
            pixels, labels = batch["data"].values, np.array(batch[cls.labels_key], dtype=np.int64)
            images = pixels.reshape(len(labels), 3, 32, 32).transpose(0, 2, 3, 1)
            last = len(cls.names) - 1
            if labels.ndim != 1 or not len(labels) or labels.min() < 0 or labels.max() > last:
                raise ValueError(f"labels are not 0 to {last}")
            return images, labels
        except NoveltyError as error:
            raise NoveltyError(f"{name}: {error}") from None
        except Exception as error:  # a damaged pickle raises nearly anything
            reason = f"{type(error).__name__}: {error}"
            raise NoveltyError(
                f"{name} is no batch of {cls.title} ({reason}): get it again from {HOME + cls.archive}."
            ) from None
