"""CelebA: 202,599 aligned faces of 178x218 pixels with forty yes/no attributes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np

from novelty.data.decode import BrokenImage, decode
from novelty.data.download import missing
from novelty.data.source import About, Block, Source, fingerprint_of
from novelty.data.sources.archives import Archive, Member, first_file
from novelty.data.sources.class_folders import files_of
from novelty.data.sources.streaming import Picture, stream
from novelty.errors import NoveltyError

IMAGES, ATTRIBUTES, PARTITION = "img_align_celeba", "list_attr_celeba", "list_eval_partition"
WIDTH, HEIGHT = 178, 218
PARTS = (162_770, 19_867, 19_962)
"""Published numbers of training, validation and test images."""

# protocols.md section 6: positives over all images
POSITIVES = {"Bald": 4_547, "Mustache": 8_417, "Bangs": 30_709, "Eyeglasses": 13_193, "Wearing_Hat": 9_818}
_YES_NO = frozenset({"1", "-1"})


class Lists(NamedTuple):
    """What the two lists say, in the order of `CelebA.blocks`.

    names: file names.  part: 0 training, 1 validation, 2 test.  attributes: (N,) bool each.
    """

    names: list[str]
    part: np.ndarray
    attributes: dict[str, np.ndarray]


class Place(NamedTuple):
    """The images, a folder or a zip, and the two lists."""

    images: Path
    attributes: Path
    partition: Path


class Face(NamedTuple):
    """One image: its path in the folder or archive; CelebA has one class."""

    path: str
    size: int
    test: bool
    label: int = 0


class CelebA(Source):
    """CelebFaces Attributes, aligned and cropped images (Liu, Luo, Wang, Tang 2015); one class, "face".

    In ``<root>/celeba`` or ``<root>/CelebA``, or there in Img, Anno and Eval as in the owner's folder: the images as
    ``img_align_celeba.zip`` or as a folder ``img_align_celeba``, also one inside the other as Kaggle packs them, and
    ``list_attr_celeba`` and ``list_eval_partition``, .txt or Kaggle's .csv.

    `attributes` are the forty of the list, and "validation": True on the official validation images, which are not
    flagged as test; a protocol has to leave them out (the protocol ``attribute`` does).

    crop: side of the square that is cut from the centre of each 178x218 image: 140 (rows 39-178, columns 19-158) in
          PIAD, 128 in energy projection.
    """

    about = About(
        title="CelebA (Liu, Luo, Wang, Tang 2015)",
        licence="non-commercial research only, no redistribution of the images",
        get=f"{IMAGES}.zip, {ATTRIBUTES}.txt and {PARTITION}.txt "
        "from https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html (Align&Cropped Images)",
        place="celeba/",
    )

    def __init__(self, root: Path, *, crop: int = 140) -> None:
        super().__init__(root)
        if not 1 <= crop <= WIDTH:
            raise NoveltyError(f"data.source.crop is {crop}: it must be 1 to {WIDTH} pixels, the width of the images.")
        self.crop = crop

    @property
    def classes(self) -> tuple[str, ...]:
        return ("face",)

    def fingerprint(self) -> str:
        files = [self._place.attributes, self._place.partition]
        images = self._place.images
        known = files_of(images) if images.is_dir() else []
        if not known:
            files.append(images)
        status = ((file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files)
        return fingerprint_of(["CelebA", self.crop, *status, *sorted(known)])

    @property
    def count(self) -> int:
        return len(self._lists.names)

    @property
    def expected(self) -> Mapping[str, tuple[int, int]]:
        """Training counts the validation images in."""
        return {"face": (PARTS[0] + PARTS[1], PARTS[2])}

    @property
    def attributes(self) -> Mapping[str, np.ndarray]:
        return {**self._lists.attributes, "validation": self._lists.part == 1}

    def blocks(self, start: int = 0) -> Iterator[Block]:
        """(n, crop, crop, 3): training, validation and test images, each in the order of the lists."""
        images = self._place.images
        if images.is_dir():
            faces = self._faces((path, size) for path, size, _ in files_of(images))
            yield from stream(faces[start:], self._loader(images.__truediv__))
            return
        with Archive(images) as archive:
            faces = self._faces(archive.sizes.items())
            yield from stream(faces[start:], self._loader(archive.read))

    @property
    def copy(self) -> str:
        """ "original" where the lists have the published numbers of images and of positives of five attributes."""
        part, attributes = self._lists.part, self._lists.attributes
        if len(part) != sum(PARTS):
            return f"a sample ({len(part):,} of {sum(PARTS):,} images)"
        counts = {name: int(attributes[name].sum()) for name in POSITIVES if name in attributes}
        if tuple(np.bincount(part, minlength=3)) == PARTS and counts == POSITIVES:
            return "original"
        return "lists that are not the published ones"

    @cached_property
    def _place(self) -> Place:
        homes = [self.root / top / sub for top in ("celeba", "CelebA") for sub in ("", "Img", "Anno", "Eval")]
        images = first_file(homes, [f"{IMAGES}.zip"])
        if images is None:
            images = next((home / IMAGES for home in homes if (home / IMAGES).is_dir()), None)
        attributes, partition = (
            first_file(homes, [f"{name}{suffix}" for suffix in (".txt", ".csv")]) for name in (ATTRIBUTES, PARTITION)
        )
        if images is not None and attributes is not None and partition is not None:
            return Place(images, attributes, partition)
        found = {f"{IMAGES}.zip": images, f"{ATTRIBUTES}.txt": attributes, f"{PARTITION}.txt": partition}
        lost = [name for name, path in found.items() if path is None]
        raise missing(
            self.about.title if len(lost) == len(found) else f"{' and '.join(lost)} of {self.about.title}",
            str(self.root),
            f"{self.about.get}, into {self.root / self.about.place}",
            f"licence: {self.about.licence}",
            "its owner's terms",
        )

    @cached_property
    def _lists(self) -> Lists:
        return read_lists(self._place.attributes, self._place.partition)

    def _faces(self, files: Iterable[tuple[str, int]]) -> list[Face]:
        """The images of the lists, in their order, out of all ``files`` (path, size)."""
        by_name = {PurePosixPath(path).name: (path, size) for path, size in sorted(files, reverse=True)}
        names = self._lists.names
        lost = [name for name in names if name not in by_name]
        if lost:
            raise NoveltyError(
                f"{self._place.images} lacks {len(lost):,} of the {len(names):,} images that the lists name, "
                f"such as {lost[0]}: get it again whole."
            )
        return [Face(*by_name[name], test=bool(part == 2)) for name, part in zip(names, self._lists.part, strict=True)]

    def _loader(self, opened: Callable[[str], Path | Member]) -> Callable[[Face], Picture]:
        top, left = (HEIGHT - self.crop) // 2, (WIDTH - self.crop) // 2

        def load(face: Face) -> Picture:
            file = opened(face.path)
            pixels = decode(file, 3)
            if pixels.shape != (HEIGHT, WIDTH, 3):
                raise BrokenImage(
                    f"{file} has {pixels.shape[1]}x{pixels.shape[0]} pixels, not the {WIDTH}x{HEIGHT} of the aligned "
                    f"images: get {IMAGES}.zip."
                )
            return Picture(pixels[top : top + self.crop, left : left + self.crop])

        return load


def read_lists(attributes: Path, partition: Path) -> Lists:
    """The two lists, .txt or .csv each; training images first, otherwise in the order of the partition.

    Raises NoveltyError, naming the file and the line, for what is cut off, foreign or does not belong together.
    """
    parts: dict[str, int] = {}
    for number, (name, *values) in _lines(partition, header=partition.suffix == ".csv"):
        if values not in (["0"], ["1"], ["2"]):
            raise _damaged(partition, number, "no image with its part, 0, 1 or 2")
        parts[name] = int(values[0])
    lines = _lines(attributes)
    declared = int(_first(lines, attributes)[0]) if attributes.suffix == ".txt" else None
    titles = _first(lines, attributes)[attributes.suffix == ".csv" :]
    values_of: dict[str, bytes] = {}
    for number, (name, *values) in lines:
        if len(values) != len(titles) or not _YES_NO.issuperset(values):
            raise _damaged(attributes, number, f"no image with {len(titles)} values, 1 or -1")
        values_of[name] = bytes(value == "1" for value in values)
    if declared not in (None, len(values_of)):
        raise NoveltyError(f"{attributes} is cut off: {len(values_of):,} of {declared:,} images; get it again.")
    if not parts or parts.keys() != values_of.keys():
        strange = min(parts.keys() ^ values_of.keys(), default="no image at all")
        raise NoveltyError(
            f"{attributes} and {partition.name} do not list the same images ({strange}): get both again."
        )
    names = sorted(parts, key=parts.__getitem__)
    table = np.frombuffer(b"".join(values_of[name] for name in names), dtype=bool).reshape(len(names), len(titles))
    flags = {title: np.ascontiguousarray(table[:, i]) for i, title in enumerate(titles)}
    return Lists(names, np.array([parts[name] for name in names]), flags)


def _lines(path: Path, header: bool = False) -> Iterator[tuple[int, list[str]]]:
    """Number and words of each line that has any."""
    separator = "," if path.suffix == ".csv" else None
    try:
        with path.open(encoding="ascii") as file:
            for number, line in enumerate(file, start=1):
                words = line.strip().split(separator)
                if words and words[0] and not (header and number == 1):
                    yield number, words
    except UnicodeDecodeError:
        raise NoveltyError(f"{path} is no text: get it again.") from None


def _first(lines: Iterator[tuple[int, list[str]]], path: Path) -> list[str]:
    number, words = next(lines, (1, []))
    if not words or (number == 1 and path.suffix == ".txt" and not words[0].isdigit()):
        raise _damaged(path, number, f"not the beginning of {ATTRIBUTES}")
    return words


def _damaged(path: Path, number: int, what: str) -> NoveltyError:
    return NoveltyError(f"{path}, line {number}, is {what}: get the file again.")
