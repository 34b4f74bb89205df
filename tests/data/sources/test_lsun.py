"""LSUN: databases and folders, a declared subset, databases that are cut off."""

from __future__ import annotations

import os
import sys

import pytest
from data.fakes.files import goes_on_from_anywhere, seen
from data.fakes.lsun import COUNTS, write_lsun, write_lsun_folders

from novelty.data.sources import lsun
from novelty.data.sources.lsun import LSUN
from novelty.errors import NoveltyError

WITH_ROOMS = {**COUNTS, "conference_room_train": 5}


@pytest.fixture
def small(monkeypatch):
    """`write_lsun` writes what is published."""
    monkeypatch.setattr(lsun, "TRAINING", {"bedroom": 9, "conference_room": 5})
    monkeypatch.setattr(lsun, "TESTED", {"bedroom": 4, "conference_room": 3})


@pytest.mark.parametrize("home", [".", "lsun"])
@pytest.mark.parametrize("chunk", [1, 1 << 20])
def test_databases(tmp_path, monkeypatch, small, home, chunk):
    monkeypatch.setattr(lsun, "_CHUNK_BYTES", chunk)
    write_lsun(tmp_path / home)
    write_lsun_folders(tmp_path / "folders/lsun")
    source = LSUN(tmp_path)
    found = seen(source)
    assert found == seen(LSUN(tmp_path / "folders"))
    assert [image.label for image in found] == [0] * 13 + [1] * 3
    assert [image.test for image in found] == [False] * 9 + [True] * 7
    assert {image.shape for image in found} == {(16, 20, 3), (24, 16, 3)}
    assert source.classes == ("bedroom", "conference_room")
    assert source.expected == {"bedroom": (9, 4), "conference_room": (0, 3)}
    assert source.count == 16
    assert source.copy == "original"
    assert goes_on_from_anywhere(source)


@pytest.mark.parametrize("tested", ["test", "val"])
def test_folders(tmp_path, small, tested):
    write_lsun_folders(tmp_path / "lsun", tested=tested)
    source = LSUN(tmp_path)
    assert source.copy == "image folders"
    assert source.count == 16
    assert goes_on_from_anywhere(source)
    before = source.fingerprint()
    assert before == LSUN(tmp_path).fingerprint()
    os.utime(next((tmp_path / "lsun/train/bedroom").iterdir()), (1, 1))
    assert before != LSUN(tmp_path).fingerprint()


def test_conference_rooms_to_train_on(tmp_path, small):
    write_lsun(tmp_path, WITH_ROOMS)
    source = LSUN(tmp_path)
    found = seen(source)
    assert [image.label for image in found] == [0] * 9 + [1] * 5 + [0] * 4 + [1] * 3
    assert [image.test for image in found] == [False] * 14 + [True] * 7
    assert source.expected == {"bedroom": (9, 4), "conference_room": (5, 3)}
    assert source.copy == "original"
    assert goes_on_from_anywhere(source)


def test_a_subset_is_declared(tmp_path, small):
    write_lsun(tmp_path)
    write_lsun(tmp_path / "rooms", WITH_ROOMS)
    whole, source = LSUN(tmp_path), LSUN(tmp_path, max_train=2)
    assert seen(source) == seen(whole)[:2] + seen(whole)[9:]
    assert source.copy == "the first 2 of 9 training images"
    assert source.expected == {"bedroom": (2, 4), "conference_room": (0, 3)}
    assert source.fingerprint() != whole.fingerprint()
    assert goes_on_from_anywhere(source)
    rooms = LSUN(tmp_path / "rooms", max_train=7)
    assert rooms.copy == "the first 7 of 9 bedroom and 5 of 5 conference_room training images"
    assert rooms.expected == {"bedroom": (7, 4), "conference_room": (5, 3)}
    assert LSUN(tmp_path, max_train=100).copy == "original"
    with pytest.raises(NoveltyError, match=r"data\.source\.max_train is 0"):
        LSUN(tmp_path, max_train=0)


