"""Your own images, listed in a table."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np

from novelty.data.decode import BrokenImage, decode
from novelty.data.source import Block, Source, fingerprint_of
from novelty.data.sources.masks import read_mask
from novelty.data.sources.streaming import Picture, stream_own
from novelty.errors import NoveltyError

COLUMNS, REQUIRED = ("path", "label", "split", "mask"), ("path", "label")


class Row(NamedTuple):
    """One image of the table.

    number: of its row, the header being row 1.  status: sizes and times of change of the image and its mask.
    """

    number: int
    path: Path
    label: int
    test: bool
    mask: Path | None
    size: int
    status: tuple[int, ...]


class CSV(Source):
    """Images of any size that a CSV file lists: a header ``path,label[,split][,mask]`` in any order, one row an image.

    Separated by commas, quoted where a name holds commas, in UTF-8. path and mask are absolute or relative to the CSV
    file. split is train or test; without that column there is no official split and the protocol draws one. An image
    without a mask has no defect. A column of any other name is an error, lest a mistyped one be ignored.

    path:        the CSV file, absolute or below the data folder.
    classes:     class names in label order; null: in the order in which the rows name them, training rows first.
    skip_broken: leave out, with a warning, images or masks that cannot be read, instead of stopping.
    """

    def __init__(
        self,
        root: Path,
        *,
        path: str = "images.csv",
        classes: Sequence[str | int] | None = None,
        skip_broken: bool = False,
    ) -> None:
        super().__init__(root)
        self.path, self.skip_broken = self.root / Path(path).expanduser(), skip_broken
        self._wanted = None if classes is None else tuple(map(str, classes))
        self._left_out: list[str] = []

    @property
    def classes(self) -> tuple[str, ...]:
        return self._table[0]

    def fingerprint(self) -> str:
        classes, rows = self._table
        content = hashlib.sha256(self._content).hexdigest()
        return fingerprint_of(["CSV", self.skip_broken, classes, content, *(row.status for row in rows)])

    @property
    def count(self) -> int:
        return len(self._table[1])

    def blocks(self, start: int = 0) -> Iterator[Block]:
        """In colour; grey images have three equal channels (and lose nothing where ``channels`` is 1)."""
        classes, rows = self._table
        masked = any(row.mask is not None for row in rows)

        def load(row: Row) -> Picture:
            try:
                return _picture(row, masked)
            except BrokenImage as error:
                raise BrokenImage(f"{self.path}, row {row.number}: {error}") from None

        yield from stream_own(rows, load, classes, self.skip_broken, self._left_out, start)

    @property
    def copy(self) -> str:
        kinds = sorted({row.path.suffix[1:].upper() for row in self._table[1]})
        broken = f", {len(self._left_out)} broken images left out" if self._left_out else ""
        return f"{' and '.join(kinds)} images of a table{broken}"

    @cached_property
    def _content(self) -> bytes:
        try:
            return self.path.read_bytes()
        except OSError as error:
            raise NoveltyError(
                f"The table {self.path} cannot be read ({error.strerror}): name a CSV file ({','.join(COLUMNS)}) with "
                f"data.source.path=... (absolute, or below paths.data / NOVELTY_DATA)."
            ) from None

    @cached_property
    def _table(self) -> tuple[tuple[str, ...], list[Row]]:
        """Class names, and the rows: training before test, otherwise as in the file."""
        records = _records(self._content, self.path)
        labels = [record["label"] for record in sorted(records, key=lambda record: record["split"] == "test")]
        classes = self._checked(tuple(dict.fromkeys(labels)), records)
        seen: dict[Path, int] = {}
        rows = []
        for record in records:
            row = self._row(record, classes)
            first = seen.setdefault(row.path, row.number)
            if first != row.number:
                raise self._wrong(row.number, f"lists {row.path}, as row {first} does: remove one of them")
            rows.append(row)
        return classes, sorted(rows, key=lambda row: row.test)

    def _checked(self, found: tuple[str, ...], records: list[dict[str, str]]) -> tuple[str, ...]:
        """The classes, those of the option if they are the table's."""
        if self._wanted is None:
            return found
        for record in records:
            if record["label"] not in self._wanted:
                allowed = ", ".join(self._wanted)
                raise self._wrong(
                    record["row"],
                    f"has the label {record['label']}, which data.source.classes lacks ({allowed}): add it",
                )
        spare = [name for i, name in enumerate(self._wanted) if name not in found or name in self._wanted[:i]]
        if spare:
            raise NoveltyError(f"data.source.classes names {spare[0]}, which no row of {self.path} has, or twice.")
        return self._wanted

    def _row(self, record: dict[str, str], classes: tuple[str, ...]) -> Row:
        files = [self.path.parent / record[column] for column in ("path", "mask") if record.get(column, "").strip()]
        status: list[int] = []
        for file in files:
            found = file.stat() if file.is_file() else None
            if found is None:
                raise self._wrong(
                    record["row"], f"names {file}, where no file is: correct it (paths start at the table's folder)"
                )
            status += [found.st_size, found.st_mtime_ns]
        path, mask = files[0], files[1] if len(files) > 1 else None
        label, test = classes.index(record["label"]), record["split"] == "test"
        return Row(int(record["row"]), path, label, test, mask, sum(status[::2]), tuple(status))

    def _wrong(self, number: int | str, what: str) -> NoveltyError:
        return _wrong(self.path, number, what)


