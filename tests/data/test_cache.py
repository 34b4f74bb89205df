"""Loading: size, channels, digest, the cache on disk and the one in the process."""

from __future__ import annotations

import errno
import logging
import os
import threading
import time

import numpy as np
import pytest
import torch
from fake_layouts import noise, write_idx, write_images
from PIL import Image

from novelty.data import cache as caching
from novelty.data.cache import load
from novelty.data.source import Block, Source
from novelty.data.sources.digits import Digits
from novelty.data.sources.folder import Folder
from novelty.data.sources.mnist import MNIST
from novelty.errors import NoveltyError


@pytest.fixture(autouse=True)
def forget():
    """Each test begins and ends with nothing kept in the process."""
    caching._memo.clear()
    yield
    caching._memo.clear()


class Fake(Source):
    """Given images; counts how often it is decoded."""

    def __init__(self, blocks, name="fake"):
        super().__init__("/nowhere")
        self.given, self.name, self.decoded = blocks, name, 0

    classes = ("a", "b")

    def fingerprint(self):
        return self.name

    def blocks(self):
        self.decoded += 1
        yield from self.given


def block(pixels, label=0, test=False):
    return Block(pixels, np.full(len(pixels), label), test)


def simple(name="fake"):
    return Fake([block(noise(1, 5, 9, 9, 3)), block(noise(2, 3, 9, 9, 3), 1, True)], name)


def test_native_size():
    images = load(simple())
    assert images.pixels.shape == (8, 3, 9, 9)
    assert images.pixels.dtype == torch.uint8
    assert np.array_equal(images.pixels.numpy()[:5].transpose(0, 2, 3, 1), noise(1, 5, 9, 9, 3))
    assert images.labels.tolist() == [0] * 5 + [1] * 3
    assert images.labels.dtype == np.int64
    assert images.test.tolist() == [False] * 5 + [True] * 3
    assert images.classes == ("a", "b")
    images.pixels[0] = 7  # own memory: no warning, and the source is untouched


@pytest.mark.parametrize("shapes", [[(9, 9), (8, 8)], [(9, 8)]])
def test_native_needs_one_square_size(shapes):
    source = Fake([block(noise(i, 2, *shape, 1)) for i, shape in enumerate(shapes)])
    with pytest.raises(NoveltyError, match=r"not all of one square size \(.*\): give data\.image_size"):
        load(source)
    assert load(source, 4).pixels.shape[1:] == (1, 4, 4)


@pytest.mark.parametrize(
    ("shape", "size"), [((28, 28), 32), ((64, 64), 17), ((40, 60), 20), ((31, 90), 45), ((8, 3), 8)]
)
def test_resize_agrees_with_pil(shape, size):
    pixels = noise(3, 2, *shape, 3)
    ours = load(Fake([block(pixels)]), size).pixels.permute(0, 2, 3, 1).numpy().astype(int)
    short = min(shape)
    target = tuple(round(side * size / short) for side in shape)
    top, left = (target[0] - size) // 2, (target[1] - size) // 2
    for image, our in zip(pixels, ours, strict=True):
        theirs = np.asarray(Image.fromarray(image).resize(target[::-1], Image.Resampling.BILINEAR)).astype(int)
        assert abs(theirs[top : top + size, left : left + size] - our).max() <= 1


def test_proportions_are_kept():
    """A square in the middle of a wide image stays a square."""
    wide = np.zeros((1, 40, 120, 1), dtype=np.uint8)
    wide[:, 10:30, 50:70] = 255
    small = load(Fake([block(wide)]), 20).pixels[0, 0] > 127
    assert small.any(0).sum() == small.any(1).sum() == 10


def test_channels():
    grey = load(simple(), channels=1).pixels
    expected = np.asarray(Image.fromarray(noise(1, 5, 9, 9, 3)[0]).convert("L"))
    assert np.array_equal(grey[0, 0].numpy(), expected)
    colour = load(Fake([block(noise(1, 2, 9, 9, 1))], "grey"), channels=3).pixels
    assert torch.equal(colour[:, 0], colour[:, 2])


