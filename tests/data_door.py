"""The door `python -m novelty.data` in this process, for tests."""

from __future__ import annotations

import importlib
import io
import logging
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import PIL.Image
import pytest

from novelty.data import cache
from novelty.doors import door


class Done(NamedTuple):
    """What a call of the door left; out and err with single blanks, as the lines are broken anywhere."""

    code: int
    out: str
    err: str


Door = Callable[..., Done]


def opened(folder: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Door]:
    """The door, with images below folder/data; no download ever leaves the machine."""
    monkeypatch.setenv("NOVELTY_DATA", str(folder / "data"))
    monkeypatch.setenv("NOVELTY_CACHE", str(folder / "cache"))
    for module in ("cifar", "idx"):
        monkeypatch.setattr(f"novelty.data.sources.{module}.fetch", _unasked)
    handler = logging.StreamHandler(_Stderr())
    logging.getLogger("novelty").addHandler(handler)

    def call(*typed: str) -> Done:
        cache._memo.clear()
        monkeypatch.setattr(sys, "argv", ["novelty.data", *typed])
        code: object = 0
        try:
            door(importlib.import_module("novelty.data.__main__")._main)
        except SystemExit as left:
            code = left.code
        out, err = capfd.readouterr()
        assert "Traceback" not in out + err
        assert isinstance(code, int)
        return Done(code, " ".join(out.split()), " ".join(err.split()))

    yield call
    logging.getLogger("novelty").removeHandler(handler)
    cache._memo.clear()


class _Stderr(io.StringIO):
    """Where a process without a handler of its own shows warnings."""

    def write(self, text: str) -> int:
        return sys.stderr.write(text)


def _unasked(*_: object) -> None:
    raise AssertionError("nobody asked for a download")


def sentence(done: Done) -> str:
    """What a call that failed says in the end."""
    assert done.code == 1, done
    assert done.err.count("novelty: ") == 1
    return done.err.partition("novelty: ")[2]


def refuse_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on an image that is read fails the test."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("an image was read")

    monkeypatch.setattr(PIL.Image, "open", refuse)
    monkeypatch.setattr("novelty.data.sources.idx.parse_idx", refuse)
    monkeypatch.setattr("novelty.data.sources.cifar.read_plain", refuse)
