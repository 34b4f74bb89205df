"""A small Head CT in the layout of Kaggle's archive."""

from __future__ import annotations

from pathlib import Path

from data.fakes.files import pack, picture, save


def write_head_ct(
    folder: Path, *, archive: str = "", count: int = 10, images: str = "head_ct/head_ct", table: str = "labels.csv"
) -> Path:
    """``labels.csv`` and ``head_ct/head_ct/NNN.png``; hemorrhages first, and only they with an alpha channel."""
    top = folder / ("unpacked" if archive else "")
    for i in range(count):
        save(picture(i, 7 + i % 3, 9, "RGBA" if i < count // 2 else "RGB"), top / images / f"{i:03d}.png")
    rows = [f"{i},{int(i < count // 2)}" for i in range(count)]
    (top / table).write_text("\n".join(["id, hemorrhage", *rows, ""]))
    return pack(top, folder / archive) if archive else top
