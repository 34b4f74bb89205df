"""LSUN: 3,033,042 bedrooms to train on; 300 bedrooms and 300 conference rooms to test."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from novelty.data.decode import decode
from novelty.data.download import missing
from novelty.data.source import About, Block, Source, fingerprint_of
from novelty.data.sources.archives import Member
from novelty.data.sources.class_folders import Entry, images_below
from novelty.data.sources.streaming import Picture, stream
from novelty.errors import NoveltyError

if TYPE_CHECKING:
    from lmdb import Environment

CLASSES = ("bedroom", "conference_room")
TRAINING = {"bedroom": 3_033_042, "conference_room": 229_069}
TESTED = {"bedroom": 300, "conference_room": 300}
_DATA, _CHUNK_BYTES = "data.mdb", 1 << 20


class Part(NamedTuple):
    """The training or the test images of one class.

    path: folder of an LMDB or of images.  files: of a folder of images; None for an LMDB.  held: how many images lie
    there.  used: how many of these are read, the first ones.
    """

    path: Path
    label: int
    test: bool
    files: list[Entry] | None
    held: int
    used: int


class Scene(NamedTuple):
    """One image: a file, or the value of an LMDB, which is then in memory."""

    file: Path | Member
    label: int
    test: bool
    size: int


class LSUN(Source):
    """Large-scale Scene Understanding (Yu, Seff, Zhang, Song, Funkhouser, Xiao 2015), two of its scenes.

    Reads the distributed databases ``{bedroom,conference_room}_{train,val}_lmdb`` below ``<root>/lsun`` or ``<root>``
    (needs the package lmdb), or folders of images ``<root>/lsun/{train,test}/<class>/*``, or val for test. The official
    validation images are the test images. Conference rooms to train on (229,069) are read where they are there.

    max_train: take the first so many training images of each class alone, in the order of their keys; `copy` says so.
               null = all.
    """

    about = About(
        title="LSUN (Yu, Seff, Zhang, Song, Funkhouser, Xiao 2015)",
        licence="no explicit licence, distributed for research",
        get="bedroom_train_lmdb.zip (43 GB), bedroom_val_lmdb.zip and conference_room_val_lmdb.zip "
        "from https://www.yf.io/p/lsun, and unpack them",
        place="lsun/",
    )

    def __init__(self, root: Path, *, max_train: int | None = None) -> None:
        super().__init__(root)
        if max_train is not None and max_train < 1:
            raise NoveltyError(f"data.source.max_train is {max_train}: it must be at least 1, or null for all images.")
        self.max_train = max_train

    @property
    def classes(self) -> tuple[str, ...]:
        return CLASSES

    def fingerprint(self) -> str:
        """Of a database its size and time alone: nothing of 43 GB is read."""
        status: list[object] = []
        for part in self._parts:
            found = (part.path / _DATA).stat() if part.files is None else None
            status.append((part.path.name, found.st_size, found.st_mtime_ns) if found else part.files)
        return fingerprint_of(["LSUN", self.max_train, *status])

    @property
    def count(self) -> int:
        return sum(part.used for part in self._parts)

    @property
    def expected(self) -> Mapping[str, tuple[int, int]]:
        """At most `max_train` each; conference rooms to train on are expected where there are any."""
        trained = {CLASSES[part.label] for part in self._parts if not part.test}
        limit = self.max_train or max(TRAINING.values())
        return {name: (min(TRAINING[name], limit) if name in trained else 0, TESTED[name]) for name in CLASSES}

    def blocks(self, start: int = 0) -> Iterator[Block]:
        """In colour; most images have 256 pixels on the short side and any number on the other."""
        yield from stream(self._scenes(start), lambda scene: Picture(decode(scene.file, 3)))

    @property
    def copy(self) -> str:
        """ "original" for all images of the databases, otherwise what they are."""
        said = []
        train = [part for part in self._parts if not part.test]
        if any(part.files is not None for part in self._parts):
            said.append("image folders")
        if any(part.used < part.held for part in train):
            named = [f" {CLASSES[part.label]}" if len(train) > 1 else "" for part in train]
            cut = (f"{part.used:,} of {part.held:,}{name}" for part, name in zip(train, named, strict=True))
            said.append(f"the first {' and '.join(cut)} training images")
        for part in self._parts:
            published = (TESTED if part.test else TRAINING)[CLASSES[part.label]]
            if part.held != published:
                kind = "test" if part.test else "training"
                said.append(f"a copy with {part.held:,} of {published:,} {CLASSES[part.label]} {kind} images")
        return ", ".join(said) or "original"

    @cached_property
    def _parts(self) -> list[Part]:
        """Training parts first, each by class."""
        wanted = [(split, label, name) for split in ("train", "val") for label, name in enumerate(CLASSES)]
        places = {(split, name): self._place(split, name) for split, _, name in wanted}
        lost = [f"{name}_{split}" for (split, name), place in places.items() if place is None]
        lost = [name for name in lost if name != f"{CLASSES[1]}_train"]
        if lost:
            raise self._missing(lost)
        parts = []
        for split, label, name in wanted:
            path = places[split, name]
            if path is not None:
                files = None if (path / _DATA).is_file() else images_below(path, path)
                held = _entries(path) if files is None else len(files)
                used = min(held, self.max_train or held) if split == "train" else held
                parts.append(Part(path, label, split == "val", files, held, used))
        return parts

    def _place(self, split: str, name: str) -> Path | None:
        homes = (self.root / "lsun", self.root)
        databases = (home / f"{name}_{split}_lmdb" for home in homes)
        found = next((path for path in databases if (path / _DATA).is_file()), None)
        folders = [homes[0] / folder / name for folder in (("train",) if split == "train" else ("test", "val"))]
        return found or next((path for path in folders if path.is_dir()), None)

    def _missing(self, lost: list[str]) -> NoveltyError:
        archives = [home / f"{name}_lmdb.zip" for name in lost for home in (self.root / "lsun", self.root)]
        packed = next((path for path in archives if path.is_file()), None)
        if packed is not None:
            return NoveltyError(
                f"{packed} is not unpacked: unpack it into {packed.parent}; a database cannot be read packed."
            )
        return missing(
            f"{', '.join(lost)} of {self.about.title}",
            str(self.root),
            f"{self.about.get} into {self.root / self.about.place} (or images into "
            f"{self.root / self.about.place}/{{train,test}}/<class>/)",
            f"licence: {self.about.licence}",
            "43 GB",
        )

    def _scenes(self, start: int) -> Iterator[Scene]:
        """All images in order from number ``start`` on; those of a database are read as they are asked for."""
        for path, label, test, files, _, used in self._parts:
            first, start = min(start, used), max(0, start - used)
            if files is not None:
                yield from (Scene(path / name, label, test, size) for name, size, _ in files[first:used])
                continue
            for key, value in _values(path, first, used):
                member = Member(value, f"{path}, key {key.decode(errors='replace')}")
                yield Scene(member, label, test, len(value))


def _entries(path: Path) -> int:
    with _opened(path) as database:
        found = database.stat()["entries"]
    if not found:
        raise NoveltyError(f"{path} holds no image: get it again.")
    return found


def _values(path: Path, first: int, stop: int) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values number ``first`` to ``stop`` in the order of the keys.

    The database is opened for a few values at a time: a process may not open one twice, and between two blocks somebody
    else may want to.
    """
    last = b""
    while first < stop:
        chunk: list[tuple[bytes, bytes]] = []
        with _opened(path) as database, database.begin() as transaction:
            cursor = transaction.cursor()
            there = cursor.set_key(last) and cursor.next() if last else cursor.first()
            for _ in range(0 if last else first):
                there = cursor.next()
            weight = 0
            while there and first + len(chunk) < stop and weight < _CHUNK_BYTES:
                chunk.append(cursor.item())
                weight += len(chunk[-1][1])
                there = cursor.next()
        if not chunk:
            raise NoveltyError(f"{path} holds fewer images than it says: get it again.")
        yield from chunk
        first, last = first + len(chunk), chunk[-1][0]


@contextmanager
def _opened(path: Path) -> Iterator[Environment]:
    """The database in a folder, for reading; NoveltyError where that cannot be done."""
    try:
        import lmdb
    except ImportError:
        raise NoveltyError(f"{path} is a database: install its reader with pip install novelty[lsun].") from None
    try:
        with lmdb.open(str(path), readonly=True, lock=False, create=False) as database:
            needed = (database.info()["last_pgno"] + 1) * database.stat()["psize"]
            there = (path / _DATA).stat().st_size
            if there < needed:  # LMDB would map the lost part, and reading there kills the process
                raise NoveltyError(f"{path / _DATA} is cut off: {there:,} of {needed:,} bytes are there; get it again.")
            yield database
    except (lmdb.Error, OSError) as error:
        raise NoveltyError(f"{path / _DATA} cannot be read ({error}): get it again.") from None
