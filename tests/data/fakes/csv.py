"""A small table of images, as a spreadsheet or a script would write it."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from data.fakes.files import picture, save
from data.fakes.mvtec_ad import mask_of

HEADER = ("path", "label", "split", "mask")
ROWS = (
    ("parts/good one.png", "good", "train", ""),
    ("parts/b,2.png", "good", "test", ""),
    ("Größe/ü.jpg", "bent", "test", "masks/ü.png"),
    ("parts/c.png", "odd", "train", ""),
    ("parts/d.png", "good", "train", ""),
    ("parts/e.png", "bent", "test", "masks/e.png"),
    ("parts/f.png", "aged", "test", ""),
)


def write_csv(folder: Path, columns: Sequence[str] = HEADER, rows: Sequence[Sequence[str]] = ROWS) -> Path:
    """``folder/images.csv`` with some columns of `ROWS`, and the files that the rows name (9x8; masks too)."""
    for number, row in enumerate(rows):
        save(picture(number, 9, 8), folder / row[0])
        if len(row) > 3 and row[3]:
            save(mask_of(number, 9).crop((0, 0, 8, 9)), folder / row[3])
    with (folder / "images.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(columns)
        table.writerows([row[HEADER.index(name)] for name in columns] for row in rows)
    return folder / "images.csv"
