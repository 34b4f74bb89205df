"""One process at a time in a training's folder; the lock dies with its holder, `kill -9` included."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import BaseFileLock, FileLock, Timeout

POLL_SECONDS = 0.5
"""Between two looks of one that waits: a hundred of them must not keep a file server busy."""


def is_locked(folder: Path) -> bool:
    """Whether another process works in ``folder``; touches nothing where nobody ever did."""
    path = folder / "lock"
    if not path.is_file():
        return False
    try:
        with _lock(path).acquire(timeout=0):
            return False
    except Timeout:
        return True
    except OSError:  # records that we may only read: whoever writes there will see
        return False


@contextmanager
def locked(folder: Path, waiting: str | None = None) -> Iterator[None]:
    """Hold ``folder``; where another process has it, print ``waiting`` (with who it is) and wait until it lets go."""
    folder.mkdir(parents=True, exist_ok=True)
    lock, owner = _lock(folder / "lock"), folder / "owner.json"
    _acquire(lock, owner, waiting)
    try:
        owner.write_text(json.dumps({"pid": os.getpid(), "host": socket.gethostname()}), encoding="utf-8")
        yield
    finally:
        with suppress(OSError):  # a folder that vanished meanwhile must not hide what else went wrong
            owner.unlink(missing_ok=True)
        lock.release()


@contextmanager
def locked_at_once(folder: Path) -> Iterator[bool]:
    """Hold ``folder`` unless another process has it, or it cannot be locked: whether it is held."""
    lock = _lock(folder / "lock")
    try:
        lock.acquire(timeout=0)
    except (Timeout, OSError):
        yield False
        return
    try:
        yield True
    finally:
        lock.release()


def _lock(path: Path) -> BaseFileLock:
    """A lock of the kernel's, or OSError (ENOSYS, ENOLCK): a mere marker file would outlive a killed holder."""
    return FileLock(path, fallback_to_soft=False)


def _acquire(lock: BaseFileLock, owner: Path, waiting: str | None) -> None:
    try:
        lock.acquire(timeout=0)
    except Timeout:
        if waiting:
            print(f"{waiting} ({_who(owner)}); waiting for it, Ctrl-C leaves it alone.", flush=True)
        lock.acquire(poll_interval=POLL_SECONDS)


def _who(owner: Path) -> str:
    try:
        known = json.loads(owner.read_text(encoding="utf-8"))
        return f"process {known['pid']} on {known['host']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"
