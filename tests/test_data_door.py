"""`python -m novelty.data`: list, info, download, verify and split, on small copies of every data set."""

from __future__ import annotations

import importlib
import io
import logging
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import PIL.Image
import pytest
from cells import options
from data.fakes.every import WRITERS
from data.fakes.files import picture, save
from data.fakes.mvtec_ad import DEFECTS, write_mvtec_ad
from hypothesis import given
from hypothesis import strategies as st

from novelty.data import cache
from novelty.data.decode import BrokenImage
from novelty.data.protocols.index_file import IndexFile, read_split
from novelty.data.protocols.one_vs_all import OneVsAll
from novelty.data.protocols.split import cap
from novelty.data.source import Images
from novelty.data.sources import class_folders
from novelty.data.sources.brain_mri import BrainMRI
from novelty.data.sources.digits import Digits
from novelty.data.sources.folder import Folder
from novelty.data.verbs import counts
from novelty.data.verbs.asked import asked
from novelty.data.verbs.standing import published_total
from novelty.data.verbs.verify import duplicates_within, in_several_classes, trained_and_tested
from novelty.doors import door

EMBEDDED = {"digits", "shapes"}
"""Data sets that are there without a file."""


class Done(NamedTuple):
    """What a call of the door left; out and err with single blanks, as the lines are broken anywhere."""

    code: int
    out: str
    err: str


Door = Callable[..., Done]


