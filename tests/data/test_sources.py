"""Sources: original layouts, class folders, what is wrong with a copy, what is missing."""

from __future__ import annotations

import functools
import gzip
import http.server
import os
import pickle
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from fake_layouts import (
    cifar_batch,
    cifar_batches,
    noise,
    read,
    write_cifar_archive,
    write_cifar_folder,
    write_idx,
    write_images,
)
from PIL import Image

from novelty.data import download
from novelty.data.download import NoDownload, fetch, md5
from novelty.data.sources.cifar10 import CIFAR10
from novelty.data.sources.fashion_mnist import FashionMNIST
from novelty.data.sources.idx import parse_idx
from novelty.data.sources.mnist import MNIST
from novelty.errors import NoveltyError


@pytest.mark.parametrize("kind", [MNIST, FashionMNIST])
@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("place", ["original/raw", "folder", "folder/raw"])
def test_idx_layouts(tmp_path, kind, zipped, place):
    source = kind(tmp_path, download=False)
    folder = tmp_path / place.replace("original", kind.original).replace("folder", source.folder)
    arrays = write_idx(folder, zipped)
    pixels, labels, test = read(source)
    assert np.array_equal(pixels[..., 0], np.concatenate([arrays[file.name] for file in kind.files[::2]]))
    assert np.array_equal(labels, np.concatenate([arrays[file.name] for file in kind.files[1::2]]))
    assert test.sum() == 20
    assert source.copy == "idx files that do not have the published checksums"
    assert source.fingerprint() == kind(tmp_path, download=False).fingerprint()


def test_idx_fingerprint_follows_the_files(tmp_path):
    write_idx(tmp_path / "MNIST/raw")
    before = MNIST(tmp_path, download=False).fingerprint()
    os.utime(tmp_path / "MNIST/raw/t10k-labels-idx1-ubyte.gz", (1, 1))
    assert MNIST(tmp_path, download=False).fingerprint() != before


@pytest.mark.parametrize("proof", ["content", "gz"])
def test_original_is_proved_by_either_sum(tmp_path, monkeypatch, proof):
    write_idx(tmp_path / "MNIST/raw")
    sums = []
    for file in MNIST.files:
        packed = (tmp_path / "MNIST/raw" / f"{file.name}.gz").read_bytes()
        content = gzip.decompress(packed)
        sums.append(
            file._replace(gz_md5=md5(packed) if proof == "gz" else "", md5=md5(content) if proof != "gz" else None)
        )
    monkeypatch.setattr(MNIST, "files", tuple(sums))
    assert MNIST(tmp_path, download=False).copy == "original"
    monkeypatch.setattr(MNIST, "files", (*sums[:3], sums[3]._replace(gz_md5="", md5=None)))
    assert MNIST(tmp_path, download=False).copy != "original"


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda data: data[:-5], "train-images-idx3-ubyte is cut off: 23515 of 23520 values"),
        (lambda data: b"<html>", "train-images-idx3-ubyte is no idx file"),
        (lambda data: b"", "no idx file"),
        (lambda data: data[:2] + b"\x0d" + data[3:], "no idx file"),
    ],
)
def test_damaged_idx(tmp_path, damage, words):
    write_idx(tmp_path / "mnist", zipped=False)
    path = tmp_path / "mnist/train-images-idx3-ubyte"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(NoveltyError, match=words):
        read(MNIST(tmp_path, download=False))


def test_damaged_gz(tmp_path):
    write_idx(tmp_path / "mnist")
    path = tmp_path / "mnist/t10k-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:-300])
    with pytest.raises(NoveltyError, match=r"t10k-images-idx3-ubyte\.gz is damaged"):
        read(MNIST(tmp_path, download=False))


def test_idx_files_that_do_not_belong_together(tmp_path):
    write_idx(tmp_path / "mnist", zipped=False)
    labels, other = (tmp_path / "mnist" / name for name in ("train-labels-idx1-ubyte", "t10k-labels-idx1-ubyte"))
    good = labels.read_bytes()
    labels.write_bytes(other.read_bytes())
    with pytest.raises(NoveltyError, match="do not belong together"):
        read(MNIST(tmp_path, download=False))
    labels.write_bytes(good[:-1] + b"\x0a")
    with pytest.raises(NoveltyError, match="label 10 is none of the 10 of MNIST"):
        read(MNIST(tmp_path, download=False))


