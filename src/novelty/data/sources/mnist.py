"""MNIST: 60,000 + 10,000 grey 28x28 images of handwritten digits."""

from __future__ import annotations

from pathlib import Path

from novelty.data.source import About
from novelty.data.sources.idx import IdxFile, IdxSource


class MNIST(IdxSource):
    """The MNIST database of handwritten digits (LeCun, Cortes, Burges); classes "0" to "9".

    File sums: torchvision.datasets.MNIST (.gz) and those published for the uncompressed originals; either will do.
    """

    title = "MNIST"
    original = "MNIST"
    files = (
        IdxFile("train-images-idx3-ubyte", "f68b3c2dcbeaaa9fbdd348bbdeb94873", "6bbc9ace898e44ae57da46a324031adb"),
        IdxFile("train-labels-idx1-ubyte", "d53e105ee54ea40749a09fcbcd1e9432", "a25bea736e30d166cdddb491f175f624"),
        IdxFile("t10k-images-idx3-ubyte", "9fb629c4189551a2d022fa330f9573f3", "2646ac647ad5339dbf082846283269ea"),
        IdxFile("t10k-labels-idx1-ubyte", "ec29112dd5afa0611ce80d1b7f02629c", "27ae3e4e09519cfbb04c329615203637"),
    )
    mirrors = ("https://ossci-datasets.s3.amazonaws.com/mnist/", "http://yann.lecun.com/exdb/mnist/")
    names = tuple("0123456789")
    rights = "licence CC BY-SA 3.0, cite LeCun, Bottou, Bengio, Haffner 1998"
    published = (
        (5923, 980),
        (6742, 1135),
        (5958, 1032),
        (6131, 1010),
        (5842, 982),
        (5421, 892),
        (5918, 958),
        (6265, 1028),
        (5851, 974),
        (5949, 1009),
    )
    about = About(
        "MNIST (LeCun, Cortes, Burges, 1998)",
        "CC BY-SA 3.0",
        "the four idx files, zipped or not; downloaded on first use",
        "MNIST/raw/",
    )

    def __init__(self, root: Path, *, folder: str = "mnist", download: bool = True) -> None:
        super().__init__(root, folder=folder, download=download)
