"""A small COIL-100 in the layout of the distributed archive."""

from __future__ import annotations

from pathlib import Path

from data.fakes.files import pack, picture, save


def write_coil100(folder: Path, *, packed: bool = False, degrees: tuple[int, ...] = (0, 5, 100), side: int = 6) -> Path:
    """``coil-100/objN__D.png`` of all 100 objects, with the script that the original has beside them; or its zip."""
    top = folder / ("unpacked" if packed else "") / "coil-100"
    for number in range(1, 101):
        for degree in degrees:
            save(picture(1000 * number + degree, side, side), top / f"obj{number}__{degree}.png")
    for name in ("convertGroupppm2png.pl", "convertGroupppm2png.pl~"):
        (top / name).write_text("#!/usr/bin/perl")
    return pack(top.parent, folder / "coil-100.zip") if packed else top
