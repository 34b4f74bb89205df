"""What the fakes of image files share: writing, packing, and reading a source image by image."""

from __future__ import annotations

import tarfile
import zipfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from novelty.data.source import Source


def picture(seed: int, height: int, width: int, mode: str = "RGB") -> Image.Image:
    """Noise."""
    shape = (height, width) if mode == "L" else (height, width, len(mode))
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8), mode)


def save(image: Image.Image, path: Path, kind: str | None = None) -> None:
    """Write an image, with the folders above it; ``kind`` where the content is not what the name says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, format=kind)


def pack(folder: Path, target: Path) -> Path:
    """``folder``'s content as a zip or tar; names begin below ``folder``; the folder stays."""
    target.parent.mkdir(parents=True, exist_ok=True)
    paths = sorted(folder.rglob("*"))
    if target.suffix == ".zip":
        with zipfile.ZipFile(target, "w") as archive:
            for path in paths:
                archive.write(path, path.relative_to(folder))
    else:
        with tarfile.open(target, "w") as archive:
            for path in paths:
                archive.add(path, path.relative_to(folder), recursive=False)
    return target


class Seen(NamedTuple):
    """An image as a source gave it."""

    shape: tuple[int, ...]
    pixels: bytes
    label: int
    test: bool


def seen(source: Source, start: int = 0) -> list[Seen]:
    """All images of a source, one by one."""
    return [
        Seen(pixels.shape, pixels.tobytes(), int(label), block.test)
        for block in source.blocks(start)
        for pixels, label in zip(block.pixels, block.labels, strict=True)
    ]


def goes_on_from_anywhere(source: Source) -> bool:
    """Whether `Source.blocks` gives from any ``start`` on what it gives from there on when begun at 0."""
    whole = seen(source)
    starts = sorted({0, 1, 2, len(whole) // 2, len(whole) - 1, len(whole)})
    return all(seen(source, start) == whole[start:] for start in starts)
