"""MVTec AD: 15 categories of industrial objects and textures, 5,354 images, with masks of the defects."""

from __future__ import annotations

import lzma
import os
import tarfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import IO, Literal, NamedTuple

import numpy as np

from novelty.data.download import missing
from novelty.data.source import About, Block, Source, fingerprint_of
from novelty.data.sources.archives import Member, first_file
from novelty.data.sources.mvtec_layout import GOOD, PARTS, MVTecLayout, arrange, read_folder, relabelled
from novelty.data.sources.streaming import stream
from novelty.errors import NoveltyError

Category = Literal[
    "bottle",
    "cable",
    "capsule",
    "carpet",
    "grid",
    "hazelnut",
    "leather",
    "metal_nut",
    "pill",
    "screw",
    "tile",
    "toothbrush",
    "transistor",
    "wood",
    "zipper",
]
TEXTURES = frozenset({"carpet", "grid", "leather", "tile", "wood"})
GREY = frozenset({"grid", "screw", "zipper"})
ARCHIVE, ARCHIVE_BYTES = "mvtec_anomaly_detection.tar.xz", 5_264_982_680
UNPACKED = ("mvtec_anomaly_detection", "mvtec_ad", "", "mvtec_ad_256")
"""Folders below the root that may hold the categories; a small copy counts only where nothing else is."""


class Published(NamedTuple):
    """side of the square images in pixels; good training and test images; test images by defect."""

    side: int
    train: int
    good: int
    defects: dict[str, int]


# Bergmann, Fauser, Sattlegger, Steger 2019, tables 1 and 2; sums: protocols.md section 4
PUBLISHED: dict[str, Published] = {
    "bottle": Published(900, 209, 20, {"broken_large": 20, "broken_small": 22, "contamination": 21}),
    "cable": Published(
        1024,
        224,
        58,
        {
            "bent_wire": 13,
            "cable_swap": 12,
            "combined": 11,
            "cut_inner_insulation": 14,
            "cut_outer_insulation": 10,
            "missing_cable": 12,
            "missing_wire": 10,
            "poke_insulation": 10,
        },
    ),
    "capsule": Published(1000, 219, 23, {"crack": 23, "faulty_imprint": 22, "poke": 21, "scratch": 23, "squeeze": 20}),
    "carpet": Published(1024, 280, 28, {"color": 19, "cut": 17, "hole": 17, "metal_contamination": 17, "thread": 19}),
    "grid": Published(1024, 264, 21, {"bent": 12, "broken": 12, "glue": 11, "metal_contamination": 11, "thread": 11}),
    "hazelnut": Published(1024, 391, 40, {"crack": 18, "cut": 17, "hole": 18, "print": 17}),
    "leather": Published(1024, 245, 32, {"color": 19, "cut": 19, "fold": 17, "glue": 19, "poke": 18}),
    "metal_nut": Published(700, 220, 22, {"bent": 25, "color": 22, "flip": 23, "scratch": 23}),
    "pill": Published(
        800,
        267,
        26,
        {
            "color": 25,
            "combined": 17,
            "contamination": 21,
            "crack": 26,
            "faulty_imprint": 19,
            "pill_type": 9,
            "scratch": 24,
        },
    ),
    "screw": Published(
        1024,
        320,
        41,
        {"manipulated_front": 24, "scratch_head": 24, "scratch_neck": 25, "thread_side": 23, "thread_top": 23},
    ),
    "tile": Published(840, 230, 33, {"crack": 17, "glue_strip": 18, "gray_stroke": 16, "oil": 18, "rough": 15}),
    "toothbrush": Published(1024, 60, 12, {"defective": 30}),
    "transistor": Published(1024, 213, 60, {"bent_lead": 10, "cut_lead": 10, "damaged_case": 10, "misplaced": 10}),
    "wood": Published(1024, 247, 19, {"color": 8, "combined": 11, "hole": 10, "liquid": 10, "scratch": 21}),
    "zipper": Published(
        1024,
        240,
        32,
        {
            "broken_teeth": 19,
            "combined": 16,
            "fabric_border": 17,
            "fabric_interior": 16,
            "rough": 17,
            "split_teeth": 18,
            "squeezed_teeth": 16,
        },
    ),
}


