"""`python -m novelty.data`: list, info, download and split, and every data set through list, info and verify."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from cells import options
from data.fakes.every import WRITERS
from data_door import Door, opened, refuse_reading, sentence

from novelty.data import cache
from novelty.data.protocols.index_file import IndexFile, read_split
from novelty.data.protocols.one_vs_all import OneVsAll
from novelty.data.protocols.split import cap
from novelty.data.sources.brain_mri import BrainMRI
from novelty.data.sources.digits import Digits
from novelty.data.verbs import counts
from novelty.data.verbs.asked import asked
from novelty.data.verbs.standing import published_total

EMBEDDED = {"digits", "shapes"}
"""Data sets that are there without a file."""


@pytest.fixture
def ask(tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Door]:
    yield from opened(tmp_path, capfd, monkeypatch)


@pytest.fixture
def unread(monkeypatch: pytest.MonkeyPatch) -> None:
    refuse_reading(monkeypatch)


def line_of(name: str, out: str) -> str:
    """The line of a data set in a list whose blanks are single: up to the next name."""
    names = options("data")
    behind = names[names.index(name) + 1] if name != names[-1] else "Looked"
    return out[out.index(f" {name} ") : out.index(f" {behind} ")]


def test_help_answers_without_a_configuration(ask: Door) -> None:
    for typed in ((), ("-h",), ("verify", "--help")):
        done = ask(*typed)
        assert done.code == 0
        for verb in ("list", "info", "download", "verify", "split", "stats"):
            assert f"novelty.data {verb} " in done.out


@pytest.mark.usefixtures("unread")
def test_where_nothing_lies_everything_is_listed_as_missing(ask: Door, tmp_path: Path) -> None:
    done = ask("list")
    assert done.code == 0
    assert "cannot be looked at" not in done.out
    for name in options("data"):
        assert line_of(name, done.out).split()[1] == ("complete" if name in EMBEDDED else "missing")
    assert "CC BY-NC-SA 4.0" in line_of("mvtec_ad", done.out)
    assert f"Looked in {tmp_path / 'data'}" in done.out
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("name", options("data"))
def test_info_of_a_data_set_that_is_not_here(name: str, ask: Door) -> None:
    done = ask("info", f"data={name}")
    assert done.code == 0, done.err
    assert "protocol" in done.out
    assert ("here complete" if name in EMBEDDED else "here missing") in done.out


@pytest.mark.parametrize("name", WRITERS)
def test_every_data_set_through_list_info_and_verify(
    name: str, ask: Door, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "data").mkdir()
    WRITERS[name](tmp_path / "data")
    one = asked("verify", [f"data={name}"])
    published = published_total(one.source(download=False))
    whole = published is None or name in EMBEDDED

    verified = ask("verify", f"data={name}")
    assert verified.code == (0 if whole else 1), verified
    if not whole:
        assert "is not as published" in sentence(verified)
    images = one.images(one.source())
    assert f"copy: {images.copy}" in verified.out
    assert images.digest in verified.out
    assert f"images {len(images.labels):,}, " in verified.out
    assert "starts at once" in verified.out
    train, test = counts.found(images)[images.classes[0]]
    assert f"{train:,} + {test:,}" in verified.out

    cache._memo.clear()
    refuse_reading(monkeypatch)
    line = line_of(name, ask("list").out)
    assert f" {name} {'complete' if whole else 'partial'} {len(images.labels):,} " in line
    assert images.copy in line
    told = ask("info", f"data={name}")
    assert told.code == 0
    assert f"digest {images.digest}" in told.out
    assert f"{train:,} + {test:,}" in told.out


@pytest.mark.usefixtures("unread")
@pytest.mark.parametrize("name", sorted({*WRITERS} - EMBEDDED))
def test_a_list_reads_no_image_of_what_is_here(name: str, ask: Door, tmp_path: Path) -> None:
    WRITERS[name](tmp_path / "data")
    done = ask("list")
    assert done.code == 0
    assert "cannot be looked at" not in done.out
    state, *rest = line_of(name, done.out).split()[1:]
    assert state in ("complete", "partial")
    assert "not read yet" in " ".join(rest)


def test_a_fault_of_one_data_set_leaves_the_list_whole(ask: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: object) -> str:
        raise ValueError("odd disk")

    monkeypatch.setattr("novelty.data.sources.lsun.LSUN.fingerprint", fail)
    done = ask("list")
    assert done.code == 0
    assert "ValueError: odd disk" in line_of("lsun", done.out)
    assert "complete" in line_of("digits", done.out)


def test_what_is_begun_is_partial_and_says_what_it_lacks(ask: Door, tmp_path: Path) -> None:
    WRITERS["celeba"](tmp_path / "data")
    (tmp_path / "data/celeba/list_attr_celeba.txt").unlink()
    assert " celeba partial " in line_of("celeba", ask("list").out)
    assert "here partial: list_attr_celeba.txt of CelebA" in ask("info", "data=celeba").out


def test_a_folder_that_may_not_be_read_is_named(ask: Door, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    WRITERS["brain_mri"](tmp_path / "data")

    def refuse(self: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", "/data/brain_mri")

    monkeypatch.setattr(BrainMRI, "distributed", refuse)
    told = ask("info", "data=brain_mri")
    assert told.code == 0
    assert "here partial: /data/brain_mri cannot be read (Permission denied)" in told.out
    assert " brain_mri partial " in line_of("brain_mri", ask("list").out)


def test_info_tells_what_the_configuration_knows(ask: Door) -> None:
    told = ask("info", "data=cifar100").out
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
    assert "piad 32x32" in ask("info", "data=mnist").out
    assert "by recipe" not in told
    assert "traits texture" in ask("info", "data=mvtec_ad", "data.source.category=leather").out
    assert "clutter 827 + 0, 30,607 in all" in ask("info", "data=caltech256").out


def test_info_lists_attributes_with_their_numbers(ask: Door, tmp_path: Path) -> None:
    written = WRITERS["celeba"](tmp_path / "data")
    bald = int((written.values[:, 4] == 1).sum())  # type: ignore[attr-defined]
    assert f"Bald ({bald})" in ask("info", "data=celeba").out


def test_a_split_goes_out_and_comes_in_again(ask: Door, tmp_path: Path) -> None:
    out = tmp_path / "split.npz"
    typed = ("data=digits", "protocol.normal=3", "protocol.validation=0.1")
    done = ask("split", *typed, f"out={out}")
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
    again = ask("split", "data=digits", "protocol=index_file", f"protocol.file={out}", f"out={tmp_path / 'again.npz'}")
    assert sizes in again.out
    assert (tmp_path / "again.npz").read_bytes() == out.read_bytes()


def test_a_split_is_the_one_of_the_budget(ask: Door, tmp_path: Path) -> None:
    out = tmp_path / "split.npz"
    assert ask("split", "data=digits", "protocol.normal=3", "budget.max_train=12", f"out={out}").code == 0
    images = cache.load(Digits(tmp_path), 8, None)
    expected = cap(OneVsAll(normal=3).split(images), 12)
    np.testing.assert_array_equal(read_split(out).split.train, expected.train)


def test_a_split_without_a_file_is_shown(ask: Door, tmp_path: Path) -> None:
    done = ask("split", "data=digits")
    assert "the first of 10 classes is normal" in done.out
    assert "Nothing was written" in done.out
    assert {path.name for path in tmp_path.iterdir()} <= {"cache"}


def test_a_download_fetches_what_is_missing_and_says_so(
    ask: Door, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    WRITERS["mnist"](tmp_path / "elsewhere")
    fetched = []

    def fetch(urls: list[str], target: Path, checksum: str) -> None:
        fetched.append(target.name)
        target.parent.mkdir(parents=True, exist_ok=True)
        there = tmp_path / "elsewhere/MNIST/raw"
        target.write_bytes(next(there / n for n in (target.name, target.stem) if (there / n).is_file()).read_bytes())

    monkeypatch.setattr("novelty.data.sources.idx.fetch", fetch)
    done = ask("download", "data=mnist")
    assert done.code == 0, done.err
    assert f"mnist was downloaded into {tmp_path / 'data'}: " in done.out
    assert len(fetched) == 4
    assert "nothing was downloaded" in ask("download", "data=mnist").out
    assert len(fetched) == 4


def test_a_download_says_what_to_get_where_nobody_else_may_hand_it_out(ask: Door, tmp_path: Path) -> None:
    assert "CelebA.html" in sentence(ask("download", "data=celeba"))
    WRITERS["brain_mri"](tmp_path / "data")
    expected = BrainMRI(tmp_path / "data").count
    done = ask("download", "data=brain_mri")
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
def test_a_mistake_is_one_sentence_and_leaves_nothing(typed: str, ask: Door, tmp_path: Path) -> None:
    done = ask(*typed.split())
    assert MISTAKES[typed] in sentence(done)
    assert done.err.startswith("novelty: ")
    assert done.out == ""
    assert {path.name for path in tmp_path.iterdir()} <= {"cache"}
