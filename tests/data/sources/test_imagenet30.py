"""ImageNet-30: the authors' folders, class folders, a plain ImageNet."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from data.fakes.files import goes_on_from_anywhere, seen
from data.fakes.imagenet30 import write_imagenet30

from novelty.data.sources.imagenet30 import WORDNET, ImageNet30
from novelty.errors import NoveltyError


def test_every_layout_is_the_same_data_set(tmp_path):
    layouts = {
        "fixed": ("imagenet30", ("one_class_train", "one_class_test"), False, ""),
        "above": (".", ("one_class_train", "one_class_test"), False, "images"),
        "folders": ("imagenet30", ("train", "test"), False, ""),
        "imagenet": ("imagenet", ("train", "val"), True, ""),
        "own": ("imagenet30", ("train", "val"), True, ""),
    }
    found, copies = {}, {}
    for name, (home, splits, wordnet, inner) in layouts.items():
        write_imagenet30(tmp_path / name / home, splits, wordnet=wordnet, inner=inner)
        source = ImageNet30(tmp_path / name)
        found[name], copies[name] = seen(source), source.copy
        assert source.count == 90
        assert goes_on_from_anywhere(source)
    first = found["fixed"]
    assert all(images == first for images in found.values())
    assert [image.label for image in first] == [*np.repeat(range(30), 2), *range(30)]
    assert [image.test for image in first] == [False] * 60 + [True] * 30
    assert copies["fixed"] == copies["above"] == "90 images where 42,000 are published"
    assert copies["folders"] == "JPEG class folders"
    assert copies["imagenet"] == copies["own"]
    assert "60 training images" in copies["own"]
    assert "30 validation images in place of the 3,000 test images" in copies["own"]


def test_the_links_of_the_authors_script(tmp_path):
    """It makes one_class_train/<class>/images a link to ImageNet's folder."""
    write_imagenet30(tmp_path / "elsewhere", ("train", "val"), wordnet=True)
    for split, there in (("one_class_train", "train"), ("one_class_test", "val")):
        for name, identity in WORDNET.items():
            (tmp_path / "imagenet30" / split / name).mkdir(parents=True)
            (tmp_path / "imagenet30" / split / name / "images").symlink_to(tmp_path / "elsewhere" / there / identity)
    write_imagenet30(tmp_path / "plain/imagenet30")
    assert seen(ImageNet30(tmp_path)) == seen(ImageNet30(tmp_path / "plain"))


def test_the_original_is_known_by_its_counts(tmp_path, monkeypatch):
    write_imagenet30(tmp_path / "imagenet30")
    monkeypatch.setattr(ImageNet30, "total", 90)
    monkeypatch.setattr(ImageNet30, "expected", dict.fromkeys(WORDNET, (2, 1)))
    assert ImageNet30(tmp_path).copy == "original"


def test_classes(tmp_path):
    source = ImageNet30(tmp_path)
    assert list(source.classes) == sorted(source.classes)
    assert len(source.classes) == len(set(WORDNET.values())) == 30
    assert (source.classes[0], source.classes[16], source.classes[29]) == ("acorn", "mosque", "volcano")
    assert (WORDNET["american_alligator"], WORDNET["rotary_dial_telephone"]) == ("n01698640", "n03187595")
    assert np.sum([*source.expected.values()], axis=0).tolist() == [39_000, 3_000]


def test_imagenet_may_lie_anywhere(tmp_path):
    write_imagenet30(tmp_path / "far/away", ("train", "val"), wordnet=True)
    (tmp_path / "far/away/train/n00000001").mkdir()  # one of ImageNet's 970 others
    assert ImageNet30(tmp_path / "nothing", imagenet=str(tmp_path / "far/away")).count == 90


def test_unsorted_validation_images(tmp_path):
    write_imagenet30(tmp_path / "imagenet", ("train", "val"), wordnet=True)
    for path in [*(tmp_path / "imagenet/val").glob("*/*")]:
        path.rename(tmp_path / "imagenet/val" / path.name)
    for folder in [path for path in (tmp_path / "imagenet/val").iterdir() if path.is_dir()]:
        folder.rmdir()
    with pytest.raises(NoveltyError, match=r"imagenet/val has no folders such as n12267677/: sort"):
        ImageNet30(tmp_path).fingerprint()


def test_a_class_is_lost(tmp_path):
    write_imagenet30(tmp_path / "imagenet", ("train", "val"), wordnet=True)
    shutil.rmtree(tmp_path / "imagenet/val" / WORDNET["tank"])
    with pytest.raises(NoveltyError, match=r"imagenet/val has no folder for class n04389033"):
        ImageNet30(tmp_path).fingerprint()


def test_a_broken_image(tmp_path):
    write_imagenet30(tmp_path / "imagenet30")
    path = tmp_path / "imagenet30/one_class_test/nail/n03804744_0.JPEG"
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(NoveltyError, match=r"one_class_test/nail/n03804744_0\.JPEG cannot be read as an image"):
        seen(ImageNet30(tmp_path))


def test_missing(tmp_path):
    with pytest.raises(NoveltyError) as caught:
        ImageNet30(tmp_path).fingerprint()
    words = (
        "ImageNet-30",
        "Hendrycks",
        str(tmp_path),
        "licence: ImageNet's terms",
        "one_class_train",
        "imagenet/val/",
        "https",
    )
    assert all(word in str(caught.value) for word in words), str(caught.value)
