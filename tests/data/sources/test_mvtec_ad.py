"""MVTec AD: folders and archives, masks, grey categories, what the copy is; and the real small copy (slow)."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from data.fakes.files import goes_on_from_anywhere, picture, save, seen
from data.fakes.mvtec_ad import mask_of, pack_mvtec_ad, write_mvtec_ad
from PIL import Image

from novelty.data.sources import mvtec_ad
from novelty.data.sources.mvtec_ad import PUBLISHED, MVTecAD, Published
from novelty.errors import NoveltyError

SMALL = Published(12, 4, 3, {"manipulated_front": 2, "scratch_head": 3, "thread_top": 1})
"""What `write_mvtec_ad` writes."""

# protocols.md section 4: train, test good, test defective; the alphabetical place of "good" among the defects
SHEET = {
    "bottle": (209, 20, 63, 3),
    "cable": (224, 58, 92, 5),
    "capsule": (219, 23, 109, 2),
    "carpet": (280, 28, 89, 2),
    "grid": (264, 21, 57, 3),
    "hazelnut": (391, 40, 70, 2),
    "leather": (245, 32, 92, 4),
    "metal_nut": (220, 22, 93, 3),
    "pill": (267, 26, 141, 5),
    "screw": (320, 41, 119, 0),
    "tile": (230, 33, 84, 2),
    "toothbrush": (60, 12, 30, 1),
    "transistor": (213, 60, 40, 3),
    "wood": (247, 19, 60, 2),
    "zipper": (240, 32, 119, 4),
}


def masks(source: MVTecAD) -> list[np.ndarray]:
    """All masks of a source, one by one."""
    return [mask for block in source.blocks() for mask in block.masks]


def test_published_numbers_are_those_of_the_sheet():
    assert PUBLISHED.keys() == SHEET.keys()
    for category, (train, good, defective, place) in SHEET.items():
        expected = MVTecAD(Path("/nowhere"), category=category).expected
        assert expected["good"] == (train, good)
        assert sum(test for _, test in expected.values()) == good + defective
        assert sorted(expected).index("good") == place
        assert list(expected) == ["good", *sorted(expected.keys() - {"good"})]
    assert sum(len(published.defects) for published in PUBLISHED.values()) == 73


@pytest.fixture
def small(monkeypatch):
    """Screws are published as `write_mvtec_ad` writes them."""
    monkeypatch.setitem(PUBLISHED, "screw", SMALL)


PLACES = [
    "mvtec_anomaly_detection",
    "mvtec_ad",
    ".",
    "mvtec_ad_256",
    "mvtec_anomaly_detection.tar.xz",
    "mvtec_ad/mvtec_anomaly_detection.tar.xz",
    "screw.tar.xz",
    "mvtec_anomaly_detection/screw.tar",
]


@pytest.mark.parametrize("place", PLACES)
def test_every_layout_is_the_same_data_set(tmp_path, small, place):
    write_mvtec_ad(tmp_path / "plain/mvtec_ad")
    plain = MVTecAD(tmp_path / "plain")
    if ".tar" in place:
        write_mvtec_ad(tmp_path / "all", "grid", side=9)
        write_mvtec_ad(tmp_path / "all")
        pack_mvtec_ad(tmp_path / "all", tmp_path / "root" / place)
    else:
        write_mvtec_ad(tmp_path / "root" / place)
    source = MVTecAD(tmp_path / "root")
    assert seen(source) == seen(plain)
    assert all(map(np.array_equal, masks(source), masks(plain)))
    assert source.count == 13
    assert source.classes == plain.classes == ("good", "manipulated_front", "scratch_head", "thread_top")
    assert source.copy == MVTecAD(tmp_path / "root").copy == "original"
    assert goes_on_from_anywhere(source)
    assert source.fingerprint() == MVTecAD(tmp_path / "root").fingerprint()
    if "mvtec_anomaly_detection.tar.xz" in place:
        assert source.fingerprint() != MVTecAD(tmp_path / "root", category="grid").fingerprint()


def test_images_labels_masks(tmp_path):
    top = write_mvtec_ad(tmp_path, "carpet", defects={"cut": 2, "hole": 1}, mode="RGB")
    source = MVTecAD(tmp_path, category="carpet")
    assert source.classes == ("good", "color", "cut", "hole", "metal_contamination", "thread")
    assert source.traits == {"texture"}
    found = seen(source)
    assert [image.label for image in found] == [0] * 7 + [2, 2, 3]
    assert [image.test for image in found] == [False] * 4 + [True] * 6
    assert found[0].pixels == np.asarray(Image.open(top / "train/good/000.png")).tobytes()
    drawn = masks(source)
    assert not any(mask.any() for mask in drawn[:7])
    assert np.array_equal(drawn[8], np.asarray(Image.open(top / "ground_truth/cut/001_mask.png")) == 255)
    tail = [mask for block in source.blocks(8) for mask in block.masks]
    assert all(map(np.array_equal, tail, drawn[8:]))


def test_grey_categories_have_one_channel_and_the_others_three_whatever_the_files_have(tmp_path):
    for category, mode, channels in (("grid", "RGB", 1), ("wood", "L", 3), ("zipper", "L", 1), ("pill", "RGB", 3)):
        write_mvtec_ad(tmp_path, category, defects={"rough": 1}, mode=mode)
        source = MVTecAD(tmp_path, category=category)
        assert {image.shape for image in seen(source)} == {(12, 12, channels)}
        assert source.traits == {"texture" if category in ("grid", "wood") else "object"}


def test_what_the_copy_is(tmp_path, small):
    write_mvtec_ad(tmp_path / "a")
    (tmp_path / "a/screw/train/good/003.png").unlink()
    assert MVTecAD(tmp_path / "a").copy == "a sample (3 of 4 training images)"
    write_mvtec_ad(tmp_path / "b", side=6)
    assert MVTecAD(tmp_path / "b").copy == "6 px copy"
    write_mvtec_ad(tmp_path / "c", side=6, good=2, train=4)
    assert MVTecAD(tmp_path / "c").copy == "6 px copy, a sample (8 of 9 test images)"
    write_mvtec_ad(tmp_path / "unmasked", masks=False)
    unmasked = MVTecAD(tmp_path / "unmasked")
    assert unmasked.copy == "without masks"
    assert all(block.masks is None for block in unmasked.blocks())
    write_mvtec_ad(tmp_path / "d", defects={"bad": 6})
    flat = MVTecAD(tmp_path / "d")
    assert flat.copy == "defects under other names"
    assert flat.classes == ("good", "bad")


def test_an_original_unpacked_comes_before_archives_and_these_before_small_copies(tmp_path, small):
    write_mvtec_ad(tmp_path / "mvtec_ad_256", side=6)
    assert MVTecAD(tmp_path).copy == "6 px copy"
    write_mvtec_ad(tmp_path / "all")
    pack_mvtec_ad(tmp_path / "all", tmp_path / "screw.tar.xz")
    assert MVTecAD(tmp_path).copy == "original"
    write_mvtec_ad(tmp_path / "mvtec_ad", side=8)
    assert MVTecAD(tmp_path).copy == "8 px copy"


def test_the_distributed_archive_is_known_by_its_size(tmp_path, monkeypatch):
    (tmp_path / "mvtec_anomaly_detection.tar.xz").write_bytes(b"no archive")
    monkeypatch.setattr(mvtec_ad, "ARCHIVE_BYTES", 10)
    assert MVTecAD(tmp_path, category="tile").copy == "original"
    assert MVTecAD(tmp_path, category="tile").classes[:2] == ("good", "crack")


def test_an_archive_is_read_no_further_than_needed(tmp_path, small):
    write_mvtec_ad(tmp_path / "all")
    archive = pack_mvtec_ad(tmp_path / "all", tmp_path / "screw.tar")
    whole = archive.read_bytes()
    archive.write_bytes(whole[: whole.index(b"strange")] + b"x" * 2000 + bytes(1024))
    assert len(seen(MVTecAD(tmp_path))) == 13


def test_missing(tmp_path):
    with pytest.raises(NoveltyError) as error:
        MVTecAD(tmp_path, category="wood").fingerprint()
    for words in ("category wood", "CC BY-NC-SA 4.0", f"{tmp_path}/mvtec_ad", "mvtec.com", ".tar.xz", "paths.data"):
        assert words in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("suffix", [".tar.xz", ".tar"])
def test_damaged_archives(tmp_path, suffix):
    write_mvtec_ad(tmp_path / "all")
    archive = pack_mvtec_ad(tmp_path / "all", tmp_path / f"screw{suffix}")
    whole = archive.read_bytes()
    cuts = [whole[: len(whole) * share // 10] for share in (3, 6, 8)]
    for damage in (*cuts, whole[: len(whole) // 2048 * 1024], b"<html>", b""):
        archive.write_bytes(damage)
        with pytest.raises(
            NoveltyError, match=rf"screw{suffix} is damaged or cut off \(.*\): remove it and get it again"
        ):
            seen(MVTecAD(tmp_path))


def test_an_archive_without_the_category_or_with_a_foreign_defect(tmp_path):
    write_mvtec_ad(tmp_path / "all", "nut")
    pack_mvtec_ad(tmp_path / "all", tmp_path / "mvtec_anomaly_detection.tar.xz")
    with pytest.raises(NoveltyError, match=r"tar\.xz: screw has no training images"):
        seen(MVTecAD(tmp_path))
    write_mvtec_ad(tmp_path / "own", defects={"bad": 1})
    pack_mvtec_ad(tmp_path / "own", tmp_path / "screw.tar.xz")
    with pytest.raises(NoveltyError, match=r"screw/test/bad is no defect of MVTec AD"):
        seen(MVTecAD(tmp_path))


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (
            lambda top: (top / "ground_truth/scratch_head/001_mask.png").unlink(),
            "test/scratch_head/001.png has no mask",
        ),
        (
            lambda top: save(mask_of(0, 10), top / "ground_truth/scratch_head/001_mask.png"),
            "001_mask.png has 10x10 pixels, its image test/scratch_head/001.png 12x12",
        ),
        (
            lambda top: save(Image.new("L", (12, 12), 1), top / "ground_truth/thread_top/000_mask.png"),
            r"000_mask.png marks nothing \(its highest value is 1\)",
        ),
        (lambda top: (top / "test/good/001.png").write_bytes(b"x"), "test/good/001.png cannot be read as an image"),
        (
            lambda top: (top / "ground_truth/thread_top/000_mask.png").write_bytes(b"x"),
            "ground_truth/thread_top/000_mask.png cannot be read as an image",
        ),
        (lambda top: shutil.rmtree(top / "test"), "has no test images: it needs train/good/, test/good/"),
        (lambda top: save(picture(0, 9, 9), top / "train/bent/0.png"), "train has images in bent"),
    ],
)
def test_damaged_copies(tmp_path, damage, words, packed):
    damage(write_mvtec_ad(tmp_path / "mvtec_ad"))
    if packed:
        pack_mvtec_ad(tmp_path / "mvtec_ad", tmp_path / "screw.tar.xz")
        shutil.rmtree(tmp_path / "mvtec_ad")
    with pytest.raises(NoveltyError, match=words) as error:
        seen(MVTecAD(tmp_path))
    assert "screw" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.slow
def test_the_real_screws_at_256_pixels():
    folder = os.environ.get("NOVELTY_DATA", "")
    if not (Path(folder) / "mvtec_ad_256/screw").is_dir():
        pytest.skip("needs mvtec_ad_256/screw in NOVELTY_DATA")
    source = MVTecAD(Path(folder))
    blocks = list(source.blocks())
    labels, drawn = np.concatenate([block.labels for block in blocks]), masks(source)
    assert np.bincount(labels).tolist() == [361, 24, 24, 25, 23, 23]
    assert sum(len(block.labels) for block in blocks if block.test) == 160
    assert {block.pixels.shape[1:] for block in blocks} == {(256, 256, 1)}
    assert [mask.any() for mask in drawn] == (labels > 0).tolist()
    assert source.copy == "256 px copy"
