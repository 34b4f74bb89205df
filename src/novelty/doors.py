"""What every door (`python -m novelty.<verb>`) does with what goes wrong: one sentence, an exit code, no traceback."""

from __future__ import annotations

import io
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from novelty.errors import NoveltyError, Stopped, refusal

STOPPING = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGUSR1", "SIGHUP") if hasattr(signal, name))
"""Signals that mean the end: of the system, of Slurm's time limit, of the terminal."""


def door(main: Callable[[], None]) -> None:
    """Run ``main``; a person's mistake becomes one printed sentence and exit code 1, a signal its own exit code."""
    try:
        with _stopping():
            _print_anything()
            main()
    except NoveltyError as error:
        leave(str(error))
    except Stopped as stop:
        leave(str(stop), stop.exit_code)
    except KeyboardInterrupt:
        leave("Interrupted; what is saved stays, the same command goes on from there.", 130)
    except BrokenPipeError:  # the reader of our output (head, less) has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except Exception as error:
        sentence = _known(error) or refusal(error)
        if sentence is None:
            raise
        leave(str(sentence))


def stop(number: int, frame: FrameType | None) -> None:
    """The handler of `STOPPING`: end at once, with files whole, locks let go and the exit code that a shell expects."""
    raise Stopped(number, f"Stopped by {signal.Signals(number).name}; what is saved stays, the same command goes on.")


@contextmanager
def _stopping() -> Iterator[None]:
    """`stop` where nobody has said what is to be done (nohup has). A training lays its own handlers over this."""
    before: dict[int, Any] = {}
    try:
        for number in STOPPING:
            if signal.getsignal(number) == signal.SIG_DFL:
                before[number] = signal.signal(number, stop)
    except ValueError:  # not the main thread
        pass
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _print_anything() -> None:
    """A terminal that knows only ASCII shows ? for what it cannot, instead of ending the run."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def keep_memory() -> bool:
    """Let glibc keep the memory of large tensors for the next step instead of giving it back.

    On the CPU about a tenth faster, at the price of holding on to the largest amount that was ever in use.
    Whether it was done: only with glibc, and not where the environment has MALLOC_ settings of its own. To switch it
    off, set any of these, for example MALLOC_TRIM_THRESHOLD_=131072 (glibc's default).
    """
    if sys.platform != "linux" or any(name.startswith("MALLOC_") for name in os.environ):
        return False
    import ctypes

    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):  # another C library
        return False
    trim_threshold, top_pad, mmap_max = -1, -2, -4  # malloc.h
    return all([mallopt(mmap_max, 0), mallopt(trim_threshold, -1), mallopt(top_pad, 256 * 2**20)])


def leave(sentence: str, code: int = 1) -> None:
    """Print to stderr and exit."""
    print(f"novelty: {sentence}", file=sys.stderr, flush=True)
    sys.exit(code)


def _known(error: Exception) -> str | None:
    """A sentence for what Hydra and OmegaConf say of a configuration; None for a fault of ours."""
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException
    from yaml import MarkedYAMLError

    if isinstance(error, MarkedYAMLError):
        mark = error.problem_mark
        where = f"{mark.name}, line {mark.line + 1}," if mark else "A file"
        return f"{where} is no plain YAML ({error.problem}): correct it, or take it out of the configuration."
    if str(error).startswith("Config group override"):  # a ValueError of Hydra's
        return "A group is chosen by name, as in method=kde: --help lists the names."
    if not isinstance(error, (HydraException, OmegaConfBaseException)):
        return None
    lines = [line.strip() for line in str(error).splitlines()]
    if isinstance(error.__cause__, OmegaConfBaseException):
        lines += [line.strip() for line in str(error.__cause__).splitlines()]
    noise = ("full_key", "object_type", "reference_type", "Set the environment", "See https")
    kept = [line for line in dict.fromkeys(lines) if line and not line.startswith(noise)]
    return " ".join(kept)
