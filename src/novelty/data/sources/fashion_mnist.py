"""Fashion-MNIST: 60,000 + 10,000 grey 28x28 images of clothes, 6,000 + 1,000 a class."""

from __future__ import annotations

from pathlib import Path

from novelty.data.source import About
from novelty.data.sources.idx import IdxFile, IdxSource


class FashionMNIST(IdxSource):
    """Fashion-MNIST (Zalando Research).

    File sums: torchvision.datasets.FashionMNIST. They are sums of the .gz files: unpacked files alone cannot be proved
    original. The original's "T-shirt/top" is called t-shirt here, its "Ankle boot" ankle_boot.
    """

    title = "Fashion-MNIST"
    original = "FashionMNIST"
    files = (
        IdxFile("train-images-idx3-ubyte", "8d4fb7e6c68d591d4c3dfef9ec88bf0d"),
        IdxFile("train-labels-idx1-ubyte", "25c81989df183df01b3e8a0aad5dffbe"),
        IdxFile("t10k-images-idx3-ubyte", "bef4ecab320f06d8554ea6380940ec79"),
        IdxFile("t10k-labels-idx1-ubyte", "bb300cfdad3c16e7a12a480ee83cd310"),
    )
    mirrors = ("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",)
    names = ("t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle_boot")
    rights = "licence MIT, cite Xiao, Rasul, Vollgraf 2017 (arXiv 1708.07747)"
    published = ((6000, 1000),) * 10
    about = About(
        "Fashion-MNIST (Xiao, Rasul, Vollgraf, 2017)",
        "MIT",
        "the four idx files, zipped or not; downloaded on first use",
        "FashionMNIST/raw/",
    )

    def __init__(self, root: Path, *, folder: str = "fashion_mnist", download: bool = True) -> None:
        super().__init__(root, folder=folder, download=download)
