"""Head CT: Kaggle's archive, what is in it, class folders."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from data.fakes.files import goes_on_from_anywhere, seen
from data.fakes.head_ct import write_head_ct
from PIL import Image

from novelty.data.sources.head_ct import HeadCT, read_labels
from novelty.errors import NoveltyError


def test_every_layout_is_the_same_data_set(tmp_path):
    write_head_ct(tmp_path / "root")  # unpacked in the data folder
    write_head_ct(tmp_path / "own/head_ct")  # unpacked in the folder of the data set
    write_head_ct(tmp_path / "flat/head_ct", images=".")
    for name in ("head_ct.zip", "head-ct-hemorrhage.zip", "head_ct/archive.zip", "head_ct/head_ct.zip"):
        root = tmp_path / name.replace("/", "_")
        write_head_ct(root, archive=name)
        shutil.rmtree(root / "unpacked")
    for number in range(10):
        folder = tmp_path / "folders/head_ct" / ("hemorrhage" if number < 5 else "normal")
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(tmp_path / f"root/head_ct/head_ct/{number:03d}.png", folder)

    sources = {path.name: HeadCT(path) for path in tmp_path.iterdir()}
    assert len(sources) == 8
    found = seen(sources["root"])
    assert [image.label for image in found] == [0] * 5 + [1] * 5  # normal first, though the files say otherwise
    assert not any(image.test for image in found)
    with (
        Image.open(tmp_path / "root/head_ct/head_ct/005.png") as first,
        Image.open(tmp_path / "root/head_ct/head_ct/000.png") as sixth,
    ):
        assert found[0].pixels == first.convert("L").tobytes()
        assert found[5].pixels == sixth.convert("RGB").convert("L").tobytes()  # an alpha channel changes nothing
    for name, source in sources.items():
        assert seen(source) == found, name
        assert source.count == 10
        assert goes_on_from_anywhere(source)
        wanted = "PNG class folders" if name == "folders" else "10 images where 200 are published"
        assert source.copy == wanted, name


def test_grey_always(tmp_path):
    """The way in which files store colours must not tell the classes apart."""
    write_head_ct(tmp_path)
    assert {image.shape[2] for image in seen(HeadCT(tmp_path))} == {1}


def test_the_original(tmp_path):
    write_head_ct(tmp_path, count=200)
    source = HeadCT(tmp_path)
    assert source.copy == "original"
    assert source.classes == ("normal", "hemorrhage")
    assert source.expected == {"normal": (100, 0), "hemorrhage": (100, 0)}
    assert np.bincount([image.label for image in seen(source)]).tolist() == [100, 100]


@pytest.mark.parametrize(
    ("table", "labels"),
    [
        (b"id, hemorrhage\n0,1\n1,0\n", {0: 1, 1: 0}),
        (b"\xef\xbb\xbfid,hemorrhage\r\n0, 1\r\n\r\n1, 0\r\n", {0: 1, 1: 0}),
        (b"hemorrhage,id\n1,0\n", {0: 1}),
    ],
)
def test_tables(table, labels):
    assert read_labels(table, "labels.csv") == labels


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (b"", "no table with the columns id and hemorrhage"),
        (b"<html>", "no table"),
        (b"\xff\xfe\x00", "no table"),
        (b"id, hemorrhage\n0\n", "no table"),
        (b"id, hemorrhage\n0,yes\n", "no table"),
        (b"id, hemorrhage\n0,2\n", "has the label 2, which is neither 0 nor 1"),
    ],
)
def test_wrong_tables(tmp_path, table, words):
    write_head_ct(tmp_path / "head_ct")
    (tmp_path / "head_ct/labels.csv").write_bytes(table)
    with pytest.raises(NoveltyError, match=rf"head_ct/labels\.csv.* {words}|head_ct/labels\.csv is {words}"):
        HeadCT(tmp_path).fingerprint()


def test_an_image_without_a_label(tmp_path):
    write_head_ct(tmp_path)
    shutil.copy(tmp_path / "head_ct/head_ct/000.png", tmp_path / "head_ct/head_ct/010.png")
    with pytest.raises(NoveltyError, match=r"labels\.csv has no label for 010\.png"):
        HeadCT(tmp_path).fingerprint()


def test_an_archive_of_something_else(tmp_path):
    write_head_ct(tmp_path, archive="head_ct.zip", table="other.csv")
    with pytest.raises(NoveltyError, match=r"head_ct\.zip holds no labels\.csv or no 000\.png"):
        HeadCT(tmp_path).fingerprint()


def test_damaged(tmp_path):
    write_head_ct(tmp_path, archive="head_ct.zip")
    data = (tmp_path / "head_ct.zip").read_bytes()
    (tmp_path / "head_ct.zip").write_bytes(data[: len(data) // 2])
    with pytest.raises(NoveltyError, match=r"head_ct\.zip cannot be read .* get it again"):
        HeadCT(tmp_path).fingerprint()
    write_head_ct(tmp_path / "other")
    (tmp_path / "other/head_ct/head_ct/003.png").write_bytes(b"no image")
    with pytest.raises(NoveltyError, match=r"003\.png cannot be read as an image"):
        seen(HeadCT(tmp_path / "other"))


def test_missing(tmp_path):
    with pytest.raises(NoveltyError) as caught:
        HeadCT(tmp_path).fingerprint()
    words = (
        "Head CT",
        "Kitamura",
        str(tmp_path),
        "licence",
        "head_ct/archive.zip",
        "labels.csv",
        "https://www.kaggle.com",
    )
    assert all(word in str(caught.value) for word in words), str(caught.value)
