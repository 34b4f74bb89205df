"""A person's own defects in MVTec AD's layout: with masks and without, broken files; and two real copies (slow)."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from data.fakes.files import goes_on_from_anywhere, picture, save, seen
from data.fakes.mvtec_ad import mask_of, write_mvtec_ad
from PIL import Image

from novelty.data.sources import streaming
from novelty.data.sources.mvtec_folder import MVTecFolder
from novelty.errors import NoveltyError


def masks(source: MVTecFolder, start: int = 0) -> list[np.ndarray]:
    return [mask for block in source.blocks(start) for mask in block.masks]


def test_layout(tmp_path):
    write_mvtec_ad(tmp_path, "parts", defects={"bent": 2, "aged": 1})
    source = MVTecFolder(tmp_path, path="parts")
    assert source.classes == ("good", "aged", "bent")
    found = seen(source)
    assert [image.label for image in found] == [0] * 7 + [1, 2, 2]
    assert [image.test for image in found] == [False] * 4 + [True] * 6
    assert {image.shape for image in found} == {(12, 12, 3)}
    assert [mask.any() for mask in masks(source)] == [False] * 7 + [True] * 3
    assert source.copy == "PNG images in MVTec AD's layout, with masks"
    assert source.traits == {"object"}
    assert source.count == 10
    assert goes_on_from_anywhere(source)
    assert MVTecFolder(tmp_path, path="parts", texture=True).traits == {"texture"}
    assert source.fingerprint() == MVTecFolder(Path("/nowhere"), path=str(tmp_path / "parts")).fingerprint()


def test_without_masks(tmp_path):
    write_mvtec_ad(tmp_path, "bare", masks=False)
    write_mvtec_ad(tmp_path, "drawn")
    for source in (MVTecFolder(tmp_path, path="bare"), MVTecFolder(tmp_path, path="drawn", masks=False)):
        assert all(block.masks is None for block in source.blocks())
        assert source.copy == "PNG images in MVTec AD's layout, without masks"
    both = [MVTecFolder(tmp_path, path="drawn", masks=flag).fingerprint() for flag in (True, False)]
    assert both[0] != both[1]


def test_names_of_masks_and_images(tmp_path):
    """In any image format, with ``_mask`` or without, in folders below; what is no image is not looked at."""
    top = write_mvtec_ad(tmp_path, "parts", defects={})
    save(picture(1, 12, 12), top / "test/bent/deep/a b.v1.JPG")
    save(picture(2, 12, 12), top / "test/bent/über.png")
    save(mask_of(1, 12), top / "ground_truth/bent/deep/a b.v1.bmp")
    save(mask_of(2, 12), top / "ground_truth/bent/über_mask.tif")
    (top / "test/bent/notes.txt").write_text("bent by hand")
    (top / "test/.DS_Store").write_text("x")
    source = MVTecFolder(tmp_path, path="parts")
    assert np.array_equal(masks(source)[-2], np.asarray(mask_of(1, 12)) == 255)
    assert np.array_equal(masks(source)[-1], np.asarray(mask_of(2, 12)) == 255)


def test_a_defect_without_mask(tmp_path):
    top = write_mvtec_ad(tmp_path, "parts")
    (top / "ground_truth/scratch_head/001_mask.png").unlink()
    with pytest.raises(NoveltyError) as error:
        MVTecFolder(tmp_path, path="parts").fingerprint()
    for words in (
        f"{top}/test/scratch_head/001.png",
        "ground_truth/scratch_head/001_mask.png",
        "data.source.masks=false",
    ):
        assert words in str(error.value)


def test_a_mask_may_be_black_all_over(tmp_path):
    top = write_mvtec_ad(tmp_path, "parts", defects={"bent": 1})
    save(Image.new("L", (12, 12)), top / "ground_truth/bent/000_mask.png")
    assert not masks(MVTecFolder(tmp_path, path="parts"))[-1].any()


@pytest.mark.parametrize("threads", [1, 3])
def test_broken_files(tmp_path, monkeypatch, caplog, threads):
    monkeypatch.setattr(streaming, "THREADS", threads)
    monkeypatch.setattr(streaming, "_TASK_FILES", 2)
    top = write_mvtec_ad(tmp_path, "parts")
    (top / "train/good/001.png").write_bytes(b"x")
    (top / "ground_truth/scratch_head/000_mask.png").write_bytes(b"")
    save(mask_of(1, 11), top / "ground_truth/scratch_head/002_mask.png")
    with pytest.raises(NoveltyError, match=r"train/good/001\.png cannot be read .*skip_broken=true\.$"):
        seen(MVTecFolder(tmp_path, path="parts"))
    source = MVTecFolder(tmp_path, path="parts", skip_broken=True)
    assert [image.label for image in seen(source)] == [0] * 6 + [1, 1, 2, 3]
    assert source.copy == "PNG images in MVTec AD's layout, with masks, 3 broken images left out"
    assert sum("Left out" in record.message for record in caplog.records) == 3
    assert goes_on_from_anywhere(source)
    assert [mask.any() for mask in masks(source, 5)] == [False] + [True] * 4
    assert source.copy.endswith("3 broken images left out")
    assert source.fingerprint() != MVTecFolder(tmp_path, path="parts").fingerprint()


def test_a_class_of_broken_images_is_an_error(tmp_path):
    top = write_mvtec_ad(tmp_path, "parts")
    (top / "test/thread_top/000.png").write_bytes(b"x")
    with pytest.raises(NoveltyError, match=r"No image of class thread_top can be read; .*test/thread_top/000\.png"):
        seen(MVTecFolder(tmp_path, path="parts", skip_broken=True))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda top: None, r"There is no folder .*data\.source\.path"),
        (lambda top: top.mkdir(), "has no training images: it needs train/good/"),
        (lambda top: save(picture(0, 9, 9), top / "train/good/0.png"), "has no test images: it needs train/good/"),
        (lambda top: save(picture(0, 9, 9), top / "train/0.png"), "has no training images"),
        (lambda top: save(picture(0, 9, 9), top / "train/bad/0.png"), "train has images in bad, .*data=folder"),
    ],
)
def test_wrong_folders(tmp_path, make, words):
    make(tmp_path / "defects")
    with pytest.raises(NoveltyError, match=words):
        MVTecFolder(tmp_path).fingerprint()


@pytest.mark.slow
@pytest.mark.parametrize(("name", "counts"), [("leather_sample", [8, 1, 2, 2, 3, 3]), ("hazelnut_toy", [34, 17])])
def test_the_real_copies(name, counts):
    folder = os.environ.get("NOVELTY_DATA", "")
    if not (Path(folder) / name).is_dir():
        pytest.skip(f"needs {name} in NOVELTY_DATA")
    source = MVTecFolder(Path(folder), path=name)
    found = seen(source)
    assert np.bincount([image.label for image in found]).tolist() == counts
    assert {image.shape for image in found} == {(256, 256, 3)}
    assert [mask.any() for mask in masks(source)] == [image.label > 0 for image in found]
