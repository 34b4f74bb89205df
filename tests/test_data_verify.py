"""`python -m novelty.data verify`: numbers, duplicates, masks, sizes, broken and changed images."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from data.fakes.every import WRITERS
from data.fakes.files import picture, save
from data.fakes.mvtec_ad import DEFECTS, write_mvtec_ad
from data_door import Door, opened, refuse_reading, sentence
from hypothesis import given
from hypothesis import strategies as st

from novelty.data import cache
from novelty.data.decode import BrokenImage
from novelty.data.source import Images
from novelty.data.sources import class_folders, streaming
from novelty.data.sources.folder import Folder
from novelty.data.verbs import counts
from novelty.data.verbs.asked import asked
from novelty.data.verbs.verify import duplicates_within, in_several_classes, trained_and_tested


@pytest.fixture
def ask(tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Door]:
    yield from opened(tmp_path, capfd, monkeypatch)


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


def test_duplicates_and_sizes_are_counted(ask: Door, tmp_path: Path) -> None:
    _class_folders(tmp_path / "own")
    done = ask("verify", "data=folder", f"data.source.path={tmp_path / 'own'}", "data.image_size=8")
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


def test_masks_are_counted_before_they_shrink(ask: Door, tmp_path: Path) -> None:
    top = write_mvtec_ad(tmp_path, "own", side=32)
    speck = np.zeros((32, 32), dtype=np.uint8)
    speck[1, 1] = 255
    save(PIL.Image.fromarray(speck, "L"), top / "ground_truth/thread_top/000_mask.png")
    save(PIL.Image.fromarray(speck * 0, "L"), top / "ground_truth/scratch_head/000_mask.png")
    typed = ("verify", "data=mvtec_folder", f"data.source.path={top}", "data.image_size=8")
    for done in (ask(*typed), ask(*typed)):  # decoded now, then earlier
        assert done.code == 0
        assert "scratch_head 0 + 3 0 2" in done.out
        count, defects = 7 + sum(DEFECTS.values()), sum(DEFECTS.values())
        assert f"masks {count}, of which {defects - 1} mark something and {count - defects + 1} are empty" in done.out
        assert "at 8x8 in colour 1 more mark nothing: take a larger data.image_size" in done.out


def test_broken_images_are_all_named_and_left_out_on_demand(ask: Door, tmp_path: Path) -> None:
    top = tmp_path / "own"
    _class_folders(top)
    (top / "train/good/1.png").write_bytes(b"no image")
    whole = (top / "test/bad/20.png").read_bytes()
    (top / "test/bad/20.png").write_bytes(whole[: len(whole) // 2])
    typed = ("verify", "data=folder", f"data.source.path={top}", "data.image_size=8")
    done = ask(*typed)
    assert f"{top}/train/good/1.png cannot be read as an image" in sentence(done)
    assert "data.source.skip_broken=true" in sentence(done)
    assert done.err.count("test/bad/20.png") == 1
    assert done.out == ""
    for _ in range(2):
        done = ask(*typed, "data.source.skip_broken=true")
        assert done.code == 0
        assert "2 broken images left out" in done.out
        assert "images 8, " in done.out
        assert done.err.count("cannot be read") == 2


def test_a_broken_image_of_a_published_data_set_is_named(ask: Door, tmp_path: Path) -> None:
    WRITERS["brain_mri"](tmp_path / "data")
    path = tmp_path / "data/brain_mri/yes/Y4.jpg"
    path.write_bytes(b"no image")
    assert f"{path} cannot be read as an image" in sentence(ask("verify", "data=brain_mri"))


def test_the_next_run_does_not_decode(ask: Door, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _class_folders(tmp_path / "own")
    typed = ["data=folder", f"data.source.path={tmp_path / 'own'}", "data.image_size=8"]
    assert ask("verify", *typed).code == 0
    refuse_reading(monkeypatch)
    assert len(cache.load(Folder(tmp_path, path="own"), 8, tmp_path / "cache", 3).labels) == 10
    assert ask("split", *typed, "protocol.normal=good").code == 0


def test_verify_reads_again_what_a_run_decoded(ask: Door, tmp_path: Path) -> None:
    top = tmp_path / "own"
    for number in range(6):
        save(picture(number, 8, 8), top / "ab"[number % 2] / f"{number}.bmp")
    typed = ("verify", "data=folder", f"data.source.path={top}")
    first = ask(*typed)
    assert first.code == 0
    assert ask(*typed).out == first.out
    path = top / "b/3.bmp"
    status = path.stat()
    save(picture(99, 8, 8), path)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert "Image 4 of the data set, of class b, is not what an earlier run decoded" in sentence(ask(*typed))


def test_verify_goes_on_with_a_build_that_was_cut(ask: Door, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(12):
        save(picture(number, 8, 8 + number), tmp_path / "own" / "ab"[number % 2] / f"{number:02d}.png")
    typed = ("verify", "data=folder", f"data.source.path={tmp_path / 'own'}", "data.image_size=8")
    expected = ask(*typed, f"paths.cache={tmp_path / 'other'}")
    cache._memo.clear()
    decode = class_folders.decode

    def cut(path: Path, channels: int) -> np.ndarray:
        if path.name == "05.png":
            raise BrokenImage("the drive is gone.")
        return decode(path, channels)

    monkeypatch.setattr(class_folders, "decode", cut)
    monkeypatch.setattr(streaming, "_TASK_FILES", 2)
    monkeypatch.setattr("os.cpu_count", lambda: 1)
    one = asked("verify", typed[1:])
    with pytest.raises(BrokenImage):
        one.images(one.source())
    assert list((tmp_path / "cache").glob(".building-*"))
    monkeypatch.setattr(class_folders, "decode", decode)
    assert ask(*typed).out == expected.out


def test_where_nothing_can_be_kept_verify_says_so(ask: Door, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = ask("verify", "data=digits", f"paths.cache={tmp_path / 'file'}/cache")
    assert done.code == 0
    assert "decodes them again" in done.out


def test_counts_that_contradict_are_named(ask: Door, tmp_path: Path) -> None:
    write_mvtec_ad(tmp_path / "data/mvtec_ad", "screw")
    said = sentence(ask("verify", "data=mvtec_ad"))
    assert "class good has 4 + 3 images (training + test), 320 + 41 are published, and 5 more classes differ" in said
    assert "get mvtec_anomaly_detection.tar.xz" in said


def test_the_total_counts_where_not_every_class_is_published(
    ask: Door, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    WRITERS["caltech256"](tmp_path / "data")
    source = asked("verify", ["data=caltech256"]).source()
    images = cache.load(source, 64, None)
    monkeypatch.setattr(type(source), "expected", {"clutter": counts.found(images)["clutter"]})
    count = len(images.labels)
    assert f"there are {count:,} images, 30,607 are published" in sentence(ask("verify", "data=caltech256"))
    monkeypatch.setattr(type(source), "total", count)
    done = ask("verify", "data=caltech256")
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
