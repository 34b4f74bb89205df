"""Small data sets in the original layouts, byte for byte in form; the pixels are noise."""

from __future__ import annotations

import gzip
import io
import struct
import tarfile
from pathlib import Path

import numpy as np
from PIL import Image

from novelty.data.source import Source

CIFAR_ORDER_IN_TAR = (
    "data_batch_4",
    "test_batch",
    "data_batch_3",
    "data_batch_2",
    "data_batch_5",
    "data_batch_1",
)


def noise(seed: int, *shape: int) -> np.ndarray:
    """uint8 noise."""
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def idx_bytes(array: np.ndarray) -> bytes:
    """An idx file of unsigned bytes."""
    return b"\x00\x00\x08" + bytes([array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def write_idx(folder: Path, zipped: bool = True, train: int = 30, test: int = 20) -> dict[str, np.ndarray]:
    """The four files of MNIST with labels 0, 1, ... 9, 0, ...; returns their arrays by file name."""
    folder.mkdir(parents=True)
    arrays = {
        "train-images-idx3-ubyte": noise(1, train, 28, 28),
        "train-labels-idx1-ubyte": (np.arange(train) % 10).astype(np.uint8),
        "t10k-images-idx3-ubyte": noise(2, test, 28, 28),
        "t10k-labels-idx1-ubyte": (np.arange(test) % 10).astype(np.uint8),
    }
    for name, array in arrays.items():
        data = idx_bytes(array)
        (folder / (name + ".gz" * zipped)).write_bytes(gzip.compress(data) if zipped else data)
    return arrays


def _string(text: bytes) -> bytes:
    """A Python 2 `str` of pickle protocol 2."""
    return b"U" + bytes([len(text)]) + text if len(text) < 256 else b"T" + struct.pack("<I", len(text)) + text


def _small(number: int) -> bytes:
    return b"K" + bytes([number]) if number < 256 else b"M" + struct.pack("<H", number)


def cifar_batch(pixels: np.ndarray, labels: np.ndarray, name: str) -> bytes:
    """A batch as Python 2 and the numpy of 2009 pickled it: pixels (n, 3072) uint8, red plane first."""
    dtype = b"cnumpy\ndtype\n" + _string(b"u1") + b"K\x00K\x01\x87R(K\x03" + _string(b"|")
    dtype += b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    array = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85" + _string(b"b") + b"\x87R"
    array += b"(K\x01" + _small(len(pixels)) + _small(pixels.shape[1]) + b"\x86" + dtype + b"\x89"
    array += _string(pixels.tobytes()) + b"tb"
    items = _string(b"batch_label") + _string(name.encode())
    items += _string(b"labels") + b"](" + b"".join(_small(int(label)) for label in labels) + b"e"
    items += _string(b"data") + array
    items += _string(b"filenames") + b"](" + b"".join(_string(b"x%d.png" % i) for i in range(len(labels))) + b"e"
    return b"\x80\x02}q\x01(" + items + b"u."


def cifar_batches(count: int = 20) -> tuple[dict[str, bytes], np.ndarray, np.ndarray]:
    """Six batch files, and what is in them in the official order: pixels (6 count, 32, 32, 3), labels."""
    names = (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch")
    files, pixels, labels = {}, [], []
    for seed, name in enumerate(names):
        values, wanted = noise(seed, count, 3072), (np.arange(count) + seed) % 10
        files[name] = cifar_batch(values, wanted, name)
        pixels.append(values.reshape(count, 3, 32, 32).transpose(0, 2, 3, 1))
        labels.append(wanted)
    return files, np.concatenate(pixels), np.concatenate(labels)


def write_cifar_folder(root: Path, files: dict[str, bytes]) -> None:
    """``cifar-10-batches-py``, as unpacked."""
    folder = root / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    for name, data in {**files, "batches.meta": b"\x80\x02}.", "readme.html": b"<html>"}.items():
        (folder / name).write_bytes(data)


def write_cifar_archive(root: Path, files: dict[str, bytes]) -> Path:
    """``cifar-10-python.tar.gz``, batches in the haphazard order of the original."""
    root.mkdir(parents=True, exist_ok=True)
    target = root / "cifar-10-python.tar.gz"
    with tarfile.open(target, "w:gz") as archive:
        folder = tarfile.TarInfo("cifar-10-batches-py")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
        for name, data in [("readme.html", b"<html>"), *((name, files[name]) for name in CIFAR_ORDER_IN_TAR)]:
            member = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return target


def write_images(
    folder: Path, count: int, side: int = 8, suffix: str = ".png", mode: str = "RGB", seed: int = 0
) -> None:
    """``count`` noise images in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(count):
        shape = (side, side) if mode == "L" else (side, side, 3)
        Image.fromarray(noise(1000 * seed + i, *shape)).save(folder / f"{i:04d}{suffix}")


def read(source: Source) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pixels, labels and test flags of a source whose images have one size."""
    blocks = list(source.blocks())
    for block in blocks:
        assert block.pixels.dtype == np.uint8
        assert block.pixels.ndim == 4
        assert len(block.pixels) == len(block.labels)
    flags = np.concatenate([np.full(len(block.labels), block.test) for block in blocks])
    assert (np.diff(flags.astype(int)) >= 0).all(), "training images first"
    pixels, labels = (np.concatenate([block[i] for block in blocks]) for i in (0, 1))
    return pixels, labels, flags
