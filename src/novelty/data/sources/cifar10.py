"""CIFAR-10: 50,000 + 10,000 colour 32x32 images, 5,000 + 1,000 a class."""

from __future__ import annotations

from pathlib import Path

from novelty.data.source import About
from novelty.data.sources.cifar import HOME, CifarSource


class CIFAR10(CifarSource):
    """CIFAR-10 (Krizhevsky, Nair, Hinton): ``cifar-10-python.tar.gz``, ``cifar-10-batches-py`` or class folders.

    File sums: torchvision.datasets.CIFAR10.
    """

    title = "CIFAR-10"
    about = About(
        title="CIFAR-10 (Krizhevsky, Nair, Hinton 2009)",
        licence="no explicit licence, distributed for research, cite Krizhevsky 2009",
        get=f"cifar-10-python.tar.gz from {HOME}cifar.html",
        place="cifar-10-python.tar.gz, cifar-10-batches-py/ or class folders cifar10/{train,test}/<class>/",
    )
    names = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
    archive, archive_md5 = "cifar-10-python.tar.gz", "c58f30108f718f92721af3b95e74349a"
    unpacked = "cifar-10-batches-py"
    batches = {
        "data_batch_1": "c99cafc152244af753f735de768cd75f",
        "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
        "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
        "data_batch_4": "634d18415352ddfa80567beed471001a",
        "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
        "test_batch": "40351d587109b95175f43aff81a1287e",
    }
    labels_key = "labels"
    per_class = (5000, 1000)

    def __init__(self, root: Path, *, folder: str = "cifar10", download: bool = True) -> None:
        super().__init__(root, folder=folder, download=download)