@pytest.fixture
def data(tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Door]:
    """The door, with images below tmp_path/data; no download ever leaves the machine."""
    monkeypatch.setenv("NOVELTY_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("NOVELTY_CACHE", str(tmp_path / "cache"))
    for module in ("cifar", "idx"):
        monkeypatch.setattr(f"novelty.data.sources.{module}.fetch", _unasked)
    handler = logging.StreamHandler(_Stderr())
    logging.getLogger("novelty").addHandler(handler)

    def call(*typed: str) -> Done:
        cache._memo.clear()
        before = os.environ.copy()
        monkeypatch.setattr(sys, "argv", ["novelty.data", *typed])
        code: object = 0
        try:
            door(importlib.import_module("novelty.data.__main__")._main)
        except SystemExit as left:
            code = left.code
        assert os.environ == before
        out, err = capfd.readouterr()
        assert "Traceback" not in out + err
        assert isinstance(code, int)
        return Done(code, _plain(out), _plain(err))

    yield call
    logging.getLogger("novelty").removeHandler(handler)
    cache._memo.clear()


class _Stderr(io.StringIO):
    """Where a process without a handler of its own shows warnings."""

    def write(self, text: str) -> int:
        return sys.stderr.write(text)


def _unasked(*_: object) -> None:
    raise AssertionError("nobody asked for a download")


def _plain(text: str) -> str:
    return " ".join(text.split())


def _sentence(done: Done) -> str:
    """What a call that failed says in the end."""
    assert done.code == 1, done
    assert done.err.count("novelty: ") == 1
    return done.err.partition("novelty: ")[2]


@pytest.fixture
def unread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails the test if an image is decoded."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("an image was read")

    monkeypatch.setattr(PIL.Image, "open", refuse)
    monkeypatch.setattr("novelty.data.sources.idx.parse_idx", refuse)
    monkeypatch.setattr("novelty.data.sources.cifar.read_plain", refuse)


def line_of(name: str, out: str) -> str:
    """The line of a data set in a list whose blanks are single: up to the next name."""
    names = options("data")
    behind = names[names.index(name) + 1] if name != names[-1] else "Looked"
    return out[out.index(f" {name} ") : out.index(f" {behind} ")]


def test_help_answers_without_a_configuration(data: Door) -> None:
    for typed in ((), ("-h",), ("verify", "--help")):
        done = data(*typed)
        assert done.code == 0
        for verb in ("list", "info", "download", "verify", "split", "stats"):
            assert f"novelty.data {verb} " in done.out


@pytest.mark.usefixtures("unread")
def test_where_nothing_lies_everything_is_listed_as_missing(data: Door, tmp_path: Path) -> None:
    done = data("list")
    assert done.code == 0
    assert "cannot be looked at" not in done.out
    for name in options("data"):
        assert line_of(name, done.out).split()[1] == ("complete" if name in EMBEDDED else "missing")
    assert "CC BY-NC-SA 4.0" in line_of("mvtec_ad", done.out)
    assert f"Looked in {tmp_path / 'data'}" in done.out
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("name", options("data"))
def test_info_of_a_data_set_that_is_not_here(name: str, data: Door) -> None:
    done = data("info", f"data={name}")
    assert done.code == 0, done.err
    assert "protocol" in done.out
    assert ("here complete" if name in EMBEDDED else "here missing") in done.out


@pytest.mark.parametrize("name", options("data"))
def test_every_data_set_through_list_info_and_verify(
    name: str, data: Door, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    (tmp_path / "data").mkdir()
    WRITERS[name](tmp_path / "data")
    one = asked("verify", [f"data={name}"])
    published = published_total(one.source(download=False))
    whole = published is None or name in EMBEDDED

    verified = data("verify", f"data={name}")
    assert verified.code == (0 if whole else 1), verified
    if not whole:
        assert "is not as published" in _sentence(verified)
    images = one.images(one.source())
    assert f"copy: {images.copy}" in verified.out
    assert images.digest in verified.out
    assert f"images {len(images.labels):,}, " in verified.out
    assert "starts at once" in verified.out
    train, test = counts.found(images)[images.classes[0]]
    assert f"{train:,} + {test:,}" in verified.out

    cache._memo.clear()
    request.getfixturevalue("unread")
    line = line_of(name, data("list").out)
    assert f" {name} {'complete' if whole else 'partial'} {len(images.labels):,} " in line
    assert images.copy in line
    told = data("info", f"data={name}")
    assert told.code == 0
    assert f"digest {images.digest}" in told.out
    assert f"{train:,} + {test:,}" in told.out


@pytest.mark.usefixtures("unread")
@pytest.mark.parametrize("name", sorted({*options("data")} - EMBEDDED))
def test_a_list_reads_no_image_of_what_is_here(name: str, data: Door, tmp_path: Path) -> None:
    WRITERS[name](tmp_path / "data")
    done = data("list")
    assert done.code == 0
    assert "cannot be looked at" not in done.out
    state, *rest = line_of(name, done.out).split()[1:]
    assert state in ("complete", "partial")
    assert "not read yet" in " ".join(rest)


def test_a_fault_of_one_data_set_leaves_the_list_whole(data: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: object) -> str:
        raise ValueError("odd disk")

    monkeypatch.setattr("novelty.data.sources.lsun.LSUN.fingerprint", fail)
    done = data("list")
    assert done.code == 0
    assert "ValueError: odd disk" in line_of("lsun", done.out)
    assert "complete" in line_of("digits", done.out)


def test_what_is_begun_is_partial_and_says_what_it_lacks(data: Door, tmp_path: Path) -> None:
    WRITERS["celeba"](tmp_path / "data")
    (tmp_path / "data/celeba/list_attr_celeba.txt").unlink()
    assert " celeba partial " in line_of("celeba", data("list").out)
    assert "here partial: list_attr_celeba.txt of CelebA" in data("info", "data=celeba").out


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_may_not_be_read_is_named(data: Door, tmp_path: Path) -> None:
    WRITERS["brain_mri"](tmp_path / "data")
    (tmp_path / "data/brain_mri").chmod(0)
    try:
        assert "cannot be read (Permission denied)" in data("info", "data=brain_mri").out
    finally:
        (tmp_path / "data/brain_mri").chmod(0o755)


def test_info_tells_what_the_configuration_knows(data: Door) -> None:
    told = data("info", "data=cifar100").out
    for part in (
        "no explicit licence",
        "cifar-100-python.tar.gz from https://",
        "download data=cifar100",
        "500 + 100 published in each class",
        "protocol superclass",
        "official (20: aquatic mammals",
        "32x32 colour",
        "data.source.download=true",
    ):
        assert part in told
    assert "piad 32x32" in data("info", "data=mnist").out
    assert "by recipe" not in told
    assert "traits texture" in data("info", "data=mvtec_ad", "data.source.category=leather").out
    assert "clutter 827 + 0, 30,607 in all" in data("info", "data=caltech256").out


def test_info_lists_attributes_with_their_numbers(data: Door, tmp_path: Path) -> None:
    written = WRITERS["celeba"](tmp_path / "data")
    bald = int((written.values[:, 4] == 1).sum())  # type: ignore[attr-defined]
    assert f"Bald ({bald})" in data("info", "data=celeba").out


def _class_folders(root: Path) -> None:
    """good: 5 training (one twice) and 2 test images (one of them trained on); bad: 3 test images, one like a good."""
    for number in (0, 1, 2, 3):
        save(picture(number, 12, 10 + number), root / f"train/good/{number}.png")
    save(picture(0, 12, 10), root / "train/good/again.png")
    save(picture(1, 12, 11), root / "test/good/trained.png")
    save(picture(9, 12, 10), root / "test/good/9.png")
    for number in (20, 21):
        save(picture(number, 12, 10), root / f"test/bad/{number}.png")
    save(picture(2, 12, 12), root / "test/bad/like_good.png")


def test_duplicates_and_sizes_are_counted(data: Door, tmp_path: Path) -> None:
    _class_folders(tmp_path / "own")
    done = data("verify", "data=folder", f"data.source.path={tmp_path / 'own'}", "data.image_size=8")
    assert done.code == 0, done
    assert "good 5 + 2 2 bad 0 + 3 0" in done.out  # the second pair: one copy in train, one in test
    assert "2 images repeat another of their class, 1 contents stand in several classes" in done.out
    assert "2 test images are equal to a training image" in done.out
    assert "images 10, from 10x12 to 13x12 pixels in 4 sizes, most often 10x12 (5); the next run at 8x8" in done.out
    assert "No numbers are published" in done.out


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 6), st.booleans()), min_size=1, max_size=30))
def test_duplicates_are_what_counting_one_by_one_says(of: list[tuple[int, int, bool]]) -> None:
    labels, contents, test = (np.array(column) for column in zip(*of, strict=True))
    images = Images(
        labels=labels, test=test, classes=("a", "b", "c"), contents=contents.astype(np.uint64), pixels=None, digest=""
    )
    seen: list[tuple[int, int]] = []
    repeats = dict.fromkeys("abc", 0)
    for label, content, _ in of:
        repeats["abc"[label]] += (label, content) in seen
        seen.append((label, content))
    assert repeats == dict.fromkeys("abc", 0) | duplicates_within(images)
    assert in_several_classes(images) == sum(len({la for la, c in seen if c == one}) > 1 for one in range(7))
    trained = {content for _, content, tested in of if not tested}
    assert trained_and_tested(images) == sum(tested and content in trained for _, content, tested in of)


