"""A split as a file: written by every run, read back as a protocol."""

from __future__ import annotations

import zipfile
import zlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from novelty.data.protocols.base import Protocol, listed
from novelty.data.protocols.split import Split, Stream, choose, finished, stream
from novelty.data.source import Annotations, Images
from novelty.errors import NoveltyError


@dataclass(frozen=True)
class StoredSplit:
    """What a split file holds.

    count:        number of images N of the data set that it was made for.
    digest:       of that data set's content; "" where it is not known.
    classes:      the data set's classes in label order; empty where they are not known.
    normal:       names of what is normal: classes, or what a protocol makes of them ("without Bald"); empty = the
                  classes of the training images.
    transductive: whether training images may be tested.
    """

    split: Split
    count: int
    digest: str = ""
    classes: tuple[str, ...] = ()
    normal: tuple[str, ...] = ()
    transductive: bool = False


def write_split(path: Path, split: Split, known: Annotations, normal: tuple[str, ...]) -> None:
    """``split`` of ``known`` as an .npz; normal: names of the normal classes. Equal splits give equal bytes."""
    with Path(path).open("wb") as file:
        np.savez_compressed(
            file,
            train=split.train,
            validation=split.validation,
            test=split.test,
            novel=split.novel,
            count=np.array(len(known.labels)),
            digest=np.array(known.digest if isinstance(known, Images) else ""),
            classes=np.array(known.classes, dtype=np.str_),
            normal=np.array(normal, dtype=np.str_),
            transductive=np.array(bool(np.isin(split.test, np.union1d(split.train, split.validation)).any())),
        )


def read_split(path: Path) -> StoredSplit:
    """The split in ``path``, in ascending order.

    An .npz with ``train``, ``test``, ``novel`` (whether each test image is) and ``count``; the rest of `StoredSplit` is
    optional. Raises NoveltyError, naming the file, where it is missing, broken or contradicts itself.
    """
    arrays = _arrays(path)
    for name in ("train", "test", "novel", "count"):
        if name not in arrays:
            raise NoveltyError(f"{path} is no split file: it lacks {name} (it needs train, test, novel and count).")
    train, validation, test = (
        _list(path, name, arrays.get(name, _NONE), "iu") for name in ("train", "validation", "test")
    )
    split = Split(train, validation, test, _list(path, "novel", arrays["novel"], "b"))
    if len(split.novel) != len(split.test):
        raise NoveltyError(f"{path}: novel has {len(split.novel):,} entries for {len(split.test):,} test images.")
    stored = StoredSplit(
        finished(split, f"the file {path}"),
        int(_list(path, "count", np.atleast_1d(arrays["count"]), "iu").sum()),
        "".join(_words(arrays, "digest")),
        _words(arrays, "classes"),
        _words(arrays, "normal"),
        bool(np.any(arrays.get("transductive", False))),
    )
    _check_roles(path, stored)
    return stored


_NONE = np.empty(0, dtype=np.int64)


def _list(path: Path, name: str, array: np.ndarray, kinds: str) -> np.ndarray:
    if array.ndim != 1 or (array.dtype.kind not in kinds and array.size):
        raise NoveltyError(
            f"{path}: {name} must hold {'true or false' if kinds == 'b' else 'whole numbers'}, in a row."
        )
    return array


def _words(arrays: dict[str, np.ndarray], name: str) -> tuple[str, ...]:
    return tuple(str(word) for word in arrays.get(name, _NONE).reshape(-1))


def _arrays(path: Path) -> dict[str, np.ndarray]:
    try:
        with path.open("rb") as file:
            loaded = np.load(file, allow_pickle=False)
            if isinstance(loaded, np.lib.npyio.NpzFile):
                with loaded:
                    return dict(loaded)
    except FileNotFoundError:
        raise NoveltyError(
            f"There is no split file {path}: set protocol.file to the path of one, such as the split.npz of a run."
        ) from None
    except OSError as error:
        raise NoveltyError(f"The split file {path} cannot be read: {error.strerror or error}.") from None
    except (ValueError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error):  # numpy's own words are of no help
        pass
    raise NoveltyError(f"{path} is no split file, or a damaged one: it must be an .npz of plain arrays.")


