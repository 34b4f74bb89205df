"""Loading: size, channels, masks, digest, the cache on disk and the one in the process."""

from __future__ import annotations

import errno
import io
import logging
import os
import sys
import threading
import time

import numpy as np
import pytest
import torch
from fake_layouts import noise, write_idx, write_images
from generated import Fake, block, simple
from PIL import Image

from novelty.data import cache as caching
from novelty.data import site
from novelty.data.cache import load
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


def entries(cache):
    """The finished entries of a cache, without locks and what is half built."""
    return [path for path in cache.iterdir() if not path.name.startswith(".")]


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


def test_channels_that_differ_are_an_error():
    source = Fake([block(noise(1, 2, 9, 9, 3)), block(noise(1, 2, 9, 9, 1))])
    with pytest.raises(NoveltyError, match=r"Some images have 3 channels and some 1: set data\.channels to 1 or 3"):
        load(source)
    assert load(source, channels=1).pixels.shape == (4, 1, 9, 9)


def test_masks_are_kept_with_the_images(tmp_path):
    masks = noise(5, 3, 20, 30, 1)[..., 0] > 128
    good = block(noise(1, 2, 20, 20, 3), masks=np.zeros((2, 20, 20), dtype=bool))
    for cache in (None, tmp_path, tmp_path):
        caching._memo.clear()
        images = load(Fake([good, block(noise(2, 3, 20, 30, 3), 1, True, masks)]), 10, cache)
        assert images.masks.dtype == torch.bool
        assert not images.masks[:2].any()
        pil = [Image.fromarray(mask).resize((15, 10), Image.Resampling.NEAREST) for mask in masks]
        assert np.array_equal(images.masks[2:].numpy(), np.stack([np.asarray(mask)[:, 2:12] for mask in pil]))
    assert load(simple("none"), 10, tmp_path).masks is None


@pytest.mark.parametrize(
    ("masks", "words"),
    [(None, "with every block or with none"), (np.zeros((3, 9, 8), dtype=bool), "masks are bool")],
)
def test_wrong_masks_of_a_source(masks, words):
    first = block(noise(1, 5, 9, 9, 3), masks=np.zeros((5, 9, 9), dtype=bool))
    with pytest.raises(ValueError, match=words):
        load(Fake([first, block(noise(2, 3, 9, 9, 3), masks=masks)]))


def test_contents_tell_which_originals_are_equal(tmp_path):
    one, two = noise(1, 1, 8, 6, 1), noise(2, 1, 8, 6, 1)
    blocks = [one, two, one, one.reshape(1, 6, 8, 1), np.repeat(one, 3, axis=3), two]
    for cache in (None, tmp_path, tmp_path):
        caching._memo.clear()
        contents = load(Fake([block(pixels) for pixels in blocks]), 4, cache, 1).contents
        assert contents.dtype == np.uint64
        assert [contents.tolist().index(value) for value in contents] == [0, 1, 0, 3, 4, 1]


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
        masked(0, 0),
        masked(1, 0),
        masked(0, 1),
    ]
    digests = {load(Fake(blocks, f"d{i}"), 4).digest for i, blocks in enumerate(different)}
    assert len(digests | {digest}) == 9


def masked(*defects):
    """`simple` with masks of which the first images of either block have a defect, or not."""
    masks = [np.arange(n * 81).reshape(n, 9, 9) < defect for n, defect in zip((5, 3), defects, strict=True)]
    return [whole._replace(masks=mask) for whole, mask in zip(simple().given, masks, strict=True)]