class Seen(NamedTuple):
    """What was read: images by class, training and test; width and height of an image; whether there are masks."""

    counts: Mapping[str, tuple[int, int]]
    size: tuple[int, int]
    masked: bool


_TAR_END = 1024
_DAMAGE = (OSError, EOFError, tarfile.TarError, lzma.LZMAError, zlib.error)


class MVTecAD(Source):
    """MVTec Anomaly Detection, one category a run: good images train; good ones and all defects are tested.

    Reads ``<category>/{train,test,ground_truth}`` below ``<root>/mvtec_anomaly_detection``, ``<root>/mvtec_ad``, or
    ``<root>``; then the distributed archives as they are, ``<category>.tar.xz`` or the one of all categories, in
    ``<root>`` or one of these folders; and last a copy of 256x256 pixels in ``<root>/mvtec_ad_256``.

    category: one of the 15.
    """

    about = About(
        title="MVTec AD (Bergmann, Fauser, Sattlegger, Steger 2019)",
        licence="CC BY-NC-SA 4.0 (non-commercial, share alike)",
        get=f"{ARCHIVE}, or the archive of one category, from https://www.mvtec.com/company/research/datasets/mvtec-ad",
        place="mvtec_ad/",
    )

    def __init__(self, root: Path, *, category: Category = "screw") -> None:
        super().__init__(root)
        self.category, self._published = category, PUBLISHED[category]
        self._seen: Seen | None = None

    @property
    def classes(self) -> tuple[str, ...]:
        """Those of the original wherever the copy holds no others; a lost defect leaves its class empty."""
        place = self._place
        return place.classes if isinstance(place, MVTecLayout) else tuple(self.expected)

    def fingerprint(self) -> str:
        place = self._place
        if isinstance(place, MVTecLayout):
            return fingerprint_of(["MVTecAD", self.category, place.fingerprint()])
        status = place.stat()
        return fingerprint_of(["MVTecAD", self.category, place.name, status.st_size, status.st_mtime_ns])

    @property
    def count(self) -> int:
        place = self._place
        return len(place.photos) if isinstance(place, MVTecLayout) else sum(map(sum, self.expected.values()))

    @property
    def expected(self) -> Mapping[str, tuple[int, int]]:
        published = self._published
        return {GOOD: (published.train, published.good)} | {name: (0, n) for name, n in published.defects.items()}

    def blocks(self, start: int = 0) -> Iterator[Block]:
        """One channel for grid, screw and zipper, three for the others, whatever the files have.

        An archive is read once, as far as needed; the files of the category (100 to 700 MB) are in memory meanwhile.
        """
        layout, opened = self._opened()
        load = layout.loader(opened, 1 if self.category in GREY else 3)
        for block in stream(layout.photos[start:], load):
            self._seen = Seen(layout.counts(), (block.pixels.shape[2], block.pixels.shape[1]), layout.masked)
            yield block

    @property
    def copy(self) -> str:
        """ "original" for the published sizes and numbers, otherwise what differs."""
        place = self._place
        if isinstance(place, Path) and (place.name, place.stat().st_size) == (ARCHIVE, ARCHIVE_BYTES):
            return "original"
        if self._seen is None:
            next(self.blocks())
        assert self._seen is not None
        return ", ".join(self._differences(*self._seen)) or "original"

    @property
    def traits(self) -> frozenset[str]:
        return frozenset({"texture" if self.category in TEXTURES else "object"})

    @cached_property
    def _place(self) -> MVTecLayout | Path:
        """The layout in a folder, or the archive."""
        *large, small = (self.root / name for name in UNPACKED)
        for home in large:
            if (home / self.category / "train").is_dir():
                return self._named(read_folder(home / self.category))
        archive = first_file(
            large, [f"{name}{s}" for name in (self.category, ARCHIVE[:-7]) for s in (".tar.xz", ".tar")]
        )
        if archive is not None:
            return archive
        if (small / self.category / "train").is_dir():
            return self._named(read_folder(small / self.category))
        raise missing(
            f"{self.about.title}, category {self.category},",
            str(self.root),
            f"{self.about.get}, into {self.root / self.about.place} (packed or unpacked)",
            f"licence {self.about.licence}",
            "its owner's terms",
        )

    def _named(self, layout: MVTecLayout) -> MVTecLayout:
        known = tuple(self.expected)
        return relabelled(layout, known) if set(layout.classes) <= set(known) else layout

    def _opened(self) -> tuple[MVTecLayout, Callable[[str], Path | Member]]:
        """The layout, and what gives for a path something that `decode` opens."""
        place = self._place
        if isinstance(place, MVTecLayout):
            return place, Path(place.where).__truediv__
        files = read_category(place, self.category)
        where = f"{place}: {self.category}"
        layout = arrange(((path, len(data), 0) for path, data in files.items()), where)
        strange = set(layout.classes) - set(self.expected)
        if strange:
            raise NoveltyError(
                f"{where}/test/{min(strange)} is no defect of {self.about.title}: get the archive again."
            )

        def opened(path: str) -> Member:
            return Member(files.pop(path), f"{where}/{path}")

        return relabelled(layout, tuple(self.expected)), opened

    def _differences(self, counts: Mapping[str, tuple[int, int]], size: tuple[int, int], masked: bool) -> Iterator[str]:
        """What sets the copy apart from the original; nothing for the original."""
        width, height = size
        if size != (self._published.side, self._published.side):
            yield f"{width} px copy" if width == height else f"{width}x{height} px copy"
        if not masked:
            yield "without masks"
        found, whole = (np.array(list(c.values())).sum(axis=0) for c in (counts, self.expected))
        for number, wanted, kind in zip(found, whole, ("training", "test"), strict=True):
            if number != wanted:
                yield f"a sample ({number} of {wanted} {kind} images)"
                return
        if counts != self.expected:
            yield "defects under other names"


