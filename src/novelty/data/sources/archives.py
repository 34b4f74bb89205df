"""Zip and tar archives, read file by file: nothing is unpacked onto the disk."""

from __future__ import annotations

import io
import stat
import tarfile
import threading
import zipfile
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Self

from novelty.errors import NoveltyError

_DAMAGE = (OSError, EOFError, RuntimeError, tarfile.TarError, zipfile.BadZipFile, zlib.error)
"""What the readers of the standard library raise on files that are cut off, changed, encrypted or oddly packed."""


class Member(io.BytesIO):
    """The content of one file of an archive, named in messages as a path is."""

    def __init__(self, data: bytes, name: str) -> None:
        super().__init__(data)
        self._name = name

    def __str__(self) -> str:
        return self._name


class Archive:
    """The plain files of a zip or an uncompressed tar (by suffix), while its context lasts.

    Links, devices, hidden files and names that lead out of the archive are passed over. Threads may share one: they
    read in turn. Raises NoveltyError, naming the archive, where it is damaged.

    sizes: bytes of each file, by its name in the archive.
    """

    sizes: dict[str, int]
    _read: Callable[[str], bytes]
    _close: Callable[[], None]

    def __init__(self, path: Path) -> None:
        self.path, self._lock = path, threading.Lock()
        try:
            if path.suffix.lower() == ".zip":
                self._open_zip()
            else:
                self._open_tar()
        except _DAMAGE as error:
            raise self._damaged(str(path), error) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def read(self, name: str) -> Member:
        """The file of that name; KeyError where it is none of `sizes`."""
        if name not in self.sizes:
            raise KeyError(name)
        try:
            with self._lock:
                return Member(self._read(name), f"{self.path}: {name}")
        except _DAMAGE as error:
            raise self._damaged(f"{self.path}, at {name},", error) from None

    def _open_zip(self) -> None:
        archive = zipfile.ZipFile(self.path)
        files = (
            info for info in archive.infolist() if not info.is_dir() and not stat.S_ISLNK(info.external_attr >> 16)
        )
        self.sizes = {info.filename: info.file_size for info in files if _is_plain(info.filename)}
        self._read, self._close = archive.read, archive.close

    def _open_tar(self) -> None:
        archive = tarfile.open(self.path, "r:")  # noqa: SIM115  (closed by __exit__)
        try:
            files = {
                file.name: file for file in archive if file.isreg() and not file.issparse() and _is_plain(file.name)
            }
        except _DAMAGE:
            archive.close()
            raise

        def read(name: str) -> bytes:
            content = archive.extractfile(files[name])
            return content.read() if content is not None else b""

        self.sizes = {name: file.size for name, file in files.items()}
        self._read, self._close = read, archive.close

    def _damaged(self, where: str, error: Exception) -> NoveltyError:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        return NoveltyError(f"{where} cannot be read ({reason}): remove {self.path.name} and get it again.")


def first_file(folders: Iterable[Path], names: Iterable[str]) -> Path | None:
    """The first file of one of these names in one of these folders."""
    names = tuple(names)
    return next((folder / name for folder in folders for name in names if (folder / name).is_file()), None)


def _is_plain(name: str) -> bool:
    """Whether a name stays in the archive and none of its parts is hidden (macOS leaves its own beside each file)."""
    path = PurePosixPath(name)
    return not path.is_absolute() and not any(part.startswith((".", "__MACOSX")) for part in path.parts)
