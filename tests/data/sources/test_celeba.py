"""CelebA: every layout of images and lists, the crop, the attributes, the validation part, what is damaged."""

from __future__ import annotations

import zipfile

import numpy as np
import pytest
from data.fakes.celeba import NAMES, write_celeba
from data.fakes.files import goes_on_from_anywhere, picture, save, seen
from PIL import Image

from novelty.data.sources import celeba, streaming
from novelty.data.sources.celeba import PARTS, CelebA
from novelty.errors import NoveltyError

LAYOUTS = {
    "torchvision": ("celeba", {"images": "img_align_celeba"}),
    "packed": ("celeba", {}),
    "owner": ("CelebA", {"images": "Img/img_align_celeba.zip", "below": ("Anno", "Eval")}),
    "kaggle": ("celeba", {"images": "img_align_celeba/img_align_celeba", "lists": ".csv"}),
}


@pytest.fixture(scope="module")
def roots(tmp_path_factory):
    """A folder per layout, all with the same images."""
    root = tmp_path_factory.mktemp("celeba")
    for layout, (home, options) in LAYOUTS.items():
        write_celeba(root / layout / home, **options)
    return root


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_is_the_same_data_set(roots, layout):
    source, plain = CelebA(roots / layout), CelebA(roots / "torchvision")
    found = seen(source)
    assert found == seen(plain)
    assert {image.shape for image in found} == {(140, 140, 3)}
    assert [image.test for image in found] == [False] * 9 + [True] * 3
    assert {image.label for image in found} == {0}
    assert source.classes == ("face",)
    assert source.count == 12
    assert source.copy == "a sample (12 of 202,599 images)"
    assert (
        source.fingerprint() == CelebA(roots / layout).fingerprint() != CelebA(roots / layout, crop=128).fingerprint()
    )


def test_goes_on_from_anywhere(roots):
    assert goes_on_from_anywhere(CelebA(roots / "packed", crop=20))
    assert goes_on_from_anywhere(CelebA(roots / "torchvision", crop=20))


def test_attributes_follow_the_images(tmp_path):
    """Training, validation, test, whatever the order of the lists is: the last image listed trains here."""
    written = write_celeba(tmp_path / "celeba")
    source = CelebA(tmp_path)
    order = np.argsort(written.parts, kind="stable")
    assert order[4] == 11
    assert list(source.attributes) == [*NAMES, "validation"]
    for i, name in enumerate(NAMES):
        assert source.attributes[name].dtype == bool
        assert np.array_equal(source.attributes[name], written.values[order, i] == 1)
    assert np.array_equal(source.attributes["validation"], written.parts[order] == 1)
    with zipfile.ZipFile(tmp_path / "celeba/img_align_celeba.zip") as archive:
        whole = np.asarray(Image.open(archive.open(f"img_align_celeba/{written.names[11]}")))
    assert seen(source)[4].pixels == whole[39:179, 19:159].tobytes()  # rows 39-178, columns 19-158
    smaller = seen(CelebA(tmp_path, crop=128))[4]
    assert smaller.pixels == whole[45:173, 25:153].tobytes()  # rows 45-172, columns 25-152


def test_threads_keep_the_order(roots, monkeypatch):
    plain = seen(CelebA(roots / "packed"))
    monkeypatch.setattr(streaming, "THREADS", 3)
    monkeypatch.setattr(streaming, "_TASK_FILES", 2)
    assert seen(CelebA(roots / "packed")) == plain


def test_published_numbers():
    assert sum(PARTS) == 202_599
    assert PARTS == (162_770, 19_867, 19_962)


def test_the_original_is_known_by_its_lists(tmp_path, monkeypatch):
    written = write_celeba(tmp_path / "celeba")
    monkeypatch.setattr(celeba, "PARTS", tuple(np.bincount(written.parts)))
    positives = {name: int((written.values[:, NAMES.index(name)] == 1).sum()) for name in celeba.POSITIVES}
    assert CelebA(tmp_path).copy == "lists that are not the published ones"
    monkeypatch.setattr(celeba, "POSITIVES", positives)
    assert CelebA(tmp_path).copy == "original"
    assert CelebA(tmp_path).expected == {"face": (9, 3)}