@pytest.mark.parametrize(("size", "channels", "key"), [(0, 1, "image_size"), (4, 2, "channels")])
def test_wrong_arguments(size, channels, key):
    with pytest.raises(NoveltyError, match=f"data.{key}"):
        load(simple(), size, channels=channels)


def test_digest_is_that_of_the_content(tmp_path):
    digest = load(simple("1"), 4).digest
    parts = [block(noise(1, 5, 9, 9, 3)[i : i + 1]) for i in range(5)] + [block(noise(2, 3, 9, 9, 3), 1, True)]
    same = [load(Fake(parts, "2"), 32, tmp_path, 1), load(simple("3"), 5), load(Fake(parts, "2"), 32, tmp_path, 1)]
    assert {images.digest for images in same} == {digest}
    one, other = noise(1, 5, 9, 9, 3), noise(2, 3, 9, 9, 3)
    changed = one.copy()
    changed[2, 3, 4, 1] ^= 1
    different = [
        [block(changed), block(other, 1, True)],
        [block(one, 1), block(other, 1, True)],
        [block(one), block(other, 1, False)],
        [block(one[::-1]), block(other, 1, True)],
        [block(one.reshape(5, 3, 27, 3)), block(other, 1, True)],
    ]
    digests = {load(Fake(blocks, f"d{i}"), 4).digest for i, blocks in enumerate(different)}
    assert len(digests | {digest}) == 6


def test_training_images_come_first():
    with pytest.raises(ValueError, match="behind test images"):
        load(Fake([block(noise(1, 2, 4, 4, 1), 0, True), block(noise(1, 2, 4, 4, 1))]))
    with pytest.raises(NoveltyError, match="no images"):
        load(Fake([]))


def test_disk_cache(tmp_path):
    source = simple()
    first = load(source, 6, tmp_path)
    caching._memo.clear()
    second = load(source, 6, tmp_path)
    assert source.decoded == 1
    assert torch.equal(first.pixels, second.pixels)
    assert (first.digest, first.copy, first.classes) == (second.digest, second.copy, second.classes)
    assert np.array_equal(first.labels, second.labels)
    assert np.array_equal(first.test, second.test)
    second.pixels.fill_(0)  # copy on write
    caching._memo.clear()
    assert torch.equal(load(source, 6, tmp_path).pixels, first.pixels)
    assert len(list(tmp_path.iterdir())) == 1
    load(source, 7, tmp_path)
    load(source, 6, tmp_path, 1)
    assert source.decoded == 3
    assert len(list(tmp_path.iterdir())) == 3


def test_process_cache_is_bounded():
    sources = [simple(str(i)) for i in range(3)]
    for source in sources:
        assert load(source, 6) is load(source, 6)
    assert len(caching._memo) == 2
    load(sources[0], 6)
    load(sources[2], 6)
    assert [source.decoded for source in sources] == [2, 1, 1]


def test_changed_files_are_decoded_again(tmp_path):
    write_images(tmp_path / "mine/a", 2)
    write_images(tmp_path / "mine/b", 2, seed=1)
    before = load(Folder(tmp_path, path="mine"), 8, tmp_path / "cache")
    Image.fromarray(noise(77, 8, 8, 3)).save(tmp_path / "mine/b/0001.png")
    after = load(Folder(tmp_path, path="mine"), 8, tmp_path / "cache")
    assert before.digest != after.digest
    assert torch.equal(before.pixels[:3], after.pixels[:3])
    assert not torch.equal(before.pixels[3], after.pixels[3])


