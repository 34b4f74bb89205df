"""A small copy of every data set of conf/data, in the place and layout in which its owner's files would lie."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from data.fake_layouts import cifar_batches, write_cifar_folder, write_idx
from data.fakes.brain_mri import write_brain_mri
from data.fakes.caltech256 import write_caltech256
from data.fakes.celeba import write_celeba
from data.fakes.cifar100 import cifar100_files, write_cifar100
from data.fakes.coil100 import write_coil100
from data.fakes.csv import write_csv
from data.fakes.files import picture, save
from data.fakes.head_ct import write_head_ct
from data.fakes.imagenet30 import write_imagenet30
from data.fakes.lsun import write_lsun
from data.fakes.mvtec_ad import write_mvtec_ad


def _images(root: Path) -> None:
    for number in range(24):
        save(picture(number, 16, 20), root / "images" / ["good", "bad", "ugly"][number % 3] / f"{number}.png")


def _mnist(root: Path) -> None:
    write_idx(root / "MNIST" / "raw", train=60, test=30)


def _mvtec_ad(root: Path) -> None:
    for category in ("bottle", "carpet", "screw"):  # the first of two tables, and the default
        write_mvtec_ad(root / "mvtec_ad", category)


def _brain_mri(root: Path) -> None:
    top = write_brain_mri(root / "brain_mri")
    for number in range(20):  # ten normal images are held out
        save(picture(number, 16, 20), top / "no" / f"No {number + 100}.png")


def _against(root: Path) -> None:
    _mnist(root)
    write_idx(root / "FashionMNIST" / "raw", train=60, test=30)


WRITERS: dict[str, Callable[[Path], object]] = {
    "against": _against,
    "brain_mri": _brain_mri,
    "caltech256": write_caltech256,
    "celeba": lambda root: write_celeba(root / "celeba", 60),
    "cifar10": lambda root: write_cifar_folder(root, cifar_batches()[0]),
    "cifar100": lambda root: write_cifar100(root, cifar100_files()[0]),
    "coil100": write_coil100,
    "csv": write_csv,
    "digits": lambda root: None,
    "fashion_mnist": lambda root: write_idx(root / "FashionMNIST" / "raw", train=60, test=30),
    "folder": _images,
    "head_ct": lambda root: write_head_ct(root, count=30),
    "imagenet30": lambda root: write_imagenet30(root / "imagenet30"),
    "lsun": lambda root: write_lsun(root / "lsun"),
    "mnist": _mnist,
    "mvtec_ad": _mvtec_ad,
    "shapes": lambda root: None,
    "mvtec_folder": lambda root: write_mvtec_ad(root, "defects"),
}