def _records(content: bytes, path: Path) -> list[dict[str, str]]:
    """The cells of each row by column, and its number as ``row``; label and split are there and valid."""
    number = 1
    records = []
    try:
        lines = csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""), strict=True, skipinitialspace=True)
        header = _header(next(lines, []), path)
        for number, cells in enumerate(lines, start=2):
            if cells:
                records.append(_record(cells, header, path, number))
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise _wrong(path, line, "is not in UTF-8: save the table in that encoding") from None
    except csv.Error as error:
        raise _wrong(path, number + 1, f"cannot be read ({error}): check its quotes") from None
    splits = {record["split"] for record in records}
    if not records:
        raise NoveltyError(f"{path} has no row below its header: list an image a row.")
    if len(splits) == 1 and splits != {""}:
        raise NoveltyError(
            f"{path} has the split {splits.pop()} alone: give rows to train and to test, or remove the column."
        )
    return records


def _header(cells: list[str], path: Path) -> list[str]:
    header = [cell.strip().lower() for cell in cells]
    if len(header) == 1 and any(mark in header[0] for mark in ";\t|"):
        raise _wrong(path, 1, "is not separated by commas: save the table with commas")
    for name in REQUIRED:
        if name not in header:
            raise _wrong(
                path, 1, f"has no column {name}: the header must be {','.join(COLUMNS)}, the last two if wanted"
            )
    for i, name in enumerate(header):
        if name not in COLUMNS or name in header[:i]:
            fault = "there twice" if name in COLUMNS else f"none of {', '.join(COLUMNS)}"
            raise _wrong(path, 1, f"has a column '{name}', which is {fault}: rename or remove it")
    return header


def _record(cells: list[str], header: list[str], path: Path, number: int) -> dict[str, str]:
    if len(cells) != len(header):
        raise _wrong(
            path, number, f"has {len(cells)} cells, the header {len(header)}: put names with commas into double quotes"
        )
    record = dict(zip(header, cells, strict=True))
    record |= {"row": str(number), "label": record["label"].strip(), "split": record.get("split", "").strip().lower()}
    for name in REQUIRED:
        if not record[name].strip():
            raise _wrong(path, number, f"has no {name}: fill it in or remove the row")
    if "split" in header and record["split"] not in ("train", "test"):
        raise _wrong(path, number, f"has the split '{record['split']}': it must be train or test")
    return record


def _wrong(path: Path, number: int | str, what: str) -> NoveltyError:
    return NoveltyError(f"{path}: row {number} (the header is row 1) {what}.")


def _picture(row: Row, masked: bool) -> Picture:
    pixels = decode(row.path, 3)
    if not masked:
        return Picture(pixels)
    size = (pixels.shape[0], pixels.shape[1])
    if row.mask is None:
        return Picture(pixels, np.zeros(size, dtype=bool))
    return Picture(pixels, read_mask(row.mask, row.path.name, size))
