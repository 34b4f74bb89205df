"""Where a cell's words go when nobody watches the process that runs it."""

from __future__ import annotations

import os
import socket
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from novelty.errors import NoveltyError, Stopped
from novelty.results.environment import now


@contextmanager
def printing_to(path: Path, command: str) -> Iterator[None]:
    """All that this process and its children print goes to the end of ``path``, and at last why it ended early.

    By file descriptor, so that warnings of libraries and the words of further processes come along.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    _flush()
    kept = [(number, os.dup(number)) for number in (1, 2)]
    try:
        for number, _ in kept:
            os.dup2(file, number)
        print(f"--- {now()} · {socket.gethostname()} · process {os.getpid()} · {command}", flush=True)
        yield
    except (NoveltyError, Stopped) as error:
        print(error, flush=True)
        raise
    except Exception:
        traceback.print_exc()
        raise
    finally:
        _flush()
        for number, copy in kept:
            os.dup2(copy, number)
            os.close(copy)
        os.close(file)


def _flush() -> None:
    sys.stdout.flush()
    sys.stderr.flush()
