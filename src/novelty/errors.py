"""The one exception that is meant for the person at the keyboard, and what the machine refuses in its words."""

from __future__ import annotations

import errno
import re
from collections.abc import Mapping
from pathlib import Path


class NoveltyError(Exception):
    """One sentence that names the thing that is wrong and the remedy.

    Raise it anywhere; only the doors (`python -m novelty.<verb>`) turn it into a printed line and exit code 1.
    Never raise ``SystemExit`` below a door: it would end a whole sweep.
    """


class Stopped(BaseException):
    """A signal asked the run to stop, and it did so between two steps with its state saved.

    No ``Exception``, because a launcher that goes on with the next cell after a failure must not go on after this.
    """

    def __init__(self, signal_number: int, message: str) -> None:
        super().__init__(signal_number, message)
        self.exit_code = 128 + signal_number

    def __str__(self) -> str:
        return str(self.args[1])


LESS_MEMORY = "lower method.batch_size (for training), hardware.score_batch (for scoring) or data.image_size"
"""The remedy for a lack of memory where nothing is known of the run."""

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}
_MISPLACED = {errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENOENT, errno.ENAMETOOLONG, errno.ELOOP}
_NO_ANSWER = {errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.EHOSTDOWN, errno.ENOTCONN}
_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP}
_TOO_MANY = {errno.EMFILE, errno.ENFILE}
_CUT_CHECKPOINT = re.compile(r"iostream error|unexpected pos \d+ vs|PytorchStreamWriter failed writing")
_NO_MEMORY = re.compile(r"out of memory|not enough memory|can't allocate memory|unable to allocate|_ALLOC_FAILED", re.I)


def refusal(
    error: BaseException, folders: Mapping[str, Path] | None = None, less_memory: str = LESS_MEMORY
) -> NoveltyError | None:
    """A sentence for what disk, rights or memory refuse; None where ``error`` is anything else.

    folders: settings, as they are to be named, with the folders that they stand for.  less_memory: what to change where
    memory is short, as the middle of a sentence.
    """
    if isinstance(error, NoveltyError):
        return None
    said = first_line(error)
    if isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and _NO_MEMORY.search(str(error))):
        return NoveltyError(f"There is not enough memory ({said}): {less_memory}.")
    if isinstance(error, RuntimeError) and _CUT_CHECKPOINT.search(str(error)):  # torch.save drops the reason
        beneath = error.__context__
        error = beneath if isinstance(beneath, OSError) else OSError(errno.ENOSPC, "a checkpoint was cut off")
    if not isinstance(error, OSError) or error.errno is None:
        return None
    said = error.strerror or said
    name = str(error.filename) if error.filename is not None else "a file"
    setting = _setting(name, folders or {})
    if error.errno in _FULL:
        return NoveltyError(
            f"The disk is full: {name} could not be written whole ({said}); free some space or set {setting} to a "
            "folder on another disk. What was saved before stays, and the same command goes on from there."
        )
    if error.errno in _FORBIDDEN:
        return NoveltyError(
            f"{name} may not be used ({said}): change its rights, or set {setting} to a folder that you may write to."
        )
    if error.errno in _MISPLACED and error.filename is not None:
        return NoveltyError(f"{name} cannot be used ({said}): set {setting} to a folder that is one, or can be made.")
    if error.errno in _NO_ANSWER:
        return NoveltyError(
            f"The disk under {name} does not answer ({said}): try again when it does, or set {setting} to a folder on "
            "another disk."
        )
    if error.errno in _NO_LOCKS:
        return NoveltyError(
            f"The disk under {name} knows no locks ({said}): set {setting} to a folder on a local disk."
        )
    if error.errno in _TOO_MANY:
        return NoveltyError(f"{name} could not be opened ({said}): raise the limit with ulimit -n.")
    return None


def first_line(error: BaseException) -> str:
    """What ``error`` says, cut to its first line, without the full stop."""
    lines = str(error).strip().splitlines()
    return lines[0].strip().rstrip(".")[:200] if lines else type(error).__name__


def _setting(name: str, folders: Mapping[str, Path]) -> str:
    """The setting under whose folder a file lies, or all of them."""
    under = [s for s, folder in folders.items() if Path(name).absolute().is_relative_to(folder.absolute())]
    inmost = sorted(under, key=lambda setting: len(folders[setting].absolute().parts))
    return inmost[-1] if inmost else " or ".join(folders or {RUNS: Path(), CACHE: Path()})


RUNS, CACHE, DATA = ("paths.runs (NOVELTY_RUNS)", "paths.cache (NOVELTY_CACHE)", "paths.data (NOVELTY_DATA)")
"""The settings of folders, as sentences name them."""
