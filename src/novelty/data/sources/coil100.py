"""COIL-100: 7,200 colour 128x128 images, 100 objects on a turntable, one view every 5 degrees."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from novelty.data.source import About
from novelty.data.sources.class_folders import ClassFolders, files_of, read_named
from novelty.data.sources.image_files import ImageFiles

UNPACKED, ARCHIVE = "coil-100", "coil-100.zip"
_IMAGE = re.compile(r"(?:coil-100/)?obj(\d{1,3})__(\d{1,3})\.png")


class COIL100(ImageFiles):
    """Columbia Object Image Library (Nene, Nayar, Murase); classes "obj1" to "obj100", 72 views each.

    Reads the distributed archive ``<root>/coil-100.zip`` as it is, the folder ``<root>/coil-100`` (both also below
    ``<root>/<folder>``), or class folders ``<root>/<folder>/obj1/*``. No official split: no image is flagged as test.
    Views of an object come in the order of their file names (0, 10, 100, 105, ...), alike in every layout.
    """

    about = About(
        title="COIL-100 (Nene, Nayar, Murase 1996)",
        licence="none is stated; distributed for research, cite technical report CUCS-006-96",
        get=f"{ARCHIVE} from https://www.cs.columbia.edu/CAVE/software/softlib/coil-100.php",
        place=f"{ARCHIVE}, as the folder {UNPACKED} that is in it, or as class folders coil100/obj1/ to obj100/",
    )
    names = tuple(f"obj{number}" for number in range(1, 101))
    total = 7200

    def __init__(self, root: Path, *, folder: str = "coil100") -> None:
        super().__init__(root, folder=folder)

    @property
    def expected(self) -> Mapping[str, tuple[int, int]]:
        return dict.fromkeys(self.names, (72, 0))

    def distributed(self) -> ClassFolders | None:
        for home in (self.root, self.own):
            for place in (home / UNPACKED, home / ARCHIVE):
                if place.exists():
                    return read_named(place, files_of(place), self.names, _label)
        return None


def _label(path: str) -> int | None:
    found = _IMAGE.fullmatch(path)
    if found is None:
        return None
    number, degrees = int(found[1]), int(found[2])
    return number - 1 if 1 <= number <= 100 and degrees % 5 == 0 and degrees < 360 else None
