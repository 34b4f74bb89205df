"""Staying workers, as joblib's are, whose launcher is killed: by themselves they would wait for it for ever."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import current_process

LAUNCHER = "NOVELTY_LAUNCHER"
"""Environment variable: the process whose workers end with it."""

STAYING = "LokyProcess"
"""What joblib's workers are called."""

SECONDS = 1.0

_in_hand = threading.Lock()
_watched = False


@contextmanager
def launching() -> Iterator[None]:
    """This process hands cells to workers."""
    before = os.environ.get(LAUNCHER)
    os.environ[LAUNCHER] = str(os.getpid())
    try:
        yield
    finally:
        os.environ.pop(LAUNCHER)
        if before is not None:
            os.environ[LAUNCHER] = before


@contextmanager
def in_hand() -> Iterator[None]:
    """A cell is under way. Where this is a staying worker whose launcher dies, it finishes the cell, takes no other
    and ends."""
    global _watched
    launcher = int(os.environ.get(LAUNCHER, "0"))
    if not launcher or not current_process().name.startswith(STAYING):
        yield
        return
    with _in_hand:
        if os.getppid() != launcher:
            os._exit(1)
        if not _watched:
            threading.Thread(target=_watch, args=(launcher,), daemon=True).start()
            _watched = True
        yield


def _watch(launcher: int) -> None:
    while os.getppid() == launcher:
        time.sleep(SECONDS)
    _in_hand.acquire()
    os._exit(1)
