"""Where an entry of the cache grows: files that are appended to, and a note of how far they are safe on disk."""

from __future__ import annotations

import json
import math
import os
import shutil
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import numpy as np

from novelty.data.contents import NOTES, Summary

PIXELS, MASKS, INDEX, ABOUT = "pixels.npy", "masks.npy", "index.npz", "about.json"
"""What an entry holds: (N, C, S, S) uint8; (N, S, S) bool, where there are masks; labels, test flags, contents and
``attribute/<name>``; digest, copy and whether there are masks."""

_NOTED, _STATE = "notes", "state.json"  # while it grows
_SAVE_SECONDS = 2.0
_HEADER = 128


class Unusable(Exception):
    """Why a folder cannot be used as a cache, in a few words."""


@contextmanager
def writing() -> Iterator[None]:
    """Tells the OSErrors of our own files from those of a source."""
    try:
        yield
    except OSError as error:
        raise Unusable(error.strerror or str(error)) from None


class Site:
    """The folder ``folder``, new or as an earlier try left it.

    count: images that lie in it.  form: (C, S, S) of each and whether it has a mask, known from the first on.
    complete: everything is there, and `publish` alone is left to do.

    Every method raises Unusable where the folder cannot be written to.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.count = folder, 0
        self.form: tuple[tuple[int, ...], bool] | None = None
        self._files: dict[str, IO[bytes]] = {}
        self._due = time.monotonic() + _SAVE_SECONDS
        with writing():
            folder.mkdir(parents=True, exist_ok=True)
            self.complete = (folder / ABOUT).is_file()
            if not self.complete and not self._resumed():
                self.clear()

    def _resumed(self) -> bool:
        """Whether what lies here can be gone on with."""
        try:
            state = json.loads((self.folder / _STATE).read_text())
            self.count, self.form = int(state["count"]), (tuple(state["shape"]), bool(state["masks"]))
            return all(
                (self.folder / name).stat().st_size >= header + self.count * each
                for name, (header, each) in self._layout().items()
            )
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return False

    def _layout(self) -> dict[str, tuple[int, int]]:
        """The growing files: bytes before the first image, and bytes of an image."""
        assert self.form is not None
        shape, masked = self.form
        masks = {MASKS: (_HEADER, math.prod(shape[1:]))} if masked else {}
        return {PIXELS: (_HEADER, math.prod(shape)), _NOTED: (0, NOTES.itemsize), **masks}

    def append(self, pixels: np.ndarray, masks: np.ndarray | None, notes: np.ndarray, total: int | None) -> None:
        """Put images behind those that are here; all have one form. ``total``: how many there will be, if known."""
        with writing():
            if not self._files:
                self.form = (pixels.shape[1:], masks is not None)
                self._check_room(total or 0)
                self._open()
            self._files[PIXELS].write(pixels.data)
            if masks is not None:
                self._files[MASKS].write(masks.data)
            self._files[_NOTED].write(notes.tobytes())
        self.count += len(notes)
        if time.monotonic() >= self._due:
            self.save()

    def _check_room(self, total: int) -> None:
        needed = (total - self.count) * sum(each for _, each in self._layout().values())
        free = shutil.disk_usage(self.folder).free
        if needed > free:
            raise Unusable(f"{needed / 1e6:,.0f} MB are needed there and {free / 1e6:,.0f} MB are free")

    def _open(self) -> None:
        for name, (header, each) in self._layout().items():
            file = self._files[name] = (self.folder / name).open("r+b" if self.count else "w+b")
            file.truncate(header + self.count * each)
            file.seek(0, os.SEEK_END)

    def save(self) -> None:
        """Make what is here outlive a cut, of the power too: first the images, then how many there are."""
        begun = time.monotonic()
        assert self.form is not None
        with writing():
            for file in self._files.values():
                file.flush()
                os.fsync(file.fileno())
            state = {"count": self.count, "shape": self.form[0], "masks": self.form[1]}
            _replace(self.folder / _STATE, state)
        now = time.monotonic()
        self._due = now + max(_SAVE_SECONDS, 10 * (now - begun))  # a slow disk is not to set the pace

    def notes(self, start: int = 0) -> np.ndarray:
        """(count - start,) `NOTES` of the images that are here."""
        with writing():
            if self._files:
                self._files[_NOTED].flush()
            offset = start * NOTES.itemsize
            return np.fromfile(self.folder / _NOTED, dtype=NOTES, count=self.count - start, offset=offset)

    def finish(self, summary: Summary) -> None:
        """Add what is known of the images; the note that all is complete comes last."""
        assert self.form is not None
        shape, masked = self.form
        with writing():
            if not self._files:  # an earlier try was cut behind its last image
                self._open()
            for name, kind, each in ((PIXELS, "|u1", shape), (MASKS, "|b1", shape[1:])):
                if name in self._files:
                    self._files[name].seek(0)
                    self._files[name].write(_header(kind, (self.count, *each)))
            self.save()
            with (self.folder / INDEX).open("wb") as file:
                attributes: dict[str, Any] = {f"attribute/{name}": of for name, of in summary.attributes.items()}
                np.savez(file, labels=summary.labels, test=summary.test, contents=summary.contents, **attributes)
                file.flush()
                os.fsync(file.fileno())
            self._close()
            _replace(self.folder / ABOUT, {"digest": summary.digest, "copy": summary.copy, "masks": masked})

    def publish(self, entry: Path) -> None:
        """Become ``entry``, at once."""
        with writing():
            for name in (_NOTED, _STATE):
                (self.folder / name).unlink(missing_ok=True)
            self.folder.rename(entry)

    def leave(self) -> None:
        """Stop for now: whoever comes next goes on from here."""
        try:
            if self._files:
                self.save()
        finally:
            self._close()
            if not self.count and not self.complete:
                self.remove()

    def clear(self) -> None:
        """Begin anew."""
        self._close()
        self.count, self.form = 0, None
        with writing():
            for path in self.folder.iterdir():
                path.unlink()

    def remove(self) -> None:
        """Leave nothing."""
        self._close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _close(self) -> None:
        for file in self._files.values():
            with suppress(OSError):  # what a full disk did not take is not wanted any more
                file.close()
        self._files.clear()


def _header(kind: str, shape: tuple[int, ...]) -> bytes:
    """The beginning of an npy file (format 1.0), `_HEADER` bytes long whatever the number of images."""
    text = repr({"descr": kind, "fortran_order": False, "shape": shape}).ljust(_HEADER - 11) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode()


def _replace(path: Path, content: object) -> None:
    """Write JSON that is there whole or not at all."""
    part = path.with_suffix(".part")
    with part.open("w") as file:
        file.write(json.dumps(content))
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
