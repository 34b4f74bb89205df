"""Pickles of plain data and arrays of bytes, read without running anything that is in them."""

from __future__ import annotations

import io
import pickle
from typing import Any, Self

import numpy as np

from novelty.errors import NoveltyError


def read_plain(data: bytes) -> Any:
    """What is in a pickle of dicts, lists, numbers, text and uint8 arrays, of which each becomes an `Array`.

    Raises NoveltyError where it asks for anything else, ValueError for other arrays, and nearly anything where damaged.
    """
    return _PlainData(io.BytesIO(data), encoding="latin1").load()


class Array:
    """Stands for numpy.ndarray: `values` is made from shape, type and bytes, without numpy's own unpickling."""

    values: np.ndarray

    def __init__(self, *_: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        _, shape, dtype, fortran, data = state
        if not isinstance(dtype, _Dtype) or fortran:
            raise ValueError("an array that is not plain")
        raw = data.encode("latin1") if isinstance(data, str) else memoryview(data)
        self.values = np.frombuffer(raw, dtype=np.uint8).reshape(shape)


class _PlainData(pickle.Unpickler):
    """An unpickler that calls nothing of numpy either: arrays become `Array`, every other global is refused."""

    def find_class(self, module: str, name: str) -> Any:
        admitted = {
            ("numpy.core.multiarray", "_reconstruct"): Array,
            ("numpy._core.multiarray", "_reconstruct"): Array,
            ("numpy", "ndarray"): Array,
            ("numpy", "dtype"): _Dtype,
            ("_codecs", "encode"): _Text,
        }
        if (module, name) not in admitted:
            raise NoveltyError(f"the file asks to run {module}.{name}, which no plain data does; it was not run.")
        return admitted[module, name]


class _Dtype:
    """Stands for numpy.dtype; only single bytes without sign are admitted."""

    def __init__(self, code: str, *_: Any) -> None:
        if code != "u1":
            raise ValueError(f"values of type {code}")

    def __setstate__(self, state: Any) -> None:
        """Byte order and alignment mean nothing to single bytes."""


class _Text(bytes):
    """Stands for _codecs.encode, by which newer Pythons write bytes in old pickles."""

    def __new__(cls, text: str, encoding: str) -> Self:
        if encoding != "latin1":
            raise ValueError(f"encoding {encoding}")
        return super().__new__(cls, text.encode("latin1"))
