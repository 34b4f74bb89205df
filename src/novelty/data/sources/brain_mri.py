"""Brain MRI: 98 slices without and 155 with a tumour, from 150 to 1,920 pixels a side."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path, PurePosixPath

from novelty.data.decode import SUFFIXES
from novelty.data.source import About
from novelty.data.sources.archives import first_file
from novelty.data.sources.class_folders import ClassFolders, Entry, files_of, read_named
from novelty.data.sources.image_files import ImageFiles

UNPACKED = "brain_tumor_dataset"
ARCHIVES = (f"{UNPACKED}.zip", "brain-mri-images-for-brain-tumor-detection.zip")
LABELS = {"no": 0, "yes": 1}


class BrainMRI(ImageFiles):
    """Brain MRI Images for Brain Tumor Detection (Chakrabarty, Kaggle); classes "normal" (folder no), "tumour" (yes).

    Reads the folders no and yes below ``<root>/<folder>`` or ``<root>/brain_tumor_dataset``, the archive
    ``brain_tumor_dataset.zip`` in ``<root>`` or ``<root>/<folder>`` (or under Kaggle's names for it), or class folders
    ``<root>/<folder>/{normal,tumour}/*``. No official split.

    Traps: grey always, because colour gives labels away (only normal files have palettes or transparency); six files
    are PNG under a .jpg name, so they are opened by content; some files are equal (87 of 98 and 141 of 155 contents are
    distinct), which `Annotations.contents` tells the protocol; Kaggle's archive holds all files twice: one set is read.
    """

    about = About(
        title="Brain MRI Images for Brain Tumor Detection (Chakrabarty 2019)",
        licence="none is stated, the images were collected from the web; see the page before any use beyond research",
        get="the archive from https://www.kaggle.com/datasets/navoneel/brain-mri-images-for-brain-tumor-detection",
        place="brain_mri/archive.zip, or as the folders brain_mri/no/ and brain_mri/yes/ that are in it",
    )
    names = ("normal", "tumour")
    channels = 1
    total = 253

    def __init__(self, root: Path, *, folder: str = "brain_mri") -> None:
        super().__init__(root, folder=folder)

    @property
    def expected(self) -> Mapping[str, tuple[int, int]]:
        return {"normal": (98, 0), "tumour": (155, 0)}

    def distributed(self) -> ClassFolders | None:
        places = [top for top in (self.own, self.root / UNPACKED) if top.is_dir()]
        archive = first_file((self.root, self.own), ARCHIVES) or first_file([self.own], ["archive.zip"])
        for place in [*places, *([archive] if archive else [])]:
            files = files_of(place)
            home = _home(files)
            if home is not None:
                return read_named(place, files, self.names, partial(_label, home=home))
        return None


def _home(files: Iterable[Entry]) -> PurePosixPath | None:
    """The folder that holds no/ and yes/; the outermost, where there are several."""
    folders = {PurePosixPath(path).parent for path, _, _ in files}
    homes = {folder.parent for folder in folders if {folder.parent / name for name in LABELS} <= folders}
    return min(homes, key=lambda home: (len(home.parts), home), default=None)


def _label(path: str, home: PurePosixPath) -> int | None:
    file = PurePosixPath(path)
    if file.parent.parent != home or file.suffix.lower() not in SUFFIXES:
        return None
    return LABELS.get(file.parent.name)
