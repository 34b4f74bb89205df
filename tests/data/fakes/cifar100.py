"""A small CIFAR-100 as Python 2 pickled it."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import numpy as np
from data.fake_layouts import _small, _string, noise


def cifar100_batch(pixels: np.ndarray, fine: np.ndarray, coarse: np.ndarray, name: str) -> bytes:
    """One file, as Python 2 and the numpy of 2009 wrote it: pixels (n, 3072) uint8, red plane first."""

    def numbers(values: np.ndarray) -> bytes:
        return b"](" + b"".join(_small(int(value)) for value in values) + b"e"

    dtype = b"cnumpy\ndtype\n" + _string(b"u1") + b"K\x00K\x01\x87R(K\x03" + _string(b"|")
    dtype += b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    array = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85" + _string(b"b") + b"\x87R"
    array += b"(K\x01" + _small(len(pixels)) + _small(pixels.shape[1]) + b"\x86" + dtype + b"\x89"
    array += _string(pixels.tobytes()) + b"tb"
    items = _string(b"data") + array + _string(b"batch_label") + _string(name.encode())
    items += _string(b"fine_labels") + numbers(fine) + _string(b"coarse_labels") + numbers(coarse)
    items += _string(b"filenames") + b"](" + b"".join(_string(b"x_s_%06d.png" % i) for i in range(len(fine))) + b"e"
    return b"\x80\x02}q\x01(" + items + b"u."


def cifar100_files(train: int = 200, test: int = 100) -> tuple[dict[str, bytes], np.ndarray, np.ndarray]:
    """The two files, and what is in them: pixels (n, 32, 32, 3) and fine labels, training images first."""
    files, pixels, labels = {}, [], []
    for seed, (name, count) in enumerate({"train": train, "test": test}.items()):
        values, fine = noise(seed, count, 3072), (np.arange(count) * 7 + seed) % 100
        files[name] = cifar100_batch(values, fine, fine // 5, f"{name}ing batch 1 of 1")
        pixels.append(values.reshape(count, 3, 32, 32).transpose(0, 2, 3, 1))
        labels.append(fine)
    return files, np.concatenate(pixels), np.concatenate(labels)


def write_cifar100(root: Path, files: dict[str, bytes], *, packed: bool = False) -> Path:
    """``cifar-100-python/{meta,test,train}`` or ``cifar-100-python.tar.gz``, in the order of the original."""
    contents = {"file.txt~": b"", "train": files["train"], "test": files["test"], "meta": b"\x80\x02}."}
    if not packed:
        folder = root / "cifar-100-python"
        folder.mkdir(parents=True)
        for name, data in contents.items():
            (folder / name).write_bytes(data)
        return folder
    root.mkdir(parents=True, exist_ok=True)
    with tarfile.open(root / "cifar-100-python.tar.gz", "w:gz") as archive:
        top = tarfile.TarInfo("cifar-100-python")
        top.type = tarfile.DIRTYPE
        archive.addfile(top)
        for name, data in contents.items():
            member = tarfile.TarInfo(f"cifar-100-python/{name}")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return root / "cifar-100-python.tar.gz"
