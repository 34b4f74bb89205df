"""A small LSUN: databases as they are distributed, or folders of images."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import lmdb
from data.fakes.files import picture

COUNTS = {"bedroom_train": 9, "bedroom_val": 4, "conference_room_val": 3}


def images(part: str, count: int) -> dict[str, bytes]:
    """JPEG and WebP files by key (40 hexadecimal digits, as there), in the order of the keys; short side 16."""
    found = {}
    for i in range(count):
        file = io.BytesIO()
        size = (16, 20) if i % 3 else (24, 16)
        seed = int.from_bytes(part.encode()) % 1000 + i
        picture(seed, *size).save(file, format="WEBP" if i % 2 else "JPEG")
        found[hashlib.sha1(f"{part}{i}".encode(), usedforsecurity=False).hexdigest()] = file.getvalue()
    return dict(sorted(found.items()))


def write_lsun(folder: Path, counts: dict[str, int] = COUNTS) -> None:
    """``folder/bedroom_train_lmdb/data.mdb`` and so on."""
    for part, count in counts.items():
        path = folder / f"{part}_lmdb"
        path.mkdir(parents=True)
        with lmdb.open(str(path), map_size=1 << 24) as database, database.begin(write=True) as transaction:
            for key, value in images(part, count).items():
                transaction.put(key.encode(), value)


def write_lsun_folders(folder: Path, counts: dict[str, int] = COUNTS, tested: str = "test") -> None:
    """The same images as files: ``folder/{train,test}/<class>/<key>``, with the suffix of their content."""
    for part, count in counts.items():
        name, split = part.rsplit("_", 1)
        path = folder / ("train" if split == "train" else tested) / name
        path.mkdir(parents=True)
        for key, value in images(part, count).items():
            (path / f"{key}{'.webp' if value[:4] == b'RIFF' else '.jpg'}").write_bytes(value)