def test_masks_are_counted_before_they_shrink(data: Door, tmp_path: Path) -> None:
    top = write_mvtec_ad(tmp_path, "own", side=32)
    speck = np.zeros((32, 32), dtype=np.uint8)
    speck[1, 1] = 255
    save(PIL.Image.fromarray(speck, "L"), top / "ground_truth/thread_top/000_mask.png")
    save(PIL.Image.fromarray(speck * 0, "L"), top / "ground_truth/scratch_head/000_mask.png")
    typed = ("verify", "data=mvtec_folder", f"data.source.path={top}", "data.image_size=8")
    for done in (data(*typed), data(*typed)):  # decoded now, then earlier
        assert done.code == 0
        assert "scratch_head 0 + 3 0 2" in done.out
        count, defects = 7 + sum(DEFECTS.values()), sum(DEFECTS.values())
        assert f"masks {count}, of which {defects - 1} mark something and {count - defects + 1} are empty" in done.out
        assert "at 8x8 in colour 1 more mark nothing: take a larger data.image_size" in done.out


def test_broken_images_are_all_named_and_left_out_on_demand(data: Door, tmp_path: Path) -> None:
    top = tmp_path / "own"
    _class_folders(top)
    (top / "train/good/1.png").write_bytes(b"no image")
    whole = (top / "test/bad/20.png").read_bytes()
    (top / "test/bad/20.png").write_bytes(whole[: len(whole) // 2])
    typed = ("verify", "data=folder", f"data.source.path={top}", "data.image_size=8")
    done = data(*typed)
    assert f"{top}/train/good/1.png cannot be read as an image" in _sentence(done)
    assert "data.source.skip_broken=true" in _sentence(done)
    assert done.err.count("test/bad/20.png") == 1
    assert done.out == ""
    for _ in range(2):
        done = data(*typed, "data.source.skip_broken=true")
        assert done.code == 0
        assert "2 broken images left out" in done.out
        assert "images 8, " in done.out
        assert done.err.count("cannot be read") == 2


def test_a_broken_image_of_a_published_data_set_is_named(data: Door, tmp_path: Path) -> None:
    WRITERS["brain_mri"](tmp_path / "data")
    path = tmp_path / "data/brain_mri/yes/Y4.jpg"
    path.write_bytes(b"no image")
    assert f"{path} cannot be read as an image" in _sentence(data("verify", "data=brain_mri"))


def test_the_next_run_does_not_decode(data: Door, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    _class_folders(tmp_path / "own")
    typed = ["data=folder", f"data.source.path={tmp_path / 'own'}", "data.image_size=8"]
    assert data("verify", *typed).code == 0
    request.getfixturevalue("unread")
    assert len(cache.load(Folder(tmp_path, path="own"), 8, tmp_path / "cache", 3).labels) == 10
    assert data("split", *typed, "protocol.normal=good").code == 0


def test_verify_reads_again_what_a_run_decoded(data: Door, tmp_path: Path) -> None:
    top = tmp_path / "own"
    for number in range(6):
        save(picture(number, 8, 8), top / "ab"[number % 2] / f"{number}.bmp")
    typed = ("verify", "data=folder", f"data.source.path={top}")
    first = data(*typed)
    assert first.code == 0
    assert data(*typed).out == first.out
    path = top / "b/3.bmp"
    status = path.stat()
    save(picture(99, 8, 8), path)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert "Image 4 of the data set, of class b, is not what an earlier run decoded" in _sentence(data(*typed))


def test_verify_goes_on_with_a_build_that_was_cut(data: Door, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(12):
        save(picture(number, 8, 8 + number), tmp_path / "own" / "ab"[number % 2] / f"{number:02d}.png")
    typed = ("verify", "data=folder", f"data.source.path={tmp_path / 'own'}", "data.image_size=8")
    expected = data(*typed, f"paths.cache={tmp_path / 'other'}")
    decode, opened = class_folders.decode, list[str]()

    def cut(path: Path, channels: int) -> np.ndarray:
        opened.append(path.name)
        if path.name == "05.png":
            raise BrokenImage("the drive is gone.")
        return decode(path, channels)

    monkeypatch.setattr(class_folders, "decode", cut)
    monkeypatch.setattr(class_folders, "_TASK_FILES", 2)
    monkeypatch.setattr("os.cpu_count", lambda: 1)
    one = asked("verify", typed[1:])
    with pytest.raises(BrokenImage):
        one.images(one.source())
    assert list((tmp_path / "cache").glob(".building-*"))
    monkeypatch.setattr(class_folders, "decode", decode)
    assert data(*typed).out == expected.out


def test_where_nothing_can_be_kept_verify_says_so(data: Door, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = data("verify", "data=digits", f"paths.cache={tmp_path / 'file'}/cache")
    assert done.code == 0
    assert "decodes them again" in done.out


def test_counts_that_contradict_are_named(data: Door, tmp_path: Path) -> None:
    write_mvtec_ad(tmp_path / "data/mvtec_ad", "screw")
    said = _sentence(data("verify", "data=mvtec_ad"))
    assert "class good has 4 + 3 images (training + test), 320 + 41 are published, and 5 more classes differ" in said
    assert "get mvtec_anomaly_detection.tar.xz" in said


def test_the_total_counts_where_not_every_class_is_published(
    data: Door, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    WRITERS["caltech256"](tmp_path / "data")
    source = asked("verify", ["data=caltech256"]).source()
    images = cache.load(source, 64, None)
    monkeypatch.setattr(type(source), "expected", {"clutter": counts.found(images)["clutter"]})
    count = len(images.labels)
    assert f"there are {count:,} images, 30,607 are published" in _sentence(data("verify", "data=caltech256"))
    monkeypatch.setattr(type(source), "total", count)
    done = data("verify", "data=caltech256")
    assert done.code == 0
    assert "The numbers are the published ones, as far as there are any." in done.out


def test_many_classes_are_summed_up_but_for_those_that_matter() -> None:
    of = [counts.Row(f"c{i}", (5, 1), (5, 1) if i != 77 else (4, 1), duplicates=int(i == 90)) for i in range(100)]
    heading, *lines = counts.table(of)
    assert heading == ["class", "published", "here", "duplicates"]
    assert len(lines) == counts.LINES
    assert ["c77", "5 + 1", "4 + 1 !", "0"] in lines
    assert ["c90", "5 + 1", "5 + 1", "1"] in lines
    assert lines[-1] == ["61 more", "305 + 61", "305 + 61", "0"]
    assert [line[0] for line in lines[:-1]] == [f"c{i}" for i in [*range(37), 77, 90]]


def test_a_split_goes_out_and_comes_in_again(data: Door, tmp_path: Path) -> None:
    out = tmp_path / "split.npz"
    typed = ("data=digits", "protocol.normal=3", "protocol.validation=0.1")
    done = data("split", *typed, f"out={out}")
    assert done.code == 0, done.err
    images = cache.load(Digits(tmp_path), 8, None)
    expected = OneVsAll(normal=3, validation=0.1).split(images)
    for found, wanted in zip(IndexFile(file=str(out)).split(images), expected, strict=True):
        np.testing.assert_array_equal(found, wanted)
    assert read_split(out).normal == ("3",)
    sizes = (
        f"normal: 3. Train {len(expected.train)}, validation {len(expected.validation)}, "
        f"test {(~expected.novel).sum()} normal and {expected.novel.sum()} novel images, of 1,797"
    )
    assert sizes in done.out
    again = data("split", "data=digits", "protocol=index_file", f"protocol.file={out}", f"out={tmp_path / 'again.npz'}")
    assert sizes in again.out
    assert (tmp_path / "again.npz").read_bytes() == out.read_bytes()


def test_a_split_is_the_one_of_the_budget(data: Door, tmp_path: Path) -> None:
    out = tmp_path / "split.npz"
    assert data("split", "data=digits", "protocol.normal=3", "budget.max_train=12", f"out={out}").code == 0
    images = cache.load(Digits(tmp_path), 8, None)
    expected = cap(OneVsAll(normal=3).split(images), 12)
    np.testing.assert_array_equal(read_split(out).split.train, expected.train)


def test_a_split_without_a_file_is_shown(data: Door, tmp_path: Path) -> None:
    done = data("split", "data=digits")
    assert "the first of 10 classes is normal" in done.out
    assert "Nothing was written" in done.out
    assert {path.name for path in tmp_path.iterdir()} <= {"cache"}


def test_a_download_fetches_what_is_missing_and_says_so(
    data: Door, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    WRITERS["mnist"](tmp_path / "elsewhere")
    fetched = []

    def fetch(urls: list[str], target: Path, checksum: str) -> None:
        fetched.append(target.name)
        target.parent.mkdir(parents=True, exist_ok=True)
        there = tmp_path / "elsewhere/MNIST/raw"
        target.write_bytes(next(there / n for n in (target.name, target.stem) if (there / n).is_file()).read_bytes())

    monkeypatch.setattr("novelty.data.sources.idx.fetch", fetch)
    done = data("download", "data=mnist")
    assert done.code == 0, done.err
    assert f"mnist was downloaded into {tmp_path / 'data'}: " in done.out
    assert len(fetched) == 4
    assert "nothing was downloaded" in data("download", "data=mnist").out
    assert len(fetched) == 4


def test_a_download_says_what_to_get_where_nobody_else_may_hand_it_out(data: Door, tmp_path: Path) -> None:
    assert "CelebA.html" in _sentence(data("download", "data=celeba"))
    WRITERS["brain_mri"](tmp_path / "data")
    expected = BrainMRI(tmp_path / "data").count
    done = data("download", "data=brain_mri")
    assert f"already, though not whole ({expected} images): nothing was downloaded" in done.out


MISTAKES = {
    "verfy data=digits": "verfy is no verb; did you mean verify?",
    "info data=mnits": "did you mean mnist?",
    "verify": "Name a data set: verify data=NAME. Known: against",
    "verify data=": "data= names no data",
    "verify data=null": "data=null names no data",
    "split data=digits protocol=null": "protocol=null names no protocol",
    "split data=digits protocol=3": "protocol=3 names no protocol. Known: attribute",
    "verify data=digits,mnist": "names several",
    "split data=digits protocol.normal=1,2": "names several, and split takes one at a time",
    "split data=digits protocol.normal=[1": "protocol.normal=[1 cannot be read as key=value",
    "split data=digits protocol.normal=eleven": "There is no class eleven",
    "split data=digits protocol.nrmal=1": "did you mean normal?",
    "split data=digits protocol=p22": "There is no protocol p22; did you mean p2?",
    "split data=digits out=/nowhere/at/all.npz": "it must be a file in a folder that exists",
    "split data=digits out=": "out= cannot be written",
    "verify data=digits data.image_size=abc": "data.image_size cannot be: Value 'abc'",
    "verify data=digits data.image_size=0": "data.image_size is 0",
    "verify data=digits data.channels=2": "data.channels is 2",
    "verify data=digits data.source=3": "data.source=3 must be a node with a _target_",
    "verify data=digits paths.dtaa=x": "paths.dtaa is no key of the configuration; did you mean data?",
    "verify data=digits +nosuch=1": "nosuch is no key of the configuration",
    "verify data=digits --multirun": "--multirun is nothing that verify takes",
    "verify dta": "dta is nothing that verify takes; did you mean data?",
    "verify data=digits table=all": "verify takes one data set",
    "verify data=mvtec_ad data.source.category=scrw": "did you mean screw?",
    "info data=celeba data.source.crop=0": "data.source.crop is 0",
    "verify data=lsun": "LSUN",
    "list data=mnist": "list shows every data set",
}


@pytest.mark.parametrize("typed", MISTAKES)
def test_a_mistake_is_one_sentence_and_leaves_nothing(typed: str, data: Door, tmp_path: Path) -> None:
    done = data(*typed.split())
    assert MISTAKES[typed] in _sentence(done)
    assert done.err.startswith("novelty: ")
    assert done.out == ""
    assert {path.name for path in tmp_path.iterdir()} <= {"cache"}
