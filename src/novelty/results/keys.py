"""Two keys: what was trained, and how it was evaluated. Equal keys, equal numbers."""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np


def key(payload: dict[str, Any]) -> str:
    """16 hexadecimal digits of sha256 over canonical JSON: sorted keys, shortest floats, no white space.

    The payload holds canonical values only (class indices, resolved budget, content digests): never paths, devices,
    library versions, loggers or launchers, which are recorded beside the result instead.
    """
    text = json.dumps(payload, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def file_digest(path: Path) -> str:
    """sha256 of a file's content, 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def array_digest(*arrays: np.ndarray) -> str:
    """32 hexadecimal digits of sha256 over the contents of arrays: the images of a split, whatever protocol drew it."""
    summed = hashlib.sha256()
    for array in arrays:
        summed.update(f"{array.dtype.str}{array.shape}".encode())
        summed.update(np.ascontiguousarray(array).data)
    return summed.hexdigest()[:32]


def content_of(value: Any, known: dict[str, str]) -> str | None:
    """A digest for a file; a keyword such as "imagenet" for itself and for the file ``known`` by it."""
    path = Path(str(value)).expanduser()
    if value is None or not path.is_file():
        return value
    stat = path.stat()
    digest = _digest_once(str(path), stat.st_size, stat.st_mtime_ns)
    return next((word for beginning, word in known.items() if digest.startswith(beginning)), "sha256:" + digest)


@lru_cache(maxsize=64)
def _digest_once(path: str, size: int, modified: int) -> str:
    return file_digest(Path(path))
