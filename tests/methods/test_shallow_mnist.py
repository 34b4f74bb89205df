"""OC-SVM and KDE on the real MNIST (NOVELTY_DATA): the rows measured for the fact sheet "baselines_deterministic"."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from novelty.evaluation.metrics import auroc
from novelty.info import DataInfo
from novelty.methods.base import Fitted
from novelty.methods.kde import KDE
from novelty.methods.ocsvm import OCSVM

pytestmark = pytest.mark.slow
OCSVM_ROW = (99.12, 99.87, 90.01, 95.18, 95.48, 97.12, 98.15, 96.54, 83.65, 95.92)
"""Ours, not a printed row: whitened PCA 95 %, nu 0.1, gamma 1/d."""


@pytest.fixture(scope="module")
def folder() -> Path:
    root = Path(os.environ.get("NOVELTY_DATA", "."))
    for candidate in ("MNIST/raw", "mnist/MNIST/raw", "mnist/raw", "mnist"):
        if (root / candidate / "train-images-idx3-ubyte.gz").is_file():
            return root / candidate
    pytest.skip("NOVELTY_DATA holds no MNIST")


def read(folder: Path, split: str) -> tuple[torch.Tensor, np.ndarray]:
    """Images (n, 1, 28, 28) in [0, 1] and labels (n,) of ``split`` ("train" or "t10k")."""
    pixels, labels = (
        np.frombuffer(gzip.decompress((folder / f"{split}-{name}-ubyte.gz").read_bytes()), np.uint8, offset=header)
        for name, header in (("images-idx3", 16), ("labels-idx1", 8))
    )
    return torch.from_numpy(pixels.reshape(-1, 1, 28, 28).astype(np.float32) / 255), labels


def result(kind: type[Fitted], digit: int, folder: Path) -> float:
    """AUROC in percent, ``digit`` normal, official split."""
    images, labels = read(folder, "train")
    normal = images[torch.from_numpy(labels == digit)]
    method = kind(info=DataInfo(1, 28, len(normal)))
    test, test_labels = read(folder, "t10k")
    with torch.inference_mode():
        method.calibrate(normal.split(1000))
        scores = torch.cat([method.score(batch)[method.primary].image for batch in test.split(1000)])
    return 100 * auroc(scores.numpy(), test_labels != digit)


@pytest.mark.parametrize("digit", range(10))
def test_ocsvm(digit: int, folder: Path) -> None:
    assert result(OCSVM, digit, folder) == pytest.approx(OCSVM_ROW[digit], abs=0.3)


@pytest.mark.parametrize(("digit", "expected"), [(2, 91.12), (8, 86.45)])
def test_kde(digit: int, expected: float, folder: Path) -> None:
    assert result(KDE, digit, folder) == pytest.approx(expected, abs=0.3)