def read_category(archive: Path, category: Category) -> dict[str, bytes]:
    """Image files of a category by their paths below it: ``train/good/000.png``; links and odd names are passed over.

    One pass, which ends where as many files were found as the original has. Raises NoveltyError.
    """
    published = PUBLISHED[category]
    whole = published.train + published.good + 2 * sum(published.defects.values())
    found: dict[str, bytes] = {}
    try:
        with _unpacked(archive) as bare, tarfile.open(fileobj=bare, mode="r|") as files:
            for member in files:
                parts = PurePosixPath(member.name).parts
                if len(parts) < 4 or parts[-4] != category or parts[-3] not in PARTS or not member.isreg():
                    continue
                content = files.extractfile(member)
                if content is not None and not any(part.startswith(".") for part in parts[-2:]):
                    found["/".join(parts[-3:])] = content.read()
                if len(found) == whole:
                    break
    except _DAMAGE as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise NoveltyError(f"{archive} is damaged or cut off ({reason}): remove it and get it again.") from None
    return found


def _unpacked(archive: Path) -> IO[bytes]:
    """The tar in a file. Cut off between two members it would pass for whole: xz notices, a bare tar ends in zeros."""
    if archive.suffix == ".xz":
        return lzma.open(archive)
    file = archive.open("rb")
    file.seek(-min(_TAR_END, archive.stat().st_size), os.SEEK_END)
    if file.read() != bytes(_TAR_END):
        file.close()
        raise tarfile.ReadError("it has no end")
    file.seek(0)
    return file
