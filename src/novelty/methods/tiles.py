"""Scores of images that are larger than what a method was trained on."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from novelty.errors import NoveltyError
from novelty.scores import Scores


def by_tiles(score: Callable[[Tensor], dict[str, Scores]], images: Tensor, side: int) -> dict[str, Scores]:
    """What ``score`` says of the tiles (B, C, side, side) that images (B, C, S, S) are cut into, put together.

    Tiles lie side by side, so every pixel counts once (VAE-grad [D]: 16 of 128 px in 512). Those at one place of all
    images are scored together: as many at once as there are images. The score of an image is the mean of its tiles'
    scores [D: no paper says how]; its map, (B, 1, S, S), is made of theirs.

    Raises NoveltyError where S is no multiple of ``side``.
    """
    whole = images.shape[-1]
    if whole % side:
        raise NoveltyError(
            f"Images of {whole} px cannot be cut into tiles of {side} px, on which the method was trained: "
            f"set data.image_size to a multiple of {side}."
        )
    channels_last = images.is_contiguous(memory_format=torch.channels_last)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    corners = [(top, left) for top in range(0, whole, side) for left in range(0, whole, side)]
    parts = [
        score(images[..., top : top + side, left : left + side].contiguous(memory_format=layout))
        for top, left in corners
    ]
    return {name: _joined([part[name] for part in parts], whole // side) for name in parts[0]}


def _joined(tiles: list[Scores], across: int) -> Scores:
    """The scores of whole images, from those of their tiles row by row, ``across`` in each."""
    image = torch.stack([tile.image for tile in tiles]).mean(0)
    maps = [tile.map for tile in tiles if tile.map is not None]
    rows = [torch.cat(maps[start : start + across], -1) for start in range(0, len(maps), across)]
    return Scores(image, torch.cat(rows, -2) if rows else None)
