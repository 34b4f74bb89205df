"""Data sets that are distributed as image files, in an archive or unpacked (COIL-100, Caltech-256, medical images)."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import ClassVar

from novelty.data.download import missing
from novelty.data.source import About, Block, Source, plain_name
from novelty.data.sources.class_folders import ClassFolders, read_unsplit


class ImageFiles(Source):
    """Reads the distributed files where `distributed` finds them, else class folders ``<root>/<folder>/<class>/*``.

    Nothing is downloaded; a data set that is not there raises one sentence.

    folder: name of the folder below ``root``.
    """

    about: ClassVar[About]
    names: ClassVar[tuple[str, ...]]
    channels: ClassVar[int] = 3
    total: ClassVar[int]
    """Published number of images."""

    def __init__(self, root: Path, *, folder: str) -> None:
        super().__init__(root)
        self.folder = folder

    @abstractmethod
    def distributed(self) -> ClassFolders | None:
        """The images of the distribution as its owner made it; None where there is none of it."""

    def class_folders(self) -> ClassFolders | None:
        """The images in class folders; None where there is no folder of any class."""
        wanted = {plain_name(name) for name in self.names}
        if not self.own.is_dir() or wanted.isdisjoint(plain_name(path.name) for path in self.own.iterdir()):
            return None
        return read_unsplit(self.own, self.names)

    @property
    def own(self) -> Path:
        """The data set's folder."""
        return self.root / self.folder

    @property
    def classes(self) -> tuple[str, ...]:
        return self.names

    def fingerprint(self) -> str:
        return self._place[0].fingerprint()

    @property
    def count(self) -> int:
        return len(self._place[0].items)

    def blocks(self, start: int = 0) -> Iterator[Block]:
        yield from self._place[0].blocks(self.channels, start=start)

    @property
    def copy(self) -> str:
        files, distributed = self._place
        if not distributed:
            return files.describe()
        counts = files.counts()
        if len(files.items) == self.total and all(counts[k] == n for k, n in (self.expected or {}).items()):
            return "original"
        return f"{len(files.items):,} images where {self.total:,} are published"

    @cached_property
    def _place(self) -> tuple[ClassFolders, bool]:
        """The images, and whether they are the distributed files."""
        found = self.distributed()
        if found is not None:
            return found, True
        found = self.class_folders()
        if found is not None:
            return found, False
        about = self.about
        get = f"{about.get}, to be put there as {about.place}"
        raise missing(about.title, str(self.root), get, f"licence: {about.licence}", "there is no automatic download")
