"""A user's own images: folders with and without a split, broken files, every kind of image file; and the digits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from fake_layouts import noise, read, write_images
from PIL import Image

from novelty.data.decode import BrokenImage, decode
from novelty.data.sources import class_folders, streaming
from novelty.data.sources.digits import Digits
from novelty.data.sources.folder import Folder
from novelty.errors import NoveltyError


def test_digits(tmp_path):
    source = Digits(tmp_path)
    pixels, labels, test = read(source)
    assert pixels.shape == (1797, 8, 8, 1)
    assert (pixels.min(), pixels.max(), test.sum()) == (0, 255, 449)
    assert np.bincount(labels).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert labels[:6].tolist() == [0, 1, 2, 4, 5, 6]
    assert labels[test][:3].tolist() == [3, 7, 1]
    assert set(np.unique(pixels)) == {round(v * 255 / 16) for v in range(17)}
    assert source.copy == "original"


def test_folder_with_split(tmp_path):
    top = tmp_path / "mine"
    write_images(top / "train/good", 4)
    write_images(top / "test/good", 2)
    write_images(top / "test/bent/deep/er", 3)
    write_images(top / "ground_truth/bent", 3)
    source = Folder(tmp_path, path="mine")
    _, labels, test = read(source)
    assert source.classes == ("good", "bent")
    assert labels.tolist() == [0] * 6 + [1] * 3
    assert test.tolist() == [False] * 4 + [True] * 5
    assert source.count == 9
    assert source.copy == "PNG class folders"


def test_folder_without_split(tmp_path):
    write_images(tmp_path / "normal", 3, suffix=".PNG")
    write_images(tmp_path / "novel", 2, suffix=".JPeG")
    (tmp_path / ".hidden").mkdir()
    source = Folder(Path("/nowhere"), path=str(tmp_path))
    _, labels, test = read(source)
    assert source.classes == ("normal", "novel")
    assert labels.tolist() == [0, 0, 0, 1, 1]
    assert not test.any()
    assert source.copy == "JPEG and PNG class folders"


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda top: None, "There is no folder"),
        (lambda top: top.mkdir(), "no class folders with images"),
        (lambda top: write_images(top, 2), "no class folders with images"),
        (lambda top: (top / "train/a").mkdir(parents=True), "a folder train alone"),
        (lambda top: [(top / split).mkdir(parents=True) for split in ("train", "test")], "has no class folders"),
        (lambda top: [write_images(top / "a", 1), (top / "b").mkdir()], "b holds no image"),
    ],
)
def test_wrong_folders(tmp_path, make, words):
    make(tmp_path / "images")
    with pytest.raises(NoveltyError, match=words):
        Folder(tmp_path).fingerprint()


@pytest.mark.parametrize("threads", [False, True])
def test_broken_images(tmp_path, monkeypatch, caplog, threads):
    if threads:
        monkeypatch.setattr(class_folders, "_THREADED_BYTES", 0)
    write_images(tmp_path / "a", 40, 16)
    write_images(tmp_path / "b", 40, 16, seed=1)
    whole = (tmp_path / "a/0007.png").read_bytes()
    (tmp_path / "a/0007.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "b/0003.png").write_bytes(b"")
    (tmp_path / "b/0004.png").write_text("hello")
    with pytest.raises(NoveltyError, match=r"a/0007\.png cannot be read.*skip_broken=true\.$"):
        read(Folder(tmp_path, path="."))
    source = Folder(tmp_path, path=".", skip_broken=True)
    _, labels, _ = read(source)
    assert np.bincount(labels).tolist() == [39, 38]
    assert source.copy == "PNG class folders, 3 broken images left out"
    for name in ("a/0007.png", "b/0003.png", "b/0004.png"):
        assert sum(name in record.message for record in caplog.records) == 1
    assert source.fingerprint() != Folder(tmp_path, path=".").fingerprint()


def test_a_class_of_broken_images_is_an_error(tmp_path):
    write_images(tmp_path / "a", 2)
    (tmp_path / "b").mkdir()
    (tmp_path / "b/x.png").write_bytes(b"no image")
    with pytest.raises(NoveltyError, match="No image of class b"):
        read(Folder(tmp_path, path=".", skip_broken=True))


def test_threads_keep_the_order(tmp_path, monkeypatch):
    for label in "abc":
        write_images(tmp_path / label, 30, 8, seed=ord(label))
    plain = read(Folder(tmp_path, path="."))
    monkeypatch.setattr(class_folders, "_THREADED_BYTES", 0)
    monkeypatch.setattr(streaming, "_TASK_FILES", 4)
    assert all(np.array_equal(one, two) for one, two in zip(plain, read(Folder(tmp_path, path=".")), strict=True))


def test_decode_modes(tmp_path):
    grey, rgb = noise(1, 6, 5), noise(2, 6, 5, 3)
    alpha = np.concatenate([rgb, noise(3, 6, 5, 1)], axis=2)
    wide = (np.arange(30, dtype=np.uint16).reshape(6, 5) * 2259).astype(np.uint16)
    path = tmp_path / "x.png"

    def check(image: Image.Image, colour: np.ndarray, one: np.ndarray | None = None, **options: object) -> None:
        image.save(path, **options)
        three, single = decode(path, 3), decode(path, 1)
        assert three.dtype == single.dtype == np.uint8
        assert np.array_equal(three, colour)
        assert np.array_equal(single[..., 0], np.asarray(Image.fromarray(colour).convert("L")) if one is None else one)

    def triple(image: np.ndarray) -> np.ndarray:
        return np.repeat(image[..., None], 3, axis=2)

    check(Image.fromarray(grey), triple(grey), grey)
    check(Image.fromarray(rgb), rgb)
    check(Image.fromarray(alpha), rgb)
    check(Image.fromarray(np.stack([grey, grey[::-1]], axis=2), "LA"), triple(grey), grey)
    scaled = np.rint(wide / 65535 * 255).astype(np.uint8)
    check(Image.fromarray(wide), triple(scaled), scaled)
    black = np.where(grey > 127, 255, 0).astype(np.uint8)
    check(Image.fromarray(grey > 127), triple(black), black)
    palette = Image.fromarray(rgb).quantize(16)
    check(palette, np.asarray(palette.convert("RGB")))
    check(palette, np.asarray(palette.convert("RGB")), transparency=bytes(range(0, 160, 10)))
    tag = Image.Exif()
    tag[0x0112] = 6
    check(Image.fromarray(rgb), np.rot90(rgb, -1), exif=tag)


def test_decode_by_content_not_by_name(tmp_path):
    rgb = noise(2, 6, 5, 3)
    Image.fromarray(rgb).save(tmp_path / "x.jpg", format="PNG")
    assert np.array_equal(decode(tmp_path / "x.jpg", 3), rgb)


def test_decode_refuses_pixels_of_unknown_range(tmp_path):
    Image.fromarray(np.ones((4, 4), dtype=np.float32)).save(tmp_path / "x.tif")
    with pytest.raises(BrokenImage, match=r"x\.tif cannot be read .*32 bits"):
        decode(tmp_path / "x.tif", 1)
    with pytest.raises(BrokenImage, match=r"No such file"):
        decode(tmp_path / "absent.png", 1)
