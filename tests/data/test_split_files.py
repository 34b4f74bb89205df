"""Splits as files: what one run leaves, another reads; and what a file may not say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from annotated import annotated, layout, same

from novelty.data.protocols import Split
from novelty.data.protocols.balanced import BalancedHoldout
from novelty.data.protocols.caltech import CategoriesVsClutter
from novelty.data.protocols.gpnd import GPNDFolds
from novelty.data.protocols.index_file import IndexFile, read_split, write_split
from novelty.data.protocols.one_vs_all import OneVsAll
from novelty.data.source import Annotations, Images
from novelty.errors import NoveltyError

KNOWN = annotated(np.repeat([0, 1, 2], 10), classes=("cat", "dog", "owl"))
GOOD = {
    "train": np.array([4, 0, 2]),
    "validation": np.array([1]),
    "test": np.array([25, 5, 11]),
    "novel": np.array([True, False, True]),
    "count": np.array(30),
    "normal": np.array(["cat"]),
}


def saved(path: Path, **changed: Any) -> str:
    """A file of `GOOD` but for ``changed``; None leaves an array out."""
    arrays = {name: value for name, value in {**GOOD, **changed}.items() if value is not None}
    np.savez(path / "split.npz", **arrays)
    return str(path / "split.npz")


def images(digest: str) -> Images:
    return Images(
        labels=KNOWN.labels,
        test=KNOWN.test,
        classes=KNOWN.classes,
        contents=KNOWN.contents,
        pixels=torch.zeros(30, 1, 1, 1, dtype=torch.uint8),
        digest=digest,
    )


def test_a_file_made_by_hand_is_read_in_ascending_order(tmp_path):
    protocol = IndexFile(file=saved(tmp_path))
    split = protocol.split(KNOWN)
    assert [part.tolist() for part in split] == [[0, 2, 4], [1], [5, 11, 25], [False, True, True]]
    assert all(index.dtype == np.int64 for index in split[:3])
    assert [protocol.classes(KNOWN)[i] for i in protocol.normal_classes(KNOWN)] == ["cat"]


def test_what_may_be_left_out(tmp_path):
    """Without names, the classes of the training images are the normal ones, and novelty is what the file says."""
    protocol = IndexFile(file=saved(tmp_path, normal=None, validation=None, test=np.array([25, 5, 6])))
    assert protocol.split(KNOWN).test[protocol.split(KNOWN).novel].tolist() == [6, 25]
    assert protocol.classes(KNOWN) == ("cat",)


def test_equal_splits_are_equal_bytes_and_the_same_images_as_before(tmp_path):
    known = layout((20,) * 3, (10,) * 3)
    split = BalancedHoldout(normal="b", repeat=1, validation=0.2).split(known)
    for name in ("one.npz", "two.npz"):
        write_split(tmp_path / name, split, known, ("b",))
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()
    stored = read_split(tmp_path / "one.npz")
    assert same(stored.split, split)
    assert (stored.count, stored.digest, stored.classes, stored.normal) == (90, "", ("a", "b", "c"), ("b",))
    assert not stored.transductive


def test_training_on_the_test_set_is_read_back_only_where_it_was_meant(tmp_path):
    known = layout((40, 40, 40), (0, 0, 0), ("cat", "dog", "clutter"))
    protocol = CategoriesVsClutter(mode="transductive")
    names = tuple(known.classes[i] for i in protocol.normal_classes(known))
    write_split(tmp_path / "split.npz", protocol.split(known), known, names)
    assert read_split(tmp_path / "split.npz").transductive
    assert same(IndexFile(file=str(tmp_path / "split.npz")).split(known), protocol.split(known))
    with pytest.raises(NoveltyError, match="image 4 is in both training and test, and transductive is not set"):
        read_split(Path(saved(tmp_path, test=np.array([4, 5, 25]), novel=np.array([False, False, True]))))


def test_repeated_test_images_are_kept(tmp_path):
    known = annotated(np.repeat([0, 1], [20, 10]))
    split = GPNDFolds().split(known)
    assert len(np.unique(split.test)) < len(split.test)
    write_split(tmp_path / "split.npz", split, known, ("class0",))
    assert same(IndexFile(file=str(tmp_path / "split.npz")).split(known), split)


def test_the_digest_tells_copies_apart(tmp_path):
    split = OneVsAll(normal="cat").split(KNOWN)
    write_split(tmp_path / "split.npz", split, images("aaaa1111"), ("cat",))
    protocol = IndexFile(file=str(tmp_path / "split.npz"))
    assert same(protocol.split(images("aaaa1111")), split)
    with pytest.raises(NoveltyError, match=r"another copy of the data \(digest aaaa1111, here bbbb2222\)"):
        protocol.split(images("bbbb2222"))


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"train": None}, "it lacks train"),
        ({"count": None}, "it lacks count"),
        ({"count": np.array("many")}, "count must hold whole numbers"),
        ({"train": np.array([0.5])}, "train must hold whole numbers"),
        ({"train": np.array([[0, 1]])}, "train must hold whole numbers, in a row"),
        ({"novel": np.array([0, 1, 1])}, "novel must hold true or false"),
        ({"novel": np.array([True, False])}, "novel has 2 entries for 3 test images"),
        ({"train": np.array([], dtype=int)}, "split.npz has none to train on"),
        ({"novel": np.ones(3, dtype=bool)}, "split.npz holds no normal image"),
        ({"train": np.array([0, 30])}, "train has image 30, and images go from 0 to 29"),
        ({"test": np.array([25, -1, 11])}, "test has image -1"),
        ({"train": np.array([0, 2, 2, 3, 3])}, "image 2 is twice in train .and so are 1 more."),
        ({"validation": np.array([0])}, "image 0 is in both train and validation."),
        ({"train": np.array([0, 11])}, "image 11 is novel and in training"),
        ({"test": np.array([4, 5, 11])}, "image 4 is novel and in training"),
        ({"test": np.array([25, 25, 11])}, "image 25 is tested both as normal and as novel"),
        ({"train": np.array([0, 12])}, "image 12 is in training, but its class is not cat"),
        ({"test": np.array([25, 12, 11])}, "image 12 is tested on the wrong side of cat"),
        ({"test": np.array([7, 5, 11])}, "image 7 is tested on the wrong side of cat"),
        ({"count": np.array(31)}, "made for a data set of 31 images; this one has 30"),
        (
            {"classes": np.array(["cat", "dog"])},
            r"made for other classes \(cat, dog\); this data set has cat, dog, owl",
        ),
    ],
)
def test_a_wrong_file_is_one_sentence(tmp_path, changed, words):
    file = saved(tmp_path, **changed)
    with pytest.raises(NoveltyError, match=words) as caught:
        IndexFile(file=file).split(KNOWN)
    assert file in str(caught.value)
    assert "\n" not in str(caught.value)


def test_files_that_are_no_splits(tmp_path):
    with pytest.raises(NoveltyError, match=r"There is no split file .*nowhere\.npz: set protocol\.file"):
        IndexFile(file=str(tmp_path / "nowhere.npz")).split(KNOWN)
    (tmp_path / "text.npz").write_text("train: 1 2 3")
    np.save(tmp_path / "single.npy", np.arange(3))
    np.savez(tmp_path / "objects.npz", **{**GOOD, "train": np.array([{}], dtype=object)})
    whole = Path(saved(tmp_path)).read_bytes()
    (tmp_path / "cut.npz").write_bytes(whole[: len(whole) // 2])
    for name in ("text.npz", "single.npy", "objects.npz", "cut.npz"):
        with pytest.raises(NoveltyError, match=rf"{name} is no split file, or a damaged one"):
            IndexFile(file=str(tmp_path / name)).split(KNOWN)
    with pytest.raises(NoveltyError, match="cannot be read: Is a directory"):
        IndexFile(file=str(tmp_path)).split(KNOWN)


def test_a_damaged_byte_is_noticed_or_harmless(tmp_path):
    split = OneVsAll(normal="cat").split(KNOWN)
    write_split(tmp_path / "split.npz", split, KNOWN, ("cat",))
    whole = bytearray((tmp_path / "split.npz").read_bytes())
    for place in range(0, len(whole), 7):
        damaged = whole.copy()
        damaged[place] ^= 0x55
        (tmp_path / "damaged.npz").write_bytes(damaged)
        try:
            read = IndexFile(file=str(tmp_path / "damaged.npz")).split(KNOWN)
        except NoveltyError:
            continue
        assert same(read, split)


def test_names_that_are_no_classes_of_the_data_are_taken_as_they_are(tmp_path):
    """A split by an attribute parts images of one class, which no label contradicts."""
    known: Annotations = annotated(np.zeros(6), classes=("face",))
    split = Split(np.array([0, 1]), np.array([], dtype=np.int64), np.array([2, 5]), np.array([False, True]))
    write_split(tmp_path / "split.npz", split, known, ("without Bald",))
    protocol = IndexFile(file=str(tmp_path / "split.npz"))
    assert same(protocol.split(known), split)
    assert protocol.classes(known) == ("without Bald",)


def test_validation_is_carved_where_the_file_names_none(tmp_path):
    split = OneVsAll(normal="cat").split(KNOWN)
    write_split(tmp_path / "split.npz", split, KNOWN, ("cat",))
    carved = IndexFile(file=str(tmp_path / "split.npz"), validation=0.5).split(KNOWN)
    assert len(carved.validation) == round(0.5 * len(split.train)) > 0
    assert np.array_equal(np.union1d(carved.train, carved.validation), split.train)
    write_split(tmp_path / "own.npz", carved, KNOWN, ("cat",))
    again = IndexFile(file=str(tmp_path / "own.npz"), validation=0.3).split(KNOWN)
    assert np.array_equal(again.validation, carved.validation)  # the file's own counts
