"""The layout of MVTec AD, which many data sets of defects share: one normal class, its defects, their masks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple

import numpy as np

from novelty.data.decode import SUFFIXES, decode
from novelty.data.source import fingerprint_of
from novelty.data.sources.class_folders import Entry, files_of
from novelty.data.sources.masks import read_mask
from novelty.data.sources.streaming import Picture
from novelty.errors import NoveltyError

GOOD = "good"
PARTS = ("train", "test", "ground_truth")
NEEDS = "train/good/, test/good/ and test/<defect>/, with ground_truth/<defect>/NNN_mask.png where there are masks"


class Photo(NamedTuple):
    """One image: path below the top, class index, split, size in bytes, time of change in ns; its mask, if any."""

    path: str
    label: int
    test: bool
    size: int
    time: int
    mask: Entry | None


@dataclass(frozen=True)
class MVTecLayout:
    """``train/good``, ``test/{good,<defect>}`` and ``ground_truth/<defect>`` below one folder or in an archive.

    where:   the folder or archive, as messages call it.
    classes: "good", then the defects in alphabetical order (in which good itself has no fixed place).
    photos:  training before test, by class, by name.
    masked:  whether there are masks.
    """

    where: str
    classes: tuple[str, ...]
    photos: list[Photo]
    masked: bool

    def fingerprint(self) -> str:
        """Identity by names, sizes and times of change."""
        return fingerprint_of([self.classes, self.masked, *self.photos])

    def counts(self) -> dict[str, tuple[int, int]]:
        """Numbers of training and of test images by class."""
        found = Counter((photo.label, photo.test) for photo in self.photos)
        return {name: (found[i, False], found[i, True]) for i, name in enumerate(self.classes)}

    def loader(self, opened: Callable[[str], Path | IO[bytes]], channels: int) -> Callable[[Photo], Picture]:
        """What reads a photo and its mask; ``opened`` gives, for a path, something that `decode` opens.

        Raises BrokenImage for an image or a mask that cannot be read, and for a mask that does not fit its image.
        """

        def load(photo: Photo) -> Picture:
            pixels = decode(opened(photo.path), channels)
            if not self.masked:
                return Picture(pixels)
            if photo.mask is None:
                return Picture(pixels, np.zeros(pixels.shape[:2], dtype=bool))
            size = (pixels.shape[0], pixels.shape[1])
            return Picture(pixels, read_mask(opened(photo.mask[0]), photo.path, size))

        return load


def read_folder(top: Path, masks: bool = True, remedy: str = "get it again whole") -> MVTecLayout:
    """The layout below ``top``; see `arrange`."""
    entries = [
        (f"{part}/{path}", size, time)
        for part in PARTS
        if (top / part).is_dir()
        for path, size, time in files_of(top / part)
    ]
    return arrange(entries, str(top), masks, remedy)


def arrange(
    entries: Iterable[Entry], where: str, masks: bool = True, remedy: str = "get it again whole"
) -> MVTecLayout:
    """Sort files by the first two folders of their paths.

    masks:  whether to look at those in ``ground_truth``; where there are any, every defect needs one, called as its
            image with or without ``_mask``.
    remedy: what to do about a lost mask.

    Raises NoveltyError where training or test images are lacking, or others than good ones train.
    """
    found: dict[str, dict[str, list[Entry]]] = {part: {} for part in PARTS}
    for entry in sorted(entries):
        file = PurePosixPath(entry[0])
        if len(file.parts) > 2 and file.parts[0] in found and file.suffix.lower() in SUFFIXES:
            found[file.parts[0]].setdefault(file.parts[1], []).append(entry)
    _check(found["train"], found["test"], where)
    classes = (GOOD, *sorted(found["test"].keys() - {GOOD}))
    drawn = {
        _subject(path): (path, size, time) for files in found["ground_truth"].values() for path, size, time in files
    }
    masked = masks and bool(drawn)
    photos = [Photo(path, 0, False, size, time, None) for path, size, time in found["train"][GOOD]]
    for label, name in enumerate(classes):
        for path, size, time in found["test"].get(name, []):
            mask = drawn.get(_subject(path)) if masked and label else None
            if masked and label and mask is None:
                wanted = f"ground_truth/{_subject(path)}_mask.png"
                raise NoveltyError(f"{where}/{path} has no mask {wanted}: {remedy}.")
            photos.append(Photo(path, label, True, size, time, mask))
    return MVTecLayout(where, classes, photos, masked)


def relabelled(layout: MVTecLayout, classes: Sequence[str]) -> MVTecLayout:
    """The same photos, labelled by their places in ``classes``, which must hold all of the layout's."""
    labels = [classes.index(name) for name in layout.classes]
    photos = [photo._replace(label=labels[photo.label]) for photo in layout.photos]
    photos.sort(key=lambda photo: (photo.test, photo.label))
    return MVTecLayout(layout.where, tuple(classes), photos, layout.masked)


def _check(train: dict[str, list[Entry]], test: dict[str, list[Entry]], where: str) -> None:
    others = sorted(train.keys() - {GOOD})
    if others:
        raise NoveltyError(
            f"{where}/train has images in {others[0]}, where only {GOOD} ones train: "
            f"move them, or use data=folder for several training classes."
        )
    if not train or not test:
        raise NoveltyError(f"{where} has no {'test' if train else 'training'} images: it needs {NEEDS}.")


def _subject(path: str) -> str:
    """What names an image and its mask: bent/003 for test/bent/003.png and ground_truth/bent/003_mask.png."""
    return str(PurePosixPath(*PurePosixPath(path).parts[1:]).with_suffix("")).removesuffix("_mask")
