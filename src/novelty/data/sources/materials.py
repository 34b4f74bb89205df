"""Two textures and two objects, no two pictures of which are alike; what a defect of each lays bare."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from novelty.data.sources.drawing import (
    SIDE,
    Draws,
    Frame,
    bump,
    colour,
    cover,
    distance,
    frame,
    mix,
    noise,
    smooth,
)

Point = tuple[float, float]


class Piece(NamedTuple):
    """One specimen.

    colour:  (SIDE, SIDE, 3) from 0 to 1, before light and noise.
    inside:  (SIDE, SIDE), 1 where there is material, 0 on what lies around it.
    at:      coordinates in the frame of the material.
    under:   (SIDE, SIDE, 3), what shows through a hole.
    without: (SIDE, SIDE, 3), what shows where a part is missing.
    """

    colour: np.ndarray
    inside: np.ndarray
    at: Frame
    under: np.ndarray
    without: np.ndarray


class Material(NamedTuple):
    """A category: how a specimen is drawn, and where and how it breaks.

    draw: a specimen.  spot: a point on it, in its frame.  part: distance to the border of a missing part.
    hole, stain: smallest and largest radius.  scratch, spill: colours.
    """

    draw: Callable[[Draws], Piece]
    spot: Callable[[Draws], Point]
    part: Callable[[Draws, Frame], np.ndarray]
    hole: tuple[float, float]
    stain: tuple[float, float]
    scratch: np.ndarray
    spill: np.ndarray
    texture: bool


def _ground(draws: Draws, shade: np.ndarray) -> np.ndarray:
    """What an object lies on, (SIDE, SIDE, 3)."""
    x, y = frame()
    cloudy = 1 + 0.12 * noise(draws.field(), 3 * x, 3 * y) + 0.06 * noise(draws.field(), 20 * x, 20 * y)
    return shade * cloudy[..., None]


def _anywhere(draws: Draws) -> Point:
    return draws(-0.7, 0.7), draws(-0.7, 0.7)


# --- textures ---------------------------------------------------------------------------------------------------------

_THREADS = 7.0
"""Threads of the weave in a length of 1: one is nine pixels wide."""


def _weave(draws: Draws) -> Piece:
    """Plain weave: threads to the right pass above and below threads downwards in turn."""
    at = frame(turn=draws.tilt(0.03), scale=draws(0.96, 1.04))
    u = _THREADS * at.u + draws(-1, 1) + 0.18 * noise(draws.field(), 2 * at.u, 2 * at.v)
    v = _THREADS * at.v + draws(-1, 1) + 0.18 * noise(draws.field(), 2 * at.u, 2 * at.v)
    shades, fibres = draws.field(), draws.field()
    warp = _thread(u, v, noise(shades, np.floor(u) + 0.5, np.zeros_like(u)), noise(fibres, 6 * u, v))
    weft = _thread(v, u, noise(shades, np.floor(v) + 0.5, np.ones_like(v) * 9), noise(fibres, 6 * v, u + 30))
    warp_colour = colour(0.83, 0.76, 0.62) * draws(0.94, 1.06)
    weft_colour = colour(0.40, 0.50, 0.64) * draws(0.94, 1.06)
    odd = (np.floor(u) + np.floor(v)) * 0.5
    above = (odd == np.floor(odd))[..., None]
    bare = weft[..., None] * weft_colour
    woven = np.where(above, warp[..., None] * warp_colour, bare)
    dark = np.broadcast_to(colour(0.07, 0.06, 0.06), woven.shape)
    return Piece(woven, np.ones((SIDE, SIDE)), Frame(u / _THREADS, v / _THREADS), dark, 0.45 * bare)


def _thread(across: np.ndarray, along: np.ndarray, shade: np.ndarray, fibre: np.ndarray) -> np.ndarray:
    """Brightness of threads one wide: round, bent over their crossings, no two of one shade."""
    return (0.40 + 0.60 * bump(across)) * (0.72 + 0.28 * bump(along)) * (1 + 0.10 * shade + 0.08 * fibre)


def _missing_thread(draws: Draws, at: Frame) -> np.ndarray:
    """A length of one or two warp threads."""
    first = int(np.floor(draws(-0.6, 0.6) * _THREADS))
    wide, length = 1 + draws.whole(2), draws(0.35, 0.8)
    middle = draws(-0.4, 0.4)
    across = np.abs(at.u - (first + wide / 2) / _THREADS) - wide / (2 * _THREADS)
    return np.maximum(across, np.abs(at.v - middle) - length / 2)


def _wood(draws: Draws) -> Piece:
    """Boards cut along the trunk: growth rings far from their middle, fibres, pores."""
    at = frame(turn=draws.tilt(0.04), scale=draws(0.95, 1.05))
    u, v = at
    bent = v + 0.10 * noise(draws.field(), 0.9 * u, 1.6 * v) + 0.02 * noise(draws.field(), 3 * u, 6 * v)
    far, aside = 0.22 * (u - draws(-1.5, 1.5)), bent - draws(-1.8, 1.8)
    rings = draws(5.5, 7.5) * np.sqrt(far * far + aside * aside)
    late = rings - np.floor(rings)  # grows darker through the year, then begins anew
    ring = smooth(np.minimum(late / 0.8, (1 - late) / 0.2))
    fibre = noise(draws.field(), 3 * u, 45 * v) + 0.5 * noise(draws.field(), 8 * u, 60 * v)
    pores = np.maximum(noise(draws.field(), 7 * u, 55 * v) - 0.55, 0)
    light = colour(0.80, 0.62, 0.40) * draws(0.95, 1.05)
    dark = colour(0.56, 0.36, 0.19) * draws(0.95, 1.05)
    board = mix(np.broadcast_to(light, (SIDE, SIDE, 3)), dark, 0.75 * ring)
    board = board * (1 + 0.06 * fibre - 0.5 * pores)[..., None]
    under = np.broadcast_to(colour(0.08, 0.05, 0.03), board.shape)
    torn = colour(0.34, 0.20, 0.10) * (1 + 0.25 * noise(draws.field(), 4 * u, 30 * v))[..., None]
    return Piece(board, np.ones((SIDE, SIDE)), at, under, torn)


def _chip(draws: Draws, at: Frame) -> np.ndarray:
    """A splinter torn out along the fibres, frayed at its ends."""
    middle, long, wide = _anywhere(draws), draws(0.25, 0.5), draws(0.05, 0.11)
    u, v = (at.u - middle[0]) / long, (at.v - middle[1]) / wide
    frayed = 0.35 * noise(draws.field(), 3 * at.u, 25 * at.v)
    return (np.sqrt(u * u + v * v) - 1 + frayed) * wide


# --- objects ----------------------------------------------------------------------------------------------------------

_RIM, _BORE, _BOLTS, _BOLT = 0.72, 0.25, 0.49, 0.085
_HALF_ROOT = float(np.sqrt(3.0)) / 2
_SIXTHS = ((1.0, 0.0), (0.5, _HALF_ROOT), (-0.5, _HALF_ROOT), (-1.0, 0.0), (-0.5, -_HALF_ROOT), (0.5, -_HALF_ROOT))
_BETWEEN = ((_HALF_ROOT, 0.5), (0.0, 1.0), (-_HALF_ROOT, 0.5), (-_HALF_ROOT, -0.5), (0.0, -1.0), (_HALF_ROOT, -0.5))


def _washer(draws: Draws) -> Piece:
    """A turned steel ring with six bolt holes, at any angle."""
    middle = draws(-0.09, 0.09), draws(-0.09, 0.09)
    at = frame(middle, draws.direction(), draws(0.96, 1.04))
    radius = distance(at, (0, 0))
    border = np.maximum(radius - _RIM, _BORE - radius)
    for c, s in _SIXTHS:
        border = np.maximum(border, _BOLT - distance(at, (_BOLTS * c, _BOLTS * s)))
    inside = cover(border)
    lamp = draws.tilt(0.4)
    x, y = frame(middle)
    length = np.sqrt(x * x + y * y) + 1e-6
    along = (x * lamp[0] + y * lamp[1]) / length
    turned = noise(draws.field(), 45 * radius, np.zeros_like(radius))
    bevel = 1 - 0.35 * cover(-(border + 0.035), 0.02)
    steel = (0.46 + 0.30 * along * along + 0.035 * turned) * bevel
    ground = _ground(draws, colour(0.13, 0.15, 0.18))
    picture = mix(ground, steel[..., None] * colour(0.97, 1.0, 1.04), inside)
    return Piece(picture, inside, at, ground, ground)


def _between_bolts(draws: Draws) -> Point:
    c, s = _BETWEEN[draws.whole(6)]
    radius = draws(0.42, 0.56)
    return radius * c, radius * s


def _bite(draws: Draws, at: Frame) -> np.ndarray:
    """A piece broken off the rim."""
    c, s = draws.direction()
    deep, wide = draws(0.45, 0.56), draws(0.14, 0.26)
    along, across = at.u * c + at.v * s, at.v * c - at.u * s
    rough = 0.03 * noise(draws.field(), 12 * at.u, 12 * at.v)
    return np.maximum(np.abs(across) - wide, deep - along) + rough


_LONG, _ROUND = 0.36, 0.33


def _pill(draws: Draws) -> Piece:
    """A capsule of two halves with a print on one, lying nearly level."""
    at = frame((draws(-0.08, 0.08), draws(-0.08, 0.08)), draws.tilt(0.09), draws(0.96, 1.04))
    off = at.u - np.clip(at.u, -_LONG, _LONG)
    radius = np.sqrt(off * off + at.v * at.v)
    inside = cover(radius - _ROUND)
    depth = np.sqrt(np.clip(1 - (radius / _ROUND) * (radius / _ROUND), 0, 1))
    stripe = (at.v + draws(0.10, 0.14)) / 0.045
    shine = 0.28 / (1 + stripe * stripe) * cover(np.abs(at.u) - _LONG, 0.1)
    seam = draws(-0.02, 0.02)
    left = cover(at.u - seam)
    shell = mix(np.broadcast_to(colour(0.90, 0.84, 0.68), (SIDE, SIDE, 3)), colour(0.72, 0.16, 0.13), left)
    shell = shell * (1 - 0.35 * cover(np.abs(at.u - seam) - 0.012))[..., None]
    for bar in (0.12, 0.22, 0.32):
        printed = np.maximum(np.abs(at.u - bar) - 0.022, np.abs(at.v - 0.03) - 0.11)
        shell = mix(shell, colour(0.30, 0.28, 0.26), cover(printed))
    shell = shell * (0.50 + 0.50 * depth)[..., None] + shine[..., None]
    ground = _ground(draws, colour(0.24, 0.31, 0.36))
    return Piece(mix(ground, shell, inside), inside, at, np.broadcast_to(colour(0.06, 0.05, 0.05), shell.shape), ground)


def _on_pill(draws: Draws) -> Point:
    return draws(-0.45, 0.45), draws(-0.16, 0.16)


def _broken_end(draws: Draws, at: Frame) -> np.ndarray:
    """One end is gone, along a ragged and slanting break."""
    side, where, slant = draws.sign(), draws(0.32, 0.50), draws(-0.5, 0.5)
    ragged = 0.05 * noise(draws.field(), 14 * at.u, 14 * at.v)
    return where - side * at.u + slant * at.v + ragged


MATERIALS = {
    "weave": Material(
        _weave,
        _anywhere,
        _missing_thread,
        (0.09, 0.16),
        (0.16, 0.32),
        colour(0.98, 0.96, 0.92),
        colour(0.24, 0.13, 0.06),
        True,
    ),
    "wood": Material(
        _wood, _anywhere, _chip, (0.06, 0.12), (0.14, 0.30), colour(0.97, 0.88, 0.70), colour(0.10, 0.13, 0.24), True
    ),
    "washer": Material(
        _washer,
        _between_bolts,
        _bite,
        (0.055, 0.085),
        (0.10, 0.18),
        colour(0.98, 0.98, 1.0),
        colour(0.45, 0.20, 0.06),
        False,
    ),
    "pill": Material(
        _pill,
        _on_pill,
        _broken_end,
        (0.05, 0.09),
        (0.10, 0.18),
        colour(0.12, 0.10, 0.10),
        colour(0.16, 0.30, 0.14),
        False,
    ),
}