@pytest.mark.parametrize("damage", ["pixels.npy", "index.npz", "about.json"])
@pytest.mark.parametrize("how", ["cut", "emptied", "removed"])
def test_a_damaged_entry_is_made_anew(tmp_path, caplog, damage, how):
    source = simple()
    good = load(source, 6, tmp_path)
    pixels = good.pixels.clone()
    (entry,) = tmp_path.iterdir()
    data = (entry / damage).read_bytes()
    (entry / damage).unlink()  # not in place: the first load still has it mapped
    if how != "removed":
        (entry / damage).write_bytes(data[: len(data) // 2] if how == "cut" else b"")
    caching._memo.clear()
    again = load(source, 6, tmp_path)
    assert torch.equal(again.pixels, pixels)
    assert again.digest == good.digest
    assert source.decoded == 2
    caching._memo.clear()
    load(source, 6, tmp_path)
    assert source.decoded == 2


def test_what_a_killed_process_left_is_no_hindrance(tmp_path):
    fresh, old = tmp_path / ".building-fresh", tmp_path / ".building-old"
    for left in (fresh, old):
        left.mkdir()
        (left / "pixels.npy").write_bytes(b"half")
    os.utime(old, (1, time.time() - 2 * 24 * 3600))
    assert len(load(simple(), 6, tmp_path).pixels) == 8
    assert fresh.exists()
    assert not old.exists()


def test_two_builders_at_once(tmp_path):
    """Both decode, one is faster, both get the same and one entry stays."""
    gate = threading.Barrier(2)

    class Slow(Fake):
        def blocks(self):
            yield from super().blocks()
            gate.wait(10)

    found = []

    def build():
        source = Slow(simple().given)
        found.append(caching._load(source, 6, tmp_path, None, "key"))

    threads = [threading.Thread(target=build) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert torch.equal(found[0].pixels, found[1].pixels)
    assert [path.name for path in tmp_path.iterdir()] == ["key"]


def unusable_file(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    return tmp_path / "file"


def unusable_disk(tmp_path, monkeypatch):
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(caching.np, "savez", full)
    return tmp_path


@pytest.mark.parametrize(("make", "reason"), [(unusable_file, "exist|directory"), (unusable_disk, "No space left")])
def test_an_unusable_cache_costs_one_warning(tmp_path, monkeypatch, caplog, make, reason):
    folder = make(tmp_path, monkeypatch)
    with caplog.at_level(logging.WARNING):
        images = load(simple(), 6, folder)
    assert images.pixels.shape == (8, 3, 6, 6)
    assert len(caplog.records) == 1
    assert str(folder) in caplog.text
    assert any(word in caplog.text for word in reason.split("|"))
    assert not list(tmp_path.glob(".building-*"))


def test_progress_only_where_it_is_slow(capfd, monkeypatch):
    monkeypatch.setattr(Fake, "count", 8)
    load(simple("quick"), 6)
    assert "Decoding" not in "".join(capfd.readouterr())
    monkeypatch.setattr(caching, "_PATIENCE_SECONDS", -1)
    load(simple("slow"), 6)
    out, err = capfd.readouterr()
    assert "Decoding" in err
    assert out == ""


def test_digits_end_to_end(tmp_path):
    images = load(Digits(tmp_path), 32, tmp_path / "cache", 1)
    assert images.pixels.shape == (1797, 1, 32, 32)
    assert images.digest.startswith("ae44069c815d")


def test_broken_images_are_recorded_with_the_copy(tmp_path, caplog):
    write_images(tmp_path / "mine/a", 3)
    (tmp_path / "mine/a/x.png").write_bytes(b"no image")
    for _ in range(2):
        caching._memo.clear()
        images = load(Folder(tmp_path, path="mine", skip_broken=True), 8, tmp_path / "cache")
        assert images.copy == "PNG class folders, 1 broken images left out"
        assert len(images.pixels) == 3


def test_idx_end_to_end(tmp_path):
    arrays = write_idx(tmp_path / "MNIST/raw")
    images = load(MNIST(tmp_path, download=False), None, tmp_path / "cache")
    assert np.array_equal(images.pixels[:30, 0].numpy(), arrays["train-images-idx3-ubyte"])