def test_parse_idx_of_any_rank():
    assert parse_idx(b"\x00\x00\x08\x01\x00\x00\x00\x02\x05\x06", Path("x")).tolist() == [5, 6]


def test_mnist_class_folders(tmp_path):
    for split, count in (("train", 3), ("test", 2)):
        for digit in range(10):
            write_images(tmp_path / "digits10" / split / str(digit), count, 28, mode="L", seed=digit)
    source = MNIST(tmp_path, folder="digits10", download=False)
    pixels, labels, test = read(source)
    assert pixels.shape == (50, 28, 28, 1)
    assert labels.tolist() == [*np.repeat(range(10), 3), *np.repeat(range(10), 2)]
    assert test.sum() == 20
    assert source.count == 50
    assert source.copy == "PNG class folders"


@pytest.mark.parametrize("packed", [True, False], ids=["archive", "unpacked"])
@pytest.mark.parametrize("below", ["", "cifar10"])
def test_cifar_layouts(tmp_path, monkeypatch, packed, below):
    files, pixels, labels = cifar_batches()
    (write_cifar_archive if packed else write_cifar_folder)(tmp_path / below, files)
    source = CIFAR10(tmp_path, download=False)
    assert source.copy == "CIFAR-10 batches that do not have the published checksums"
    got, got_labels, test = read(source)
    assert np.array_equal(got, pixels)
    assert np.array_equal(got_labels, labels)
    assert np.flatnonzero(test).tolist() == list(range(100, 120))
    monkeypatch.setattr(CIFAR10, "batches", {name: md5(files[name]) for name in CIFAR10.batches})
    assert CIFAR10(tmp_path, download=False).copy == "original"
    assert source.fingerprint() == CIFAR10(tmp_path, download=False).fingerprint()


def test_fake_batches_are_real_pickles():
    """What our generator writes is what plain pickle reads, so the restricted reader is tested on the true format."""
    values = noise(5, 3, 3072)
    batch = pickle.loads(cifar_batch(values, np.array([1, 2, 9]), "data_batch_1"), encoding="latin1")
    assert np.array_equal(batch["data"], values)
    assert batch["labels"] == [1, 2, 9]


def test_batches_pickled_by_a_newer_python_are_read():
    values = noise(6, 2, 3072)
    for protocol in (2, 4):
        data = pickle.dumps({"data": values, "labels": [3, 4]}, protocol=protocol)
        images, labels = CIFAR10.read_batch(data, "x")
        assert np.array_equal(images, values.reshape(2, 3, 32, 32).transpose(0, 2, 3, 1))
        assert labels.tolist() == [3, 4]


class _Attack:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_a_pickle_cannot_run_code(tmp_path):
    files, _, _ = cifar_batches()
    files["data_batch_2"] = pickle.dumps({"data": _Attack(tmp_path / "owned"), "labels": [1]}, protocol=2)
    write_cifar_folder(tmp_path, files)
    with pytest.raises(NoveltyError, match=r"data_batch_2: the file asks to run .*it was not run"):
        read(CIFAR10(tmp_path, download=False))
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize(
    "batch",
    [
        {"data": np.zeros((1, 3072), dtype=np.float32), "labels": [1]},
        {"data": np.zeros((1, 100), dtype=np.uint8), "labels": [1]},
        {"data": np.zeros((1, 3072), dtype=np.uint8), "labels": [10]},
        {"data": np.zeros((1, 3072), dtype=np.uint8)},
        ["no", "batch"],
        {"data": np.array([None]), "labels": [1]},
    ],
)
def test_wrong_batches(batch):
    with pytest.raises(NoveltyError, match=r"data_batch_1 is no batch of CIFAR-10"):
        CIFAR10.read_batch(pickle.dumps(batch, protocol=2), "data_batch_1")


