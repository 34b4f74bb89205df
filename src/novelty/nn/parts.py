"""Parts of a training step by name: a method marks them, and only a bench with a clock looks.

    with part("critics"):
        ...
        with part("penalty"):    # taken off "critics": time belongs to the innermost part
            ...

Without a clock a mark costs a tenth of a microsecond and waits for nothing. Marks belong around calls of compiled
modules, not inside them.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from types import TracebackType


class Clock:
    """Seconds by part; whatever no part claims belongs to ``rest``, so that the parts sum to the whole.

    wait: called at every border, for devices that work behind the program's back (``torch.cuda.synchronize``).
    """

    def __init__(self, rest: str, wait: Callable[[], None] | None = None) -> None:
        self.seconds: dict[str, float] = {}
        self._wait = wait
        self._open = [rest]
        self._charge_to_nobody()

    def _charge_to_nobody(self) -> None:
        if self._wait is not None:
            self._wait()
        self._last = time.perf_counter()

    def charge(self) -> None:
        """Book the time since the last border on the innermost open part."""
        before, name = self._last, self._open[-1]
        self._charge_to_nobody()
        self.seconds[name] = self.seconds.get(name, 0.0) + self._last - before

    def enter(self, name: str) -> None:
        """A part begins inside the one that is open."""
        self.charge()
        self._open.append(name)

    def leave(self) -> None:
        """The innermost part ends."""
        self.charge()
        self._open.pop()


class _Part:
    """An open part of an installed clock."""

    __slots__ = ("clock", "name")

    def __init__(self, clock: Clock, name: str) -> None:
        self.clock, self.name = clock, name

    def __enter__(self) -> None:
        self.clock.enter(self.name)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.clock.leave()


class _Unclocked:
    """What a mark is while nobody measures."""

    __slots__ = ()

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        pass


_UNCLOCKED = _Unclocked()
_installed: tuple[Clock, int] | None = None
"""The clock, and the thread that it times."""


def part(name: str) -> AbstractContextManager[None]:
    """Mark what follows as ``name``; nests."""
    if _installed is None or _installed[1] != threading.get_ident():
        return _UNCLOCKED
    return _Part(_installed[0], name)


@contextmanager
def timed(clock: Clock) -> Iterator[Clock]:
    """``clock`` takes the times of all parts of this thread."""
    global _installed
    before = _installed
    _installed = (clock, threading.get_ident())
    try:
        yield clock
    finally:
        _installed = before


def _forget() -> None:
    """A forked process has no clock: nobody would read it, and waiting for a CUDA device fails there."""
    global _installed
    _installed = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