def test_missing(tmp_path):
    with pytest.raises(NoveltyError) as error:
        CelebA(tmp_path).fingerprint()
    for words in (
        "CelebA (Liu",
        "img_align_celeba.zip",
        "list_eval_partition.txt",
        "non-commercial",
        f"{tmp_path}/celeba",
    ):
        assert words in str(error.value)
    assert "\n" not in str(error.value)
    write_celeba(tmp_path / "celeba")
    (tmp_path / "celeba/list_eval_partition.txt").unlink()
    with pytest.raises(NoveltyError, match=r"^list_eval_partition\.txt of CelebA .* is not under"):
        CelebA(tmp_path).fingerprint()


@pytest.mark.parametrize("crop", [0, 179])
def test_a_crop_that_is_no_crop(tmp_path, crop):
    with pytest.raises(NoveltyError, match=rf"data\.source\.crop is {crop}: it must be 1 to 178"):
        CelebA(tmp_path, crop=crop)


def change(path, *swaps):
    text = path.read_text()
    for old, new in swaps:
        assert old in text
        text = text.replace(old, new, 1)
    path.write_text(text)


@pytest.mark.parametrize(
    ("name", "swaps", "words"),
    [
        ("list_attr_celeba", [("12\n", "13\n")], "list_attr_celeba.txt is cut off: 12 of 13 images"),
        ("list_attr_celeba", [("12\n", "")], "list_attr_celeba.txt, line 1, is not the beginning of"),
        ("list_attr_celeba", [("000003.jpg ", "000003.jpg 2 ")], "list_attr_celeba.txt, line 5, is no image with 40"),
        ("list_attr_celeba", [("000003.jpg", "x.jpg")], "do not list the same images"),
        ("list_eval_partition", [("000003.jpg 0", "000003.jpg 3")], "list_eval_partition.txt, line 3, is no image"),
        ("list_eval_partition", [("000012.jpg 0\n", "")], "do not list the same images .000012.jpg."),
        ("list_eval_partition", [("000003", "00\xff003")], "list_eval_partition.txt is no text"),
    ],
)
def test_damaged_lists(tmp_path, name, swaps, words):
    write_celeba(tmp_path / "celeba")
    change(tmp_path / f"celeba/{name}.txt", *swaps)
    with pytest.raises(NoveltyError, match=words):
        seen(CelebA(tmp_path))


def test_damaged_images(tmp_path):
    home = tmp_path / "celeba"
    write_celeba(home, images="img_align_celeba")
    save(picture(0, 128, 128), home / "img_align_celeba/000002.jpg")
    with pytest.raises(NoveltyError, match=r"000002\.jpg has 128x128 pixels, not the 178x218"):
        seen(CelebA(tmp_path))
    (home / "img_align_celeba/000002.jpg").write_bytes(b"x")
    with pytest.raises(NoveltyError, match=r"000002\.jpg cannot be read as an image"):
        seen(CelebA(tmp_path))
    (home / "img_align_celeba/000002.jpg").unlink()
    with pytest.raises(NoveltyError, match=r"img_align_celeba lacks 1 of the 12 images .* such as 000002\.jpg"):
        seen(CelebA(tmp_path))


def test_damaged_zip(tmp_path):
    write_celeba(tmp_path / "celeba")
    path = tmp_path / "celeba/img_align_celeba.zip"
    whole = path.read_bytes()
    path.write_bytes(whole[:-3000])
    with pytest.raises(NoveltyError, match=r"img_align_celeba\.zip cannot be read"):
        seen(CelebA(tmp_path))
    middle = whole.index(b"000003.jpg") + 2000
    path.write_bytes(whole[:middle] + b"????" + whole[middle + 4 :])
    with pytest.raises(NoveltyError, match=r"img_align_celeba\.zip, at img_align_celeba/000003\.jpg, cannot be read"):
        seen(CelebA(tmp_path))
