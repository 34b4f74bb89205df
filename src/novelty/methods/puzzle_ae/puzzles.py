"""Puzzles: images cut into tiles, the tiles permuted, one of them hidden. All of a batch at once.

The piece at place i of a puzzle is tile ``permutation[i]`` of the image; places count row by row.
"""

from __future__ import annotations

import random
from itertools import permutations as orders
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from novelty.errors import NoveltyError

Grid = Literal[2, 3]
Kind = Literal["all", "transpositions"]
Permutation = tuple[int, ...]

TESTED_OF_NINE, SEED_OF_NINE = 23, 0
"""Of the permutations of nine tiles, so many are tested, drawn with this seed [decision: as many as of four]."""

MOVED_OF_NINE = 6
"""Tiles of nine that change places (footnote 2)."""


def displaced(permutation: Permutation) -> int:
    """Tiles that are not at home: 2 of (1, 0, 2, 3)."""
    return sum(place != tile for place, tile in enumerate(permutation))


def permutations_of(grid: Grid) -> list[Permutation]:
    """The permutations that images are tested with, K = 23 for both grids.

    2: all but the identity, which displace at least two tiles (section 3.1).
    3: drawn ones that permute six of the nine, alike in every run [decision].
    """
    if grid == 2:
        return [order for order in orders(range(4)) if displaced(order)]
    rng = random.Random(SEED_OF_NINE)
    found: list[Permutation] = []
    while len(found) < TESTED_OF_NINE:
        moved = rng.sample(range(9), MOVED_OF_NINE)
        order = list(range(9))
        for place, tile in zip(sorted(moved), moved, strict=True):
            order[place] = tile
        if displaced(tuple(order)) and tuple(order) not in found:
            found.append(tuple(order))
    return found


def chosen(grid: Grid, kind: Kind) -> list[int]:
    """Which of `permutations_of` are meant; "transpositions" are the 6 of 23 that displace exactly two tiles."""
    if kind == "all":
        return list(range(len(permutations_of(grid))))
    if grid != 2:
        raise NoveltyError(
            "method.permutations=transpositions is for puzzles of 2x2: set it to all, or method.grid to 2."
        )
    return [number for number, order in enumerate(permutations_of(grid)) if displaced(order) == 2]


def draw_of_nine(count: int, device: torch.device) -> Tensor:
    """``count`` random permutations (count, 9) that permute six random tiles, never to where they were."""
    rows = torch.rand(count, 9, device=device).argsort(1)[:, :MOVED_OF_NINE].sort(1).values
    table = torch.tensor(list(orders(range(MOVED_OF_NINE)))[1:], device=device)
    tiles = rows.gather(1, table[torch.randint(len(table), (count,), device=device)])
    return torch.arange(9, device=device).repeat(count, 1).scatter(1, rows, tiles)


def extend(images: Tensor, grid: int) -> Tensor:
    """Zeros around images (B, C, S, S) up to a side that ``grid`` divides: 28 px become 30 for a grid of 3."""
    missing = -images.shape[-1] % grid
    before = missing // 2
    return F.pad(images, (before, missing - before) * 2) if missing else images


def trim(images: Tensor, side: int) -> Tensor:
    """The images (B, C, side, side) inside of extended ones."""
    before = (images.shape[-1] - side) // 2
    return images[..., before : before + side, before : before + side]


def split(images: Tensor, grid: int) -> Tensor:
    """Tiles of images: (B, C, S, S) -> (B, grid², C, S / grid, S / grid)."""
    count, channels, side = images.shape[:3]
    tiles = images.reshape(count, channels, grid, side // grid, grid, side // grid).permute(0, 2, 4, 1, 3, 5)
    return tiles.flatten(1, 2)


def join(tiles: Tensor) -> Tensor:
    """Images of tiles: the inverse of `split`."""
    count, places, channels, side = tiles.shape[:4]
    grid = round(places**0.5)
    apart = tiles.reshape(count, grid, grid, channels, side, side).permute(0, 3, 1, 4, 2, 5)
    return apart.reshape(count, channels, grid * side, grid * side)


def rearranged(tiles: Tensor, permutations: Tensor) -> Tensor:
    """Tiles (B, P, ...) in the order of permutations (B, P), of each image its own: one gather."""
    return tiles[torch.arange(len(tiles), device=tiles.device).unsqueeze(1), permutations]


def puzzles(images: Tensor, permutations: Tensor) -> Tensor:
    """Images (B, C, S, S) under permutations (B, P), one each.

    A 2x2 image [[0, 1], [2, 3]] becomes [[1, 0], [2, 3]] under (1, 0, 2, 3), and [[1, 2], [3, 0]] under (1, 2, 3, 0).
    """
    return join(rearranged(split(images, round(permutations.shape[1] ** 0.5)), permutations))


def all_puzzles(images: Tensor, permutations: Tensor) -> Tensor:
    """Every image (B, C, S, S) under every permutation (K, P): (B K, C, S, S), those of an image beside each other."""
    return join(split(images, round(permutations.shape[1] ** 0.5))[:, permutations].flatten(0, 1))


def inverse(permutations: Tensor) -> Tensor:
    """What puts puzzles of ``permutations`` (n, P) in order again."""
    return permutations.argsort(1)


def hide(tiles: Tensor, hidden: Tensor) -> Tensor:
    """Tiles (B, P, C, t, t) with the tile hidden (B,) of each image blacked out, or grey where C is 3 (section 3.1).

    Grey is the plain mean of the channels [authors' code]: (1, 0, 0.5) becomes 0.5 in all three.
    """
    grey = tiles.mean(2, keepdim=True) if tiles.shape[2] == 3 else tiles.new_zeros(())
    places = torch.arange(tiles.shape[1], device=tiles.device)
    return torch.where((places == hidden.unsqueeze(1))[..., None, None, None], grey, tiles)
