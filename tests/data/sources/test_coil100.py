"""COIL-100: its archive, its folder, class folders."""

from __future__ import annotations

import shutil

import pytest
from data.fakes.coil100 import write_coil100
from data.fakes.files import goes_on_from_anywhere, seen
from PIL import Image

from novelty.data.sources.coil100 import COIL100
from novelty.errors import NoveltyError


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """A folder with coil-100/, and one with coil-100.zip."""
    root = tmp_path_factory.mktemp("coil")
    write_coil100(root / "unpacked")
    write_coil100(root / "packed", packed=True)
    shutil.rmtree(root / "packed/unpacked")
    return root


@pytest.mark.parametrize("below", [".", "coil100"])
def test_every_layout_is_the_same_data_set(tmp_path, original, below):
    unpacked = original / "unpacked/coil-100"
    plain = COIL100(original / "unpacked")
    found = seen(plain)
    assert [image.label for image in found] == [label for label in range(100) for _ in range(3)]
    with Image.open(unpacked / "obj100__5.png") as last:  # names sort 0, 100, 5
        assert found[-1].pixels == last.tobytes()
    assert not any(image.test for image in found)
    assert plain.classes[:2] == ("obj1", "obj2")
    assert plain.count == 300

    home = tmp_path / below
    home.mkdir(exist_ok=True)
    shutil.copy(original / "packed/coil-100.zip", home)
    packed = COIL100(tmp_path)
    assert seen(packed) == found
    assert goes_on_from_anywhere(packed)
    assert goes_on_from_anywhere(plain)
    assert packed.copy == plain.copy == "300 images where 7,200 are published"

    for path in unpacked.glob("*.png"):
        folder = tmp_path / "third/coil100" / path.name.split("__")[0]
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, folder)
    folders = COIL100(tmp_path / "third")
    assert seen(folders) == found
    assert folders.copy == "PNG class folders"
    assert len({source.fingerprint() for source in (packed, plain, folders)}) == 3


def test_counts(tmp_path):
    source = COIL100(tmp_path)
    assert source.expected == {f"obj{i}": (72, 0) for i in range(1, 101)}
    one = (write_coil100(tmp_path, degrees=(0,)) / "obj1__0.png").read_bytes()
    for number in range(1, 101):
        for degree in range(0, 360, 5):
            (tmp_path / f"coil-100/obj{number}__{degree}.png").write_bytes(one)
    source = COIL100(tmp_path)
    assert source.count == 7200
    assert source.copy == "original"
    assert len(seen(source, 7190)) == 10


def test_strays_are_no_images(tmp_path):
    top = write_coil100(tmp_path)
    for name in ("obj101__0.png", "obj1__3.png", "obj1__360.png", "obj0__0.png", "._obj1__0.png", "x.png"):
        shutil.copy(top / "obj1__0.png", top / name)
    (top / "more").mkdir()
    shutil.copy(top / "obj1__0.png", top / "more/obj1__10.png")
    assert COIL100(tmp_path).count == 300


@pytest.mark.parametrize("cut", [0.6, 0.0])
def test_a_damaged_archive(tmp_path, cut, original):
    data = (original / "packed/coil-100.zip").read_bytes()
    (tmp_path / "coil-100.zip").write_bytes(data[: int(cut * len(data))])
    with pytest.raises(
        NoveltyError, match=r"coil-100\.zip cannot be read \(.*\): remove coil-100\.zip and get it again"
    ):
        COIL100(tmp_path).fingerprint()


def test_damaged_inside(tmp_path, original):
    data = bytearray((original / "packed/coil-100.zip").read_bytes())
    where = data.index(b"obj50__0.png") + 40
    data[where] ^= 255
    (tmp_path / "coil-100.zip").write_bytes(data)
    with pytest.raises(NoveltyError, match=r"coil-100\.zip, at coil-100/obj50__0\.png, cannot be read \(Bad CRC"):
        seen(COIL100(tmp_path))


def test_a_broken_image(tmp_path):
    top = write_coil100(tmp_path)
    (top / "obj7__5.png").write_bytes((top / "obj7__5.png").read_bytes()[:50])
    with pytest.raises(NoveltyError, match=r"coil-100/obj7__5\.png cannot be read as an image"):
        seen(COIL100(tmp_path))
    for path in top.glob("obj7__*"):
        path.unlink()
    with pytest.raises(NoveltyError, match=r"coil-100 holds no image of class obj7: get it again whole"):
        COIL100(tmp_path).fingerprint()


def test_an_image_that_is_none_in_the_archive(tmp_path):
    write_coil100(tmp_path, degrees=(0,))
    (tmp_path / "coil-100/obj3__0.png").write_text("hello")
    shutil.make_archive(str(tmp_path / "coil-100"), "zip", tmp_path, "coil-100")
    shutil.rmtree(tmp_path / "coil-100")
    with pytest.raises(
        NoveltyError, match=r"coil-100\.zip: coil-100/obj3__0\.png cannot be read as an image \(its cont"
    ):
        seen(COIL100(tmp_path))


def test_missing(tmp_path):
    (tmp_path / "coil100/other").mkdir(parents=True)
    with pytest.raises(NoveltyError) as caught:
        COIL100(tmp_path).fingerprint()
    words = ("COIL-100", "Nene", str(tmp_path), "coil-100.zip", "licence", "https://", "NOVELTY_DATA", "coil100/obj1/")
    assert all(word in str(caught.value) for word in words), str(caught.value)
    assert "\n" not in str(caught.value)
