"""CIFAR-10: 50,000 + 10,000 colour 32x32 images, 5,000 + 1,000 a class."""

from __future__ import annotations

import io
import pickle
import tarfile
import zlib
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np

from novelty.data.download import NoDownload, fetch, md5, missing
from novelty.data.source import Block, Source, fingerprint_of
from novelty.data.sources.class_folders import ClassFolders, has_split, read_split
from novelty.errors import NoveltyError

URL = "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"
ARCHIVE, ARCHIVE_MD5 = "cifar-10-python.tar.gz", "c58f30108f718f92721af3b95e74349a"
UNPACKED = "cifar-10-batches-py"
BATCHES = {  # sums: torchvision.datasets.CIFAR10.train_list and test_list
    "data_batch_1": "c99cafc152244af753f735de768cd75f",
    "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
    "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
    "data_batch_4": "634d18415352ddfa80567beed471001a",
    "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
    "test_batch": "40351d587109b95175f43aff81a1287e",
}


class CIFAR10(Source):
    """CIFAR-10 (Krizhevsky, Nair, Hinton).

    Reads the distributed archive ``<root>/cifar-10-python.tar.gz`` as it is, the folder ``<root>/cifar-10-batches-py``
    (both also below ``<root>/<folder>``), or class folders ``<root>/<folder>/{train,test}/<class>/*``; where there is
    nothing of these, the archive is downloaded.

    folder:   name of the folder below ``root``.
    download: whether to fetch the archive where nothing of these is there.
    """

    def __init__(self, root: Path, *, folder: str = "cifar10", download: bool = True) -> None:
        super().__init__(root)
        self.folder, self.download = folder, download
        self._exact: bool | None = None

    @property
    def classes(self) -> tuple[str, ...]:
        return ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")

    def fingerprint(self) -> str:
        place = self._place
        if isinstance(place, ClassFolders):
            return place.fingerprint()
        files = [place] if place.is_file() else [place / name for name in BATCHES]
        return fingerprint_of(["CIFAR10", *((f.name, f.stat().st_size, f.stat().st_mtime_ns) for f in files)])

    @property
    def count(self) -> int:
        return len(self._place.items) if isinstance(self._place, ClassFolders) else 60_000

    def blocks(self) -> Iterator[Block]:
        if isinstance(self._place, ClassFolders):
            yield from self._place.blocks(channels=3)
            return
        batches = self._batches()
        for name in BATCHES:
            yield Block(*batches.pop(name), name == "test_batch")

    @property
    def copy(self) -> str:
        if isinstance(self._place, ClassFolders):
            return self._place.describe()
        if self._exact is None:
            self._batches()
        return "original" if self._exact else "CIFAR-10 batches that do not have the published checksums"

    @cached_property
    def _place(self) -> Path | ClassFolders:
        for home in (self.root, self.root / self.folder):
            if all((home / UNPACKED / name).is_file() for name in BATCHES):
                return home / UNPACKED
            if (home / ARCHIVE).is_file():
                return home / ARCHIVE
        if has_split(self.root / self.folder):
            return read_split(self.root / self.folder, self.classes)
        why = "downloads are off"
        if self.download:
            try:
                fetch([URL], self.root / ARCHIVE, ARCHIVE_MD5)
                return self.root / ARCHIVE
            except NoDownload as error:
                why = str(error)
        raise missing(
            "CIFAR-10",
            str(self.root),
            f"{ARCHIVE} from https://www.cs.toronto.edu/~kriz/cifar.html into {self.root} (or class folders "
            f"{self.root / self.folder}/{{train,test}}/<class>/)",
            "no explicit licence, distributed for research, cite Krizhevsky 2009",
            why,
        )

    def _batches(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Pixels (n, 32, 32, 3) and labels (n,) of each batch file; notes whether all files are the published ones."""
        assert isinstance(self._place, Path)
        self._exact, found = True, {}
        for name, data in _files(self._place):
            self._exact &= md5(data) == BATCHES[name]
            found[name] = read_batch(data, f"{self._place}: {name}")
        lost = [name for name in BATCHES if name not in found]
        if lost:
            raise NoveltyError(f"{self._place} lacks {', '.join(lost)}: remove it and get {ARCHIVE} again from {URL}.")
        return found


def _files(place: Path) -> Iterator[tuple[str, bytes]]:
    """Names and contents of the batch files, in the order in which they lie there; the archive is read in one go."""
    if place.is_dir():
        yield from ((name, (place / name).read_bytes()) for name in BATCHES)
        return
    try:
        with tarfile.open(place, "r|*") as archive:
            for member in archive:
                name = Path(member.name).name
                file = archive.extractfile(member) if name in BATCHES else None
                if file is not None:
                    yield name, file.read()
    except (OSError, EOFError, tarfile.TarError, zlib.error):
        raise NoveltyError(f"{place} is damaged or cut off: remove it and get it again from {URL}.") from None


def read_batch(data: bytes, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Pixels (n, 32, 32, 3) uint8 and labels (n,) int64 of one batch: a pickle, of which plain data is admitted."""
    try:
        batch = _PlainData(io.BytesIO(data), encoding="latin1").load()
        pixels, labels = batch["data"].values, np.array(batch["labels"], dtype=np.int64)
        images = pixels.reshape(len(labels), 3, 32, 32).transpose(0, 2, 3, 1)
        if labels.ndim != 1 or not len(labels) or labels.min() < 0 or labels.max() > 9:
            raise ValueError("labels are not 0 to 9")
        return images, labels
    except NoveltyError as error:
        raise NoveltyError(f"{name}: {error}") from None
    except Exception as error:  # a damaged pickle raises nearly anything
        reason = f"{type(error).__name__}: {error}"
        raise NoveltyError(f"{name} is no batch of CIFAR-10 ({reason}): get it again from {URL}.") from None


class _PlainData(pickle.Unpickler):
    """An unpickler that calls nothing of numpy either: arrays become `_Array`, every other global is refused."""

    def find_class(self, module: str, name: str) -> Any:
        admitted = {
            ("numpy.core.multiarray", "_reconstruct"): _Array,
            ("numpy._core.multiarray", "_reconstruct"): _Array,
            ("numpy", "ndarray"): _Array,
            ("numpy", "dtype"): _Dtype,
            ("_codecs", "encode"): _Text,
        }
        if (module, name) not in admitted:
            raise NoveltyError(
                f"the file asks to run {module}.{name}, which no batch of CIFAR-10 does; it was not run."
            )
        return admitted[module, name]


class _Dtype:
    """Stands for numpy.dtype; only single bytes without sign are admitted."""

    def __init__(self, code: str, *_: Any) -> None:
        if code != "u1":
            raise ValueError(f"values of type {code}")

    def __setstate__(self, state: Any) -> None:
        """Byte order and alignment mean nothing to single bytes."""


class _Text(bytes):
    """Stands for _codecs.encode, by which newer Pythons write bytes in old pickles."""

    def __new__(cls, text: str, encoding: str) -> Self:
        if encoding != "latin1":
            raise ValueError(f"encoding {encoding}")
        return super().__new__(cls, text.encode("latin1"))


class _Array:
    """Stands for numpy.ndarray: `values` is made from shape, type and bytes, without numpy's own unpickling."""

    values: np.ndarray

    def __init__(self, *_: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        _, shape, dtype, fortran, data = state
        if not isinstance(dtype, _Dtype) or fortran:
            raise ValueError("an array that is not plain")
        raw = data.encode("latin1") if isinstance(data, str) else memoryview(data)
        self.values = np.frombuffer(raw, dtype=np.uint8).reshape(shape)
