"""A small Caltech-256 in the layout of the distributed archive."""

from __future__ import annotations

from pathlib import Path

from data.fakes.files import pack, picture, save

from novelty.data.sources.caltech256 import Caltech256


def write_caltech256(folder: Path, *, packed: bool = False, each: int = 2, clutter: int | None = None) -> Path:
    """``256_ObjectCategories/NNN.name/NNN_MMMM.jpg`` of many sizes, some grey, and the strays of the original."""
    top = folder / ("unpacked" if packed else "") / "256_ObjectCategories"
    for number, name in enumerate(Caltech256.names, 1):
        for i in range(1, (clutter if clutter and name == "clutter" else each) + 1):
            image = picture(1000 * number + i, 8 + number % 3, 8 + i, "L" if number % 50 == 0 else "RGB")
            save(image, top / f"{number:03d}.{name}" / f"{number:03d}_{i:04d}.jpg")
    (top / "056.dog/greg/vision309").mkdir(parents=True)
    save(picture(1, 8, 8), top / "056.dog/greg/vision309/056_0001.jpg")
    (top / "198.spider/RENAME2").write_text("mv 198_0001.jpg 198_0002.jpg")
    return pack(top.parent, folder / "256_ObjectCategories.tar") if packed else top
