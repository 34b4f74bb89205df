"""Head CT: 100 slices without and 100 with a hemorrhage, of many sizes."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath

from novelty.data.source import About
from novelty.data.sources.archives import Archive, first_file
from novelty.data.sources.class_folders import ClassFolders, Entry, files_of, read_named
from novelty.data.sources.image_files import ImageFiles
from novelty.errors import NoveltyError

ARCHIVES = ("head_ct.zip", "head-ct-hemorrhage.zip")
TABLE = "labels.csv"
_IMAGE = re.compile(r"\d{3}\.png")


class HeadCT(ImageFiles):
    """Head CT - hemorrhage (Kitamura, Kaggle); classes "normal" and "hemorrhage".

    Reads ``labels.csv`` and ``000.png`` to ``199.png`` below ``<root>/<folder>`` (the table may also lie in ``<root>``,
    where unpacking there leaves it), the archive ``head_ct.zip`` in ``<root>`` or ``<root>/<folder>`` (or under
    Kaggle's names for it), or class folders ``<root>/<folder>/{normal,hemorrhage}/*``. No official split.

    Traps: grey always, because colour gives labels away; the table's second column is called " hemorrhage", with a
    blank, and the hemorrhages come first.
    """

    about = About(
        title="Head CT - hemorrhage (Kitamura 2018)",
        licence="as stated on its page",
        get="the archive from https://www.kaggle.com/datasets/felipekitamura/head-ct-hemorrhage",
        place=f"head_ct/archive.zip, or as the folder head_ct/head_ct/ and {TABLE} that are in it, put into head_ct/",
    )
    names = ("normal", "hemorrhage")
    channels = 1
    total = 200

    def __init__(self, root: Path, *, folder: str = "head_ct") -> None:
        super().__init__(root, folder=folder)

    @property
    def expected(self) -> Mapping[str, tuple[int, int]]:
        return dict.fromkeys(self.names, (100, 0))

    def distributed(self) -> ClassFolders | None:
        table = first_file((self.own, self.own / "head_ct", self.root), [TABLE])
        if table is not None and self.own.is_dir():
            files = files_of(self.own)
            home = _home(files)
            if home is not None:
                return self._labelled(self.own, files, home, table.read_bytes(), str(table))
        archive = first_file((self.root, self.own), ARCHIVES) or first_file([self.own], ["archive.zip"])
        if archive is None:
            return None
        files = files_of(archive)
        home = _home(files)
        name = min((path for path, _, _ in files if PurePosixPath(path).name == TABLE), key=len, default=None)
        if home is None or name is None:
            raise NoveltyError(f"{archive} holds no {TABLE} or no 000.png: it is not the data set {self.about.title}.")
        with Archive(archive) as opened:
            content = opened.read(name).getvalue()
        return self._labelled(archive, files, home, content, f"{archive}: {name}")

    def _labelled(
        self, top: Path, files: list[Entry], home: PurePosixPath, table: bytes, table_name: str
    ) -> ClassFolders:
        labels = read_labels(table, table_name)

        def label_of(path: str) -> int | None:
            file = PurePosixPath(path)
            if file.parent != home or not _IMAGE.fullmatch(file.name):
                return None
            if int(file.stem) not in labels:
                raise NoveltyError(f"{table_name} has no label for {file.name}: get it again.")
            return labels[int(file.stem)]

        return read_named(top, files, self.names, label_of)


def read_labels(table: bytes, name: str) -> dict[int, int]:
    """Number of the image -> 0 (normal) or 1 (hemorrhage), from the columns id and hemorrhage of a CSV file."""
    try:
        rows = csv.reader(table.decode("utf-8-sig").splitlines())
        columns = [column.strip().lower() for column in next(rows)]
        number, label = columns.index("id"), columns.index("hemorrhage")
        found = {int(row[number]): int(row[label]) for row in rows if row}
    except (ValueError, IndexError, StopIteration, csv.Error):
        raise NoveltyError(f"{name} is no table with the columns id and hemorrhage: get it again.") from None
    wrong = set(found.values()) - {0, 1}
    if wrong:
        raise NoveltyError(f"{name} has the label {min(wrong)}, which is neither 0 nor 1: get it again.")
    return found


def _home(files: Iterable[Entry]) -> PurePosixPath | None:
    """The folder of the numbered images; the outermost, where there are several."""
    paths = (PurePosixPath(path) for path, _, _ in files)
    homes = {path.parent for path in paths if _IMAGE.fullmatch(path.name)}
    return min(homes, key=lambda home: (len(home.parts), home), default=None)
