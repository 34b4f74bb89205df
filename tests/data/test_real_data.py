"""Checks on real data (slow marker); the folder is $NOVELTY_DATA: MNIST/raw, and CIFAR-10 as JPEGs or original."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import pytest

from novelty.data import cache
from novelty.data.protocols.one_vs_all import OneVsAll
from novelty.data.source import Images
from novelty.data.sources.cifar10 import CIFAR10
from novelty.data.sources.mnist import MNIST

pytestmark = pytest.mark.slow

MNIST_TRAIN = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
MNIST_TEST = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
# (min, max) after global contrast normalisation with L1 scale: constants of the Deep SVDD code, protocols.md section 1
MNIST_RANGES = [
    (-0.8827, 9.0015),
    (-0.6661, 20.1081),
    (-0.7820, 11.6651),
    (-0.7646, 12.8951),
    (-0.7254, 12.6832),
    (-0.7699, 13.1033),
    (-0.7784, 10.4578),
    (-0.7130, 12.0578),
    (-0.8280, 10.5815),
    (-0.7370, 10.6970),
]
AIRPLANE_RANGE = {"original": (-28.9408, 13.8030), "JPEG class folders": (-22.81, 13.72)}


@pytest.fixture(scope="module")
def root() -> Path:
    folder = os.environ.get("NOVELTY_DATA")
    assert folder, "set NOVELTY_DATA to the folder of the real data"
    return Path(folder)


@pytest.fixture(scope="module")
def mnist(root: Path) -> Images:
    return cache.load(MNIST(root, download=False))


def contrast_range(images: Images, label: int) -> tuple[float, float]:
    """Extremes of the training images of a class, each minus its mean and over its mean absolute value."""
    x = images.pixels.numpy()[(images.labels == label) & ~images.test].reshape(
        -1, images.pixels[0].numel()
    ) / np.float64(255)
    x = x - x.mean(1, keepdims=True)
    x = x / np.abs(x).mean(1, keepdims=True)
    return float(x.min()), float(x.max())


def test_mnist_counts(mnist):
    assert mnist.pixels.shape == (70_000, 1, 28, 28)
    assert np.bincount(mnist.labels[~mnist.test]).tolist() == MNIST_TRAIN
    assert np.bincount(mnist.labels[mnist.test]).tolist() == MNIST_TEST
    assert mnist.copy == "original"


@pytest.mark.parametrize("digit", range(10))
def test_mnist_constants(mnist, digit):
    assert contrast_range(mnist, digit) == pytest.approx(MNIST_RANGES[digit], abs=6e-5)
    split = OneVsAll(normal=digit).split(mnist)
    assert (len(split.train), len(split.test), (~split.novel).sum()) == (MNIST_TRAIN[digit], 10_000, MNIST_TEST[digit])


def test_cifar10(root, tmp_path):
    images = cache.load(CIFAR10(root, download=False), 32, tmp_path)
    assert images.pixels.shape == (60_000, 3, 32, 32)
    for flags, count in ((~images.test, 5_000), (images.test, 1_000)):
        assert np.bincount(images.labels[flags]).tolist() == [count] * 10
    assert contrast_range(images, 0) == pytest.approx(AIRPLANE_RANGE[images.copy], abs=6e-3)
    cache._memo.clear()
    start = time.monotonic()
    again = cache.load(CIFAR10(root, download=False), 32, tmp_path)
    assert time.monotonic() - start < 2
    assert again.digest == images.digest
