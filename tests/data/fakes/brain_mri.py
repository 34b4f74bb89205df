"""A small Brain MRI in the layout of Kaggle's archive."""

from __future__ import annotations

import shutil
from pathlib import Path

from data.fakes.files import pack, picture, save

NO = ("1 no.jpeg", "13 no.jpg", "N1.JPG", "No 17.jpg", "no 98.PNG")
YES = ("Y1.jpg", "Y2.JPG", "Y20.png", "Y30.jpeg", "Y4.jpg", "Y5.jpg")


def write_brain_mri(folder: Path, *, archive: str = "") -> Path:
    """``no/`` and ``yes/`` with blanks and capitals in names, every mode of pixels, a PNG called .jpg, and a pair of
    equal files; as a zip all of it twice, as Kaggle has it."""
    top = folder / ("unpacked" if archive else "")
    modes = ("L", "RGB", "RGBA", "RGB", "L", "RGB")
    for label, names in (("no", NO), ("yes", YES)):
        for i, name in enumerate(names):
            image = picture(100 * len(names) + i, 8 + i, 9, modes[i])
            as_png = name == "13 no.jpg" or (image.mode == "RGBA" and not name.endswith(".png"))
            save(image.quantize(16) if name == "Y20.png" else image, top / label / name, "PNG" if as_png else None)
    shutil.copy(top / "yes/Y1.jpg", top / "yes/Y6.jpg")
    if not archive:
        return top
    for label in ("no", "yes"):
        shutil.copytree(top / label, top / "brain_tumor_dataset" / label)
    return pack(top, folder / archive)
