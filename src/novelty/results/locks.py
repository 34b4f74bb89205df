"""One process at a time in a training's folder; the lock dies with its holder, `kill -9` included."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from novelty.errors import RUNS, NoveltyError


def is_locked(folder: Path) -> bool:
    """Whether another process works in ``folder``; touches nothing where nobody ever did."""
    path = folder / "lock"
    if not path.is_file():
        return False
    try:
        with FileLock(path, timeout=0):
            return False
    except Timeout:
        return True
    except (OSError, NotImplementedError):  # records that we may only read: whoever writes there will see
        return False


@contextmanager
def locked(folder: Path, waiting: str | None = None) -> Iterator[None]:
    """Hold ``folder``; where another process has it, print ``waiting`` (with who it is) and wait until it lets go."""
    folder.mkdir(parents=True, exist_ok=True)
    lock, owner = FileLock(folder / "lock"), folder / "owner.json"
    try:
        _acquire(lock, owner, waiting)
    except NotImplementedError:
        raise NoveltyError(f"The disk under {folder} knows no locks: set {RUNS} to a folder on a local disk.") from None
    try:
        owner.write_text(json.dumps({"pid": os.getpid(), "host": socket.gethostname()}), encoding="utf-8")
        yield
    finally:
        with suppress(OSError):  # a folder that vanished meanwhile must not hide what else went wrong
            owner.unlink(missing_ok=True)
        lock.release()


def _acquire(lock: FileLock, owner: Path, waiting: str | None) -> None:
    try:
        lock.acquire(timeout=0)
    except Timeout:
        if waiting:
            print(f"{waiting} ({_who(owner)}); waiting for it, Ctrl-C leaves it alone.", flush=True)
        lock.acquire()


def _who(owner: Path) -> str:
    try:
        known = json.loads(owner.read_text(encoding="utf-8"))
        return f"process {known['pid']} on {known['host']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"