def test_attributes_are_kept_and_belong_to_the_digest(tmp_path):
    digests = []
    for name, attributes in enumerate([{}, {"x": 0, "y": 1}, {"y": 1, "x": 0}, {"x": 1, "y": 1}, {"x": 0, "z": 1}]):
        source = simple(str(name))
        source.attributes = {key: np.arange(8) % 2 == value for key, value in attributes.items()}
        for cache in (None, tmp_path, tmp_path):
            caching._memo.clear()
            images = load(source, 4, cache)
            assert list(images.attributes) == list(attributes)
            assert all(np.array_equal(images.attributes[key], source.attributes[key]) for key in attributes)
            digests.append(images.digest)
    assert len(set(digests)) == 4
    assert digests[3] == digests[6]
    source = simple("short")
    source.attributes = {"x": np.ones(7, dtype=bool)}
    with pytest.raises(ValueError, match=r"attributes\['x'\] is bool \(7,\), not bool \(8,\)"):
        load(source, 4)


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
    assert len(entries(tmp_path)) == 1
    load(source, 7, tmp_path)
    load(source, 6, tmp_path, 1)
    assert source.decoded == 3
    assert len(entries(tmp_path)) == 3


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
    (entry,) = entries(tmp_path)
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


def test_what_may_not_be_read_is_not_removed(tmp_path, monkeypatch, caplog):
    """Only damage is: not every file that cannot be opened now is broken."""
    load(simple(), 6, tmp_path)
    caching._memo.clear()

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(caching.mmap, "mmap", refuse)
    with caplog.at_level(logging.WARNING):
        assert len(load(simple(), 6, tmp_path).pixels) == 8
    assert "Permission denied" in caplog.text
    assert (entries(tmp_path)[0] / "pixels.npy").is_file()


@pytest.mark.skipif(sys.platform != "linux", reason="other systems promise memory in other ways")
def test_a_file_larger_than_the_memory_can_be_mapped(tmp_path):
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    shape = (3 * memory // (64 * 64 * 3), 3, 64, 64)
    with (tmp_path / "pixels.npy").open("wb") as file:
        file.write(site._header("|u1", shape))
        file.truncate(128 + int(np.prod(shape)))  # with a hole in place of pixels
    pixels = caching._mapped(tmp_path / "pixels.npy")
    assert pixels.shape == shape
    assert not pixels[-1].any()
    pixels[-1] = 7
    assert (pixels[-1] == 7).all()


def test_what_a_killed_process_left_is_no_hindrance(tmp_path):
    fresh, old, held = (tmp_path / f".building-{name}" for name in ("fresh", "old", "held"))
    for left in (fresh, old, held):
        left.mkdir()
        (left / "pixels.npy").write_bytes(b"half")
    for left in (old, held):
        os.utime(left, (1, time.time() - 2 * 24 * 3600))
    with caching._alone(tmp_path / "held"):
        assert len(load(simple(), 6, tmp_path).pixels) == 8
    assert fresh.exists()
    assert held.exists()
    assert not old.exists()


def test_two_builders_at_once(tmp_path, monkeypatch):
    """One decodes, the other says that it waits and reads what the first has written."""
    begun, go_on = threading.Event(), threading.Event()
    monkeypatch.setattr(sys, "stderr", said := io.StringIO())

    class Slow(Fake):
        def blocks(self, start=0):
            begun.set()
            go_on.wait(10)
            yield from super().blocks(start)

    sources, found = [Slow(simple().given) for _ in range(2)], []

    def build(source):
        found.append(caching._load(source, 6, tmp_path, None, "key"))

    threads = [threading.Thread(target=build, args=[source]) for source in sources]
    threads[0].start()
    assert begun.wait(10)
    threads[1].start()
    while "\n" not in said.getvalue():
        time.sleep(0.01)
    go_on.set()
    for thread in threads:
        thread.join()
    assert torch.equal(found[0].pixels, found[1].pixels)
    assert [source.decoded for source in sources] == [1, 0]
    assert entries(tmp_path) == [tmp_path / "key"]
    assert not list(tmp_path.glob(".building-*"))
    assert said.getvalue().startswith(f"Another run is decoding these images into {tmp_path}; waiting for it")
    assert said.getvalue().count("\n") == 1


def test_digits_end_to_end(tmp_path):
    images = load(Digits(tmp_path), 32, tmp_path / "cache", 1)
    assert images.pixels.shape == (1797, 1, 32, 32)
    assert images.digest.startswith("33ff5c4df90d")


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
