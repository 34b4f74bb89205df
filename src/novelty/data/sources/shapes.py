"""Shapes: drawn textures and objects with drawn defects and their masks; for localisation, always there."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Literal

import numpy as np

from novelty.data.source import Block, Source
from novelty.data.sources.drawing import PIXEL, SIDE, Draws, cover, distance, frame, grain, mix, noise
from novelty.data.sources.materials import MATERIALS, Material, Piece

Category = Literal["pill", "washer", "weave", "wood"]
VERSION = 1
"""Bump when a picture changes."""

GOOD = "good"
TRAIN, TEST_GOOD, TEST_DEFECT = 200, 40, 20
_BLOCK = 20
_NORMAL, _DEFECT, _NOISE = 0, 1, 2


def _hole(draws: Draws, material: Material, piece: Piece) -> np.ndarray:
    middle, radius = material.spot(draws), draws(*material.hole)
    uneven = 0.15 * radius * noise(draws.field(), 9 * piece.at.u, 9 * piece.at.v)
    return mix(piece.colour, piece.under, cover(distance(piece.at, middle) - radius + uneven) * piece.inside)


def _missing_part(draws: Draws, material: Material, piece: Piece) -> np.ndarray:
    return mix(piece.colour, piece.without, cover(material.part(draws, piece.at)) * piece.inside)


def _scratch(draws: Draws, material: Material, piece: Piece) -> np.ndarray:
    """A slightly bent line through a spot, one to two pixels wide."""
    middle, (c, s) = material.spot(draws), draws.direction()
    u, v = piece.at.u - middle[0], piece.at.v - middle[1]
    along, across = u * c + v * s, v * c - u * s
    bend, half, width = draws(-0.3, 0.3), draws(0.16, 0.38), draws(0.5, 0.9) * PIXEL
    line = np.maximum(np.abs(across - bend * along * along) - width, np.abs(along) - half)
    return mix(piece.colour, material.scratch, cover(line) * piece.inside)


def _stain(draws: Draws, material: Material, piece: Piece) -> np.ndarray:
    """A spill that the pattern still shows through."""
    middle, radius = material.spot(draws), draws(*material.stain)
    ragged = radius * (
        0.45 * noise(draws.field(), 5 * piece.at.u, 5 * piece.at.v)
        + 0.15 * noise(draws.field(), 15 * piece.at.u, 15 * piece.at.v)
    )
    share = cover(distance(piece.at, middle) - radius + ragged, 2 * PIXEL) * draws(0.6, 0.85)
    return mix(piece.colour, material.spill, share * piece.inside)


DEFECTS: dict[str, Callable[[Draws, Material, Piece], np.ndarray]] = {
    "hole": _hole,
    "missing_part": _missing_part,
    "scratch": _scratch,
    "stain": _stain,
}
CLASSES = (GOOD, *sorted(DEFECTS))


def picture(category: Category, number: int, defect: str = GOOD) -> tuple[np.ndarray, np.ndarray]:
    """Image ``number`` of a category, (SIDE, SIDE, 3) uint8, and its mask (SIDE, SIDE) bool: the pixels that the
    defect changed, by however little.
    """
    material = MATERIALS[category]
    key = sorted(MATERIALS).index(category), number
    draws = Draws(*key, _NORMAL)
    piece = material.draw(draws)
    light, dust = _light(draws), 0.014 * grain((*key, _NOISE))
    whole = _exposed(piece.colour, light, dust)
    if defect == GOOD:
        return whole, np.zeros((SIDE, SIDE), dtype=bool)
    broken = _exposed(DEFECTS[defect](Draws(*key, _DEFECT), material, piece), light, dust)
    changed = broken != whole
    return broken, changed[..., 0] | changed[..., 1] | changed[..., 2]


def _light(draws: Draws) -> np.ndarray:
    """How bright the lamp is, and from which side it shines: (SIDE, SIDE)."""
    x, y = frame()
    (c, s), fall = draws.direction(), draws(0.0, 0.12)
    return draws(0.90, 1.08) * (1 + fall * (x * c + y * s))


def _exposed(colours: np.ndarray, light: np.ndarray, dust: np.ndarray) -> np.ndarray:
    return np.rint(np.clip(colours * light[..., None] + dust, 0, 1) * 255).astype(np.uint8)


class Shapes(Source):
    """Pictures as of MVTec AD, 128x128, in colour, drawn by formula: for trials of localisation, not for results.

    200 good images to train on; 40 good ones and 20 of each of four defects to test on, with masks of exactly the
    changed pixels. Position, angle, size, light, shades and noise differ from image to image. The same numbers make
    the same images on every machine [D]; nothing is read from disk.

    category: pill and washer (objects), weave and wood (textures).
    """

    def __init__(self, root: Path, *, category: Category = "washer") -> None:
        super().__init__(root)
        self.category = category

    @property
    def classes(self) -> tuple[str, ...]:
        return CLASSES

    def fingerprint(self) -> str:
        return f"shapes {VERSION} {self.category}"

    @property
    def count(self) -> int:
        return sum(map(sum, self.expected.values()))

    @property
    def expected(self) -> Mapping[str, tuple[int, int]]:
        return {name: (TRAIN, TEST_GOOD) if name == GOOD else (0, TEST_DEFECT) for name in CLASSES}

    def blocks(self, start: int = 0) -> Iterator[Block]:
        test = TRAIN + TEST_GOOD
        labels = [0] * test + [label for label in range(1, len(CLASSES)) for _ in range(TEST_DEFECT)]
        while start < len(labels):
            stop = min(start + _BLOCK, TRAIN if start < TRAIN else len(labels))
            drawn = [picture(self.category, number, CLASSES[labels[number]]) for number in range(start, stop)]
            pixels, masks = (np.stack(arrays) for arrays in zip(*drawn, strict=True))
            yield Block(pixels, np.array(labels[start:stop]), start >= TRAIN, masks)
            start = stop

    @property
    def copy(self) -> str:
        return "drawn"

    @property
    def traits(self) -> frozenset[str]:
        return frozenset({"texture" if MATERIALS[self.category].texture else "object"})
