"""Brain MRI: Kaggle's archive, its folders, class folders; and the real copy (slow)."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from data.fakes.brain_mri import NO, YES, write_brain_mri
from data.fakes.files import goes_on_from_anywhere, seen
from PIL import Image

from novelty.data.sources.brain_mri import BrainMRI
from novelty.errors import NoveltyError


def test_every_layout_is_the_same_data_set(tmp_path):
    write_brain_mri(tmp_path / "own/brain_mri")
    write_brain_mri(tmp_path / "kaggle/brain_tumor_dataset")
    write_brain_mri(tmp_path / "nested/brain_mri/brain_tumor_dataset")
    names = ("brain_tumor_dataset.zip", "brain_mri/archive.zip", "brain-mri-images-for-brain-tumor-detection.zip")
    for name in names:
        root = tmp_path / name.replace("/", "_")
        write_brain_mri(root, archive=name)
        shutil.rmtree(root / "unpacked")
    for ours, theirs in (("normal", "no"), ("Tumour", "yes")):
        shutil.copytree(tmp_path / "own/brain_mri" / theirs, tmp_path / "folders/brain_mri" / ours)

    sources = {path.name: BrainMRI(path) for path in tmp_path.iterdir()}
    assert len(sources) == 7
    found = seen(sources["own"])
    assert [image.label for image in found] == [0] * len(NO) + [1] * (len(YES) + 1)
    assert not any(image.test for image in found)
    assert {image.shape[2] for image in found} == {1}
    for name, source in sources.items():
        assert seen(source) == found, name  # Kaggle's archive holds them twice
        assert goes_on_from_anywhere(source)
        wanted = "JPEG and PNG class folders" if name == "folders" else "12 images where 253 are published"
        assert source.copy == wanted, name


def test_pixels(tmp_path):
    """Opened by content, made grey, in the order of their names; equal files are equal."""
    top = write_brain_mri(tmp_path / "brain_mri")
    found = seen(BrainMRI(tmp_path))
    for image, name in zip(found, sorted(NO), strict=False):
        with Image.open(top / "no" / name) as file:
            rgb = file.convert("RGB") if file.mode == "RGBA" else file
            assert image.pixels == rgb.convert("L").tobytes(), name
    with Image.open(top / "no/13 no.jpg") as file:
        assert file.format == "PNG"
    order = sorted([*YES, "Y6.jpg"])
    first, second = (found[len(NO) + order.index(name)] for name in ("Y1.jpg", "Y6.jpg"))
    assert first == second
    assert len(set(found)) == len(found) - 1


def test_strays(tmp_path):
    top = write_brain_mri(tmp_path / "brain_mri")
    (top / "yes/Thumbs.db").write_bytes(b"x")
    (top / "no/.DS_Store").write_bytes(b"x")
    shutil.copytree(top / "no", top / "no/no")
    assert BrainMRI(tmp_path).count == 12


def test_damaged(tmp_path):
    write_brain_mri(tmp_path, archive="brain_tumor_dataset.zip")
    data = (tmp_path / "brain_tumor_dataset.zip").read_bytes()
    (tmp_path / "brain_tumor_dataset.zip").write_bytes(data[: len(data) // 2])
    with pytest.raises(NoveltyError, match=r"brain_tumor_dataset\.zip cannot be read .* get it again"):
        BrainMRI(tmp_path).fingerprint()
    top = write_brain_mri(tmp_path / "other/brain_mri")
    (top / "no/No 17.jpg").write_bytes(b"")
    with pytest.raises(NoveltyError, match=r"no/No 17\.jpg cannot be read as an image"):
        seen(BrainMRI(tmp_path / "other"))


def test_missing(tmp_path):
    with pytest.raises(NoveltyError) as caught:
        BrainMRI(tmp_path).fingerprint()
    words = (
        "Brain MRI",
        "Chakrabarty",
        str(tmp_path),
        "licence: none is stated",
        "brain_mri/archive.zip",
        "kaggle.com",
    )
    assert all(word in str(caught.value) for word in words), str(caught.value)


@pytest.mark.slow
def test_the_real_copy():
    """98 and 155 files, 87 and 141 contents, none in both classes (protocols.md section 5)."""
    folder = os.environ.get("NOVELTY_DATA")
    assert folder, "set NOVELTY_DATA to the folder of the real data"
    source = BrainMRI(Path(folder))
    found = seen(source)
    assert source.classes == ("normal", "tumour")
    assert np.bincount([image.label for image in found]).tolist() == [98, 155]
    assert source.copy == "original"
    contents = [{(i.shape, i.pixels) for i in found if i.label == label} for label in (0, 1)]
    assert [len(distinct) for distinct in contents] == [87, 141]
    assert contents[0].isdisjoint(contents[1])
    assert goes_on_from_anywhere(source)
