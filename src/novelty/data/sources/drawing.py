"""Pictures by formula, the same to the bit on every machine.

Only what IEEE 754 rounds in one way is used on pixels: elementwise + - * /, square roots, floors, comparisons. No
sine, no power, no sum along an axis, no random numbers of numpy's: their last bits change between releases.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from novelty.data.draws import bits, uniform

SIDE = 128
PIXEL = 2 / SIDE
"""The pictures reach from -1 to 1; all lengths are in this unit."""

_LATTICE = 64


class Draws:
    """Random numbers one after another from a stream; the n-th call gets the n-th."""

    def __init__(self, *stream: int) -> None:
        self.stream, self.taken = stream, 0

    def __call__(self, low: float, high: float) -> float:
        """From [low, high)."""
        self.taken += 1
        return float(uniform(self.stream, np.array([self.taken]), low, high)[0])

    def sign(self) -> float:
        """-1 or 1."""
        return 1.0 if self(0, 1) < 0.5 else -1.0

    def whole(self, bound: int) -> int:
        """From 0 to ``bound`` - 1."""
        return int(self(0, bound))

    def tilt(self, largest: float) -> tuple[float, float]:
        """Cosine and sine of an angle of at most twice ``largest`` (tangent of the half angle) to either side."""
        t = self(-largest, largest)
        return (1 - t * t) / (1 + t * t), 2 * t / (1 + t * t)

    def direction(self) -> tuple[float, float]:
        """Cosine and sine of any angle: a point of the disc, put on its rim."""
        while True:
            x, y = self(-1, 1), self(-1, 1)
            length = x * x + y * y
            if 0.01 < length <= 1:
                root = float(np.sqrt(length))
                return x / root, y / root

    def field(self) -> int:
        """A stream of its own, for `noise`."""
        return int(self(0, 2**48))


class Frame(NamedTuple):
    """Coordinates of every pixel in the frame of what is drawn: u to its right, v downwards, (SIDE, SIDE) each."""

    u: np.ndarray
    v: np.ndarray


def frame(middle: tuple[float, float] = (0, 0), turn: tuple[float, float] = (1, 0), scale: float = 1.0) -> Frame:
    """The frame of something ``scale`` times as large whose middle lies at (x, y), turned by an angle.

    turn: its cosine and sine.
    """
    steps = (np.arange(SIDE) + 0.5) * PIXEL - 1
    x, y = (steps - middle[0])[None, :], (steps - middle[1])[:, None]
    cosine, sine = turn[0] / scale, turn[1] / scale
    return Frame(x * cosine + y * sine, y * cosine - x * sine)


def cover(distance: np.ndarray, blur: float = PIXEL) -> np.ndarray:
    """How much of each pixel a shape covers, 0 to 1, from the distance to its border (negative inside)."""
    return np.clip(0.5 - distance / blur, 0, 1)


def distance(at: Frame, middle: tuple[float, float]) -> np.ndarray:
    """From a point."""
    u, v = at.u - middle[0], at.v - middle[1]
    return np.sqrt(u * u + v * v)


def noise(field: int, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Smooth noise from -1 to 1 that changes over a distance of 1; repeats after 64."""
    table = uniform((field,), np.arange(_LATTICE * _LATTICE), -1, 1).reshape(_LATTICE, _LATTICE)
    u, v = np.broadcast_arrays(u, v)
    left, top = np.floor(u), np.floor(v)
    right, down = smooth(u - left), smooth(v - top)
    column, row = left.astype(np.int64) % _LATTICE, top.astype(np.int64) % _LATTICE
    next_column, next_row = (column + 1) % _LATTICE, (row + 1) % _LATTICE
    above = table[row, column] * (1 - right) + table[row, next_column] * right
    below = table[next_row, column] * (1 - right) + table[next_row, next_column] * right
    return above * (1 - down) + below * down


def grain(stream: tuple[int, ...]) -> np.ndarray:
    """Independent noise of mean 0 and variance 1 for every pixel and channel, (SIDE, SIDE, 3), all but Gaussian.

    The sum of the four 16-bit parts of 64 random bits.
    """
    drawn = bits(stream, np.arange(SIDE * SIDE * 3))
    parts = [((drawn >> np.uint64(shift)) & np.uint64(0xFFFF)).astype(np.float64) for shift in (0, 16, 32, 48)]
    middled = (parts[0] + parts[1] + parts[2] + parts[3]) / 65535 - 2
    return (middled * _THREE_ROOT).reshape(SIDE, SIDE, 3)


_THREE_ROOT = float(np.sqrt(3.0))


def smooth(x: np.ndarray) -> np.ndarray:
    """From 0 to 1 without a corner at either end."""
    return x * x * (3 - 2 * x)


def bump(x: np.ndarray) -> np.ndarray:
    """1 in the middle of each unit, 0 at its ends: a parabola."""
    centred = 2 * (x - np.floor(x)) - 1
    return 1 - centred * centred


def colour(red: float, green: float, blue: float) -> np.ndarray:
    """A colour that multiplies or mixes with (SIDE, SIDE, 1)."""
    return np.array([red, green, blue])


def mix(below: np.ndarray, above: np.ndarray, share: np.ndarray) -> np.ndarray:
    """``above`` in front of ``below`` where ``share`` (SIDE, SIDE) is 1; the rest in between."""
    part = share[..., None]
    return below * (1 - part) + above * part