def test_damaged_archives(tmp_path):
    files, _, _ = cifar_batches()
    path = write_cifar_archive(tmp_path, files)
    whole = path.read_bytes()
    for data in (whole[: len(whole) // 2], b"<html>not found</html>", b""):
        path.write_bytes(data)
        with pytest.raises(NoveltyError, match=r"cifar-10-python\.tar\.gz (is damaged|lacks)"):
            read(CIFAR10(tmp_path, download=False))


def test_cifar_class_folders(tmp_path):
    names = CIFAR10(tmp_path).classes
    for split in ("train", "test"):
        for seed, name in enumerate(names):
            write_images(tmp_path / "mine" / split / name.title(), 2, 32, ".JPG", seed=seed)
    (tmp_path / "mine/train/Airplane/Thumbs.db").write_bytes(b"x")
    source = CIFAR10(tmp_path, folder="mine", download=False)
    pixels, labels, test = read(source)
    assert pixels.shape == (40, 32, 32, 3)
    assert np.array_equal(labels, np.tile(np.repeat(range(10), 2), 2))
    assert test.sum() == 20
    assert source.copy == "JPEG class folders"
    with Image.open(tmp_path / "mine/test/Truck/0001.JPG") as last:
        assert np.array_equal(pixels[-1], np.asarray(last))
    for path in (tmp_path / "mine/test/Bird").iterdir():
        path.unlink()
    with pytest.raises(NoveltyError, match="test/Bird holds no image"):
        CIFAR10(tmp_path, folder="mine", download=False).fingerprint()
    (tmp_path / "mine/test/Bird").rmdir()
    with pytest.raises(NoveltyError, match="has no folder for class bird"):
        CIFAR10(tmp_path, folder="mine", download=False).fingerprint()


@pytest.mark.parametrize(("kind", "owner"), [(MNIST, "LeCun"), (FashionMNIST, "Xiao"), (CIFAR10, "Krizhevsky")])
def test_missing_data_is_one_sentence(tmp_path, monkeypatch, kind, owner):
    def unreachable(*_: object) -> None:
        raise NoDownload("host: no answer")

    monkeypatch.setattr(f"novelty.data.sources.{'cifar' if kind is CIFAR10 else 'idx'}.fetch", unreachable)
    for source, why in ((kind(tmp_path, download=False), "downloads are off"), (kind(tmp_path), "host: no answer")):
        with pytest.raises(NoveltyError) as caught:
            source.fingerprint()
        sentence = str(caught.value)
        words = (str(tmp_path), why, "NOVELTY_DATA", "paths.data", "licence", owner, "http", ".gz")
        assert all(word in sentence for word in words), sentence
        assert "\n" not in sentence
        assert caught.value.__cause__ is None


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def mirror(tmp_path, monkeypatch):
    """A web server on this machine; (its folder, its address)."""
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    folder = tmp_path / "mirror"
    folder.mkdir()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=folder))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield folder, f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


def test_download_and_read(tmp_path, monkeypatch, mirror):
    folder, url = mirror
    write_idx(folder / "files")
    sums = tuple(f._replace(gz_md5=md5((folder / f"files/{f.name}.gz").read_bytes())) for f in MNIST.files)
    monkeypatch.setattr(MNIST, "files", sums)
    monkeypatch.setattr(MNIST, "mirrors", (f"{url}absent/", f"{url}files/"))
    source = MNIST(tmp_path / "data")
    assert read(source)[0].shape == (50, 28, 28, 1)
    assert source.copy == "original"
    assert sorted(p.name for p in (tmp_path / "data/MNIST/raw").iterdir()) == sorted(f"{f.name}.gz" for f in sums)


def test_a_wrong_download_leaves_nothing(tmp_path, mirror):
    folder, url = mirror
    (folder / "x.gz").write_bytes(b"not what was asked for")
    with pytest.raises(NoDownload, match="wrong checksum"):
        fetch([f"{url}x.gz"], tmp_path / "out/x.gz", md5(b"what was asked for"))
    assert not list((tmp_path / "out").iterdir())
    with pytest.raises(NoDownload, match=r"127\.0\.0\.1: File not found"):
        fetch([f"{url}absent.gz"], tmp_path / "out/x.gz", "")


def test_an_unreachable_host_is_given_up_soon(tmp_path, monkeypatch):
    over = threading.Event()

    def silence(*_: object, **__: object) -> None:
        over.wait(10)
        raise OSError

    monkeypatch.setattr(download, "CONNECT_SECONDS", 0.2)
    monkeypatch.setattr(download.urllib.request, "getproxies", dict)
    monkeypatch.setattr(download.socket, "create_connection", silence)
    start = time.monotonic()
    with pytest.raises(NoDownload, match=r"host\.invalid: no answer"):
        fetch(["https://host.invalid/x"], tmp_path / "x", "")
    assert time.monotonic() - start < 5
    over.set()
