"""Caltech-256: its archive, its folder, class folders, and what lies there that is no image."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from data.fakes.caltech256 import write_caltech256
from data.fakes.files import goes_on_from_anywhere, seen

from novelty.data.source import plain_name
from novelty.data.sources import class_folders, streaming
from novelty.data.sources.caltech256 import Caltech256
from novelty.errors import NoveltyError


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """A folder with 256_ObjectCategories/, and one with its tar."""
    root = tmp_path_factory.mktemp("caltech")
    write_caltech256(root / "unpacked")
    write_caltech256(root / "packed", packed=True)
    shutil.rmtree(root / "packed/unpacked")
    return root


@pytest.mark.parametrize("threads", [False, True])
def test_every_layout_is_the_same_data_set(tmp_path, original, monkeypatch, threads):
    if threads:
        monkeypatch.setattr(class_folders, "_THREADED_BYTES", 0)
        monkeypatch.setattr(streaming, "_TASK_FILES", 7)
    plain, packed = Caltech256(original / "unpacked"), Caltech256(original / "packed")
    found = seen(plain)
    assert [image.label for image in found] == [label for label in range(257) for _ in range(2)]
    assert not any(image.test for image in found)
    assert {image.shape for image in found} == {(h, w, 3) for h in (8, 9, 10) for w in (9, 10)}
    assert seen(packed) == found
    assert packed.count == plain.count == 514
    assert packed.copy == plain.copy == "514 images where 30,607 are published"
    for source in (plain, packed):
        assert goes_on_from_anywhere(source)

    for folder in (original / "unpacked/256_ObjectCategories").iterdir():
        shutil.copytree(folder, tmp_path / "caltech256" / folder.name[4:], ignore=shutil.ignore_patterns("greg"))
    folders = Caltech256(tmp_path)
    assert seen(folders) == found
    assert folders.copy == "JPEG class folders"


def test_below_its_own_folder(tmp_path, original):
    (tmp_path / "caltech256").mkdir()
    shutil.copy(original / "packed/256_ObjectCategories.tar", tmp_path / "caltech256")
    assert Caltech256(tmp_path).count == 514
    shutil.copytree(original / "unpacked/256_ObjectCategories", tmp_path / "mine/256_ObjectCategories")
    assert Caltech256(tmp_path, folder="mine").count == 514


def test_names(tmp_path):
    names = Caltech256(tmp_path).classes
    assert len(names) == len({plain_name(name) for name in names}) == 257
    assert [names[i - 1] for i in (1, 2, 56, 100, 145, 198, 232, 256, 257)] == [
        "ak47",
        "american-flag",
        "dog",
        "hawksbill-101",
        "motorbikes-101",
        "spider",
        "t-shirt",
        "toad",
        "clutter",
    ]


def test_the_original_is_known_by_its_counts(tmp_path, monkeypatch):
    write_caltech256(tmp_path, each=1)
    monkeypatch.setattr(Caltech256, "total", 257)
    assert Caltech256(tmp_path).copy == "257 images where 257 are published"  # clutter has 827
    monkeypatch.setattr(Caltech256, "expected", {"clutter": (1, 0)})
    assert Caltech256(tmp_path).copy == "original"


def test_decoding_may_be_abandoned(original, monkeypatch):
    """Nothing is left open or running that would complain."""
    monkeypatch.setattr(class_folders, "_THREADED_BYTES", 0)
    monkeypatch.setattr(streaming, "_TASK_FILES", 2)
    blocks = Caltech256(original / "packed").blocks()
    assert isinstance(next(blocks).pixels, np.ndarray)
    blocks.close()


@pytest.mark.parametrize("keep", [0.7, 0.0])
def test_a_damaged_archive(tmp_path, original, keep):
    data = (original / "packed/256_ObjectCategories.tar").read_bytes()
    (tmp_path / "256_ObjectCategories.tar").write_bytes(data[: int(keep * len(data)) - 100 if keep else 0])
    with pytest.raises(
        NoveltyError, match=r"256_ObjectCategories\.tar (cannot be read \(.*get it again|holds no image)"
    ):
        seen(Caltech256(tmp_path))


def test_a_broken_image(tmp_path):
    top = write_caltech256(tmp_path, each=1)
    (top / "101.head-phones/101_0001.jpg").write_bytes(b"")
    with pytest.raises(NoveltyError, match=r"101\.head-phones/101_0001\.jpg cannot be read as an image"):
        seen(Caltech256(tmp_path))


def test_missing(tmp_path):
    with pytest.raises(NoveltyError) as caught:
        Caltech256(tmp_path).fingerprint()
    words = (
        "Caltech-256",
        "Griffin",
        str(tmp_path),
        "256_ObjectCategories.tar",
        "licence: CC BY 4.0",
        "https://data.calt",
    )
    assert all(word in str(caught.value) for word in words), str(caught.value)