def test_published_numbers(tmp_path):
    write_lsun(tmp_path)
    assert LSUN(tmp_path).expected == {"bedroom": (3_033_042, 300), "conference_room": (0, 300)}
    assert LSUN(tmp_path, max_train=300_000).expected["bedroom"] == (300_000, 300)
    assert LSUN(tmp_path).copy.startswith("a copy with 9 of 3,033,042 bedroom training images, a copy with 4 of 300")


def test_fingerprint_reads_nothing_of_a_database(tmp_path, monkeypatch):
    write_lsun(tmp_path)
    before = LSUN(tmp_path).fingerprint()
    monkeypatch.setattr(lsun, "_values", None)
    assert LSUN(tmp_path).fingerprint() == before
    os.utime(tmp_path / "bedroom_val_lmdb/data.mdb", (1, 1))
    assert LSUN(tmp_path).fingerprint() != before


def test_two_readers_at_once(tmp_path):
    """LMDB lets a process open a database once: no reader may hold it while it waits."""
    write_lsun(tmp_path)
    first, second = LSUN(tmp_path).blocks(), LSUN(tmp_path).blocks()
    next(first), next(second)
    assert LSUN(tmp_path).count == 16
    first.close(), second.close()


def test_missing(tmp_path):
    with pytest.raises(NoveltyError) as error:
        LSUN(tmp_path).fingerprint()
    for words in ("bedroom_train, bedroom_val, conference_room_val of LSUN", "no explicit licence", f"{tmp_path}/lsun"):
        assert words in str(error.value)
    assert "\n" not in str(error.value)
    write_lsun(tmp_path, {"bedroom_train": 2, "bedroom_val": 2})
    with pytest.raises(NoveltyError, match=r"^conference_room_val of LSUN .* is not under"):
        LSUN(tmp_path).fingerprint()
    (tmp_path / "conference_room_val_lmdb.zip").write_bytes(b"PK")
    with pytest.raises(NoveltyError, match=r"conference_room_val_lmdb\.zip is not unpacked: unpack it into"):
        LSUN(tmp_path).fingerprint()


def test_without_the_package(tmp_path, monkeypatch):
    write_lsun(tmp_path)
    monkeypatch.setitem(sys.modules, "lmdb", None)
    with pytest.raises(NoveltyError, match=r"bedroom_train_lmdb is a database: .* pip install novelty\[lsun\]"):
        LSUN(tmp_path).fingerprint()


@pytest.mark.parametrize("left", [0, 100, 8192, -4096])
def test_a_database_that_is_cut_off(tmp_path, left):
    """LMDB maps what is not there and dies of it (SIGBUS), unless the size is checked first."""
    write_lsun(tmp_path)
    path = tmp_path / "bedroom_train_lmdb/data.mdb"
    path.write_bytes(path.read_bytes()[:left])
    with pytest.raises(NoveltyError, match=r"bedroom_train_lmdb/data\.mdb (is cut off: .* of .* bytes|cannot be read)"):
        seen(LSUN(tmp_path))


def test_a_database_that_is_none(tmp_path):
    write_lsun(tmp_path)
    (tmp_path / "bedroom_val_lmdb/data.mdb").write_bytes(b"<html>" * 2000)
    with pytest.raises(NoveltyError, match=r"bedroom_val_lmdb/data\.mdb cannot be read .*get it again"):
        LSUN(tmp_path).fingerprint()
    write_lsun(tmp_path / "lsun", {"bedroom_val": 0})
    with pytest.raises(NoveltyError, match=r"lsun/bedroom_val_lmdb holds no image"):
        LSUN(tmp_path).fingerprint()


def test_a_value_that_is_no_image(tmp_path, monkeypatch):
    monkeypatch.setattr("data.fakes.lsun.images", lambda part, count: {"00ff": b"no image"})
    write_lsun(tmp_path)
    with pytest.raises(NoveltyError, match=r"bedroom_train_lmdb, key 00ff cannot be read as an image"):
        seen(LSUN(tmp_path))