def _check_roles(path: Path, stored: StoredSplit) -> None:
    """Each image has one role, and lies in the data set."""
    train, validation, test, novel = stored.split
    for name, index in (("train", train), ("validation", validation), ("test", test)):
        if len(index) and not 0 <= (wrong := index[0] if index[0] < 0 else index[-1]) < stored.count:
            raise NoveltyError(f"{path}: {name} has image {wrong}, and images go from 0 to {stored.count - 1}.")
    for name, index in (("train", train), ("validation", validation)):
        _refuse(path, index[1:][np.diff(index) == 0], f"twice in {name}")
    trained = np.concatenate([train, validation])
    _refuse(path, np.intersect1d(train, validation), "in both train and validation")
    _refuse(path, np.intersect1d(trained, test[novel]), "novel and in training")
    _refuse(path, np.intersect1d(test[novel], test[~novel]), "tested both as normal and as novel")
    if not stored.transductive:
        _refuse(path, np.intersect1d(trained, test), "in both training and test, and transductive is not set")


def _refuse(path: Path, wrong: np.ndarray, what: str) -> None:
    if len(wrong):
        raise NoveltyError(
            f"{path}: image {wrong[0]} is {what}"
            + (f" (and so are {len(wrong) - 1:,} more)." if wrong[1:].size else ".")
        )


class IndexFile(Protocol):
    """A split from a file: another person's, or one that a run left.

    file: path of an .npz as `write_split` makes it (see `read_split` for what it must hold); absolute, or below the
          current directory.
    validation: share of the training images that is carved off where the file names none for validation.
    """

    one_of = False

    def __init__(self, *, file: str, validation: float = 0.0) -> None:
        if not 0 <= validation < 1:
            raise NoveltyError(f"protocol.validation is {validation}: it must be at least 0 and below 1.")
        self.path, self.validation = Path(file).expanduser(), validation

    def classes(self, known: Annotations) -> tuple[str, ...]:
        """What the file calls normal: nothing else can be chosen."""
        if self._stored.normal:
            return self._stored.normal
        return tuple(known.classes[label] for label in np.unique(known.labels[self._fitting(known).split.train]))

    def normal_classes(self, known: Annotations) -> tuple[int, ...]:
        return tuple(range(len(self.classes(known))))

    def split(self, known: Annotations) -> Split:
        train, validation, test, novel = self._fitting(known).split
        if not len(validation):
            validation = choose(train, round(self.validation * len(train)), stream(Stream.VALIDATION))
            train = np.setdiff1d(train, validation, assume_unique=True)
        return Split(train, validation, test, novel)

    @cached_property
    def _stored(self) -> StoredSplit:
        return read_split(self.path)

    def _fitting(self, known: Annotations) -> StoredSplit:
        """The stored split; NoveltyError where it was made for other data or a novel class is trained on."""
        stored, here = self._stored, len(known.labels)
        if stored.count != here:
            raise NoveltyError(
                f"{self.path} was made for a data set of {stored.count:,} images; this one has {here:,}."
            )
        if stored.classes and stored.classes != known.classes:
            raise NoveltyError(
                f"{self.path} was made for other classes ({listed(stored.classes)}); "
                f"this data set has {listed(known.classes)}."
            )
        if stored.digest and isinstance(known, Images) and stored.digest != known.digest:
            raise NoveltyError(
                f"{self.path} was made for another copy of the data (digest {stored.digest[:12]}, here "
                f"{known.digest[:12]}): use that copy, or make the split anew for this one."
            )
        if stored.normal and set(stored.normal) <= set(known.classes):
            normal = np.isin(known.labels, [known.classes.index(name) for name in stored.normal])
            train, validation, test, novel = stored.split
            trained = np.concatenate([train, validation])
            names = " + ".join(stored.normal)
            _refuse(self.path, trained[~normal[trained]], f"in training, but its class is not {names}")
            _refuse(
                self.path, test[normal[test] == novel], f"tested on the wrong side of {names} and the other classes"
            )
        return stored
