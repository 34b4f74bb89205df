"""Random numbers by their place: number i of a stream follows from (stream, i) alone, in integer arithmetic.

So a sample can be made by itself, in any process and in any order, and no release of numpy or torch can change it.
The mixing is that of SplitMix64 (Steele, Lea, Flood 2014).
"""

from __future__ import annotations

import numpy as np

_STEP = np.uint64(0x9E3779B97F4A7C15)
_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


def bits(stream: tuple[int, ...], places: np.ndarray) -> np.ndarray:
    """The numbers at ``places`` (integers, any shape) of ``stream``, as uint64 of that shape.

    stream: whole numbers that name it, such as (seed, purpose).
    """
    key = np.zeros(1, dtype=np.uint64)
    for number in (len(stream), *stream):
        key = _mixed((key ^ np.uint64(int(number) % 2**64)) + _STEP)
    return _mixed(key + (places.astype(np.uint64) + np.uint64(1)) * _STEP)


def uniform(stream: tuple[int, ...], places: np.ndarray, low: float = 0.0, high: float = 1.0) -> np.ndarray:
    """The numbers at ``places`` of ``stream``, as float64 in [low, high)."""
    return low + (high - low) * ((bits(stream, places) >> np.uint64(11)) * 2.0**-53)


def below(stream: tuple[int, ...], places: np.ndarray, bound: int) -> np.ndarray:
    """The numbers at ``places`` of ``stream``, as int64 from 0 to ``bound`` - 1."""
    return (bits(stream, places) % np.uint64(bound)).astype(np.int64)


def shuffled(stream: tuple[int, ...], count: int) -> np.ndarray:
    """The numbers 0 to ``count`` - 1 in an order that ``stream`` gives, (count,) int64."""
    return np.argsort(bits(stream, np.arange(count)), kind="stable")


def _mixed(x: np.ndarray) -> np.ndarray:
    x = (x ^ (x >> np.uint64(30))) * _FIRST
    x = (x ^ (x >> np.uint64(27))) * _SECOND
    return x ^ (x >> np.uint64(31))
