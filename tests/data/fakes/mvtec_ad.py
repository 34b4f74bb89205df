"""A small category in the layout of MVTec AD, in folders or in an archive as it is distributed."""

from __future__ import annotations

import io
import tarfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from data.fakes.files import picture, save
from PIL import Image

DEFECTS = {"manipulated_front": 2, "scratch_head": 3, "thread_top": 1}


def write_mvtec_ad(
    folder: Path,
    category: str = "screw",
    *,
    defects: Mapping[str, int] = DEFECTS,
    train: int = 4,
    good: int = 3,
    side: int = 12,
    mode: str = "L",
    masks: bool = True,
) -> Path:
    """``folder/<category>/{train,test,ground_truth}`` with noise, masks of 0 and 255, and the texts beside them; no
    category has the images of another, which would be the same records."""
    top, own = folder / category, 1_000_000 * zlib.crc32(category.encode())
    for split, count in (("train", train), ("test", good)):
        for i in range(count):
            save(picture(own + 10 * count + i, side, side, mode), top / split / "good" / f"{i:03d}.png")
    for number, (defect, count) in enumerate(defects.items(), start=100):
        for i in range(count):
            save(picture(own + 100 * number + i, side, side, mode), top / "test" / defect / f"{i:03d}.png")
            if masks:
                save(mask_of(number + i, side), top / "ground_truth" / defect / f"{i:03d}_mask.png")
    (top / "license.txt").write_text("CC BY-NC-SA 4.0")
    (top / "readme.txt").write_text("MVTec AD")
    return top


def mask_of(seed: int, side: int) -> Image.Image:
    """A white rectangle on black."""
    values = np.zeros((side, side), dtype=np.uint8)
    values[seed % 3 + 1 : side // 2 + 1, 2 : side - seed % 4 - 1] = 255
    return Image.fromarray(values, "L")


def pack_mvtec_ad(folder: Path, target: Path) -> Path:
    """What is in ``folder`` as a tar (by suffix with xz), last name first, with a link, a hidden file and odd names."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(target, "w:xz" if target.suffix == ".xz" else "w") as archive:
        for path in sorted(folder.rglob("*"), reverse=True):
            archive.add(path, path.relative_to(folder), recursive=False)
        for category in sorted(path.name for path in folder.iterdir()):
            link = tarfile.TarInfo(f"{category}/train/good/link.png")
            link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
            archive.addfile(link)
            for name in ("train/good/._000.png", "train/good/deep/er/000.png", "train/extra.png", "other/good/000.png"):
                strange = tarfile.TarInfo(f"{category}/{name}")
                strange.size = 7
                archive.addfile(strange, io.BytesIO(b"strange"))
    return target
