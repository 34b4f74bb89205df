"""OC-SVM and KDE on the real MNIST: the rows measured for the fact sheet "baselines_deterministic", section 1."""

from __future__ import annotations

import os

import pytest
from cells import quiet

from novelty.config import compose_cell, open_overrides
from novelty.training.cell import run_cell
from novelty.training.plan import make_plan

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif("NOVELTY_DATA" not in os.environ, reason="NOVELTY_DATA says where MNIST lies"),
]
OCSVM = (99.12, 99.87, 90.01, 95.18, 95.48, 97.12, 98.15, 96.54, 83.65, 95.92)
"""Not a printed row: whitened PCA 95 %, nu 0.1, gamma 1/d."""


def _percent(method: str, digit: int) -> float:
    typed = [f"method={method}", "data=mnist", f"protocol.normal={digit}", "hardware=cpu", "logger=none"]
    record = run_cell(make_plan(*compose_cell(open_overrides(typed))), "", quiet())
    return 100 * float(record["metrics"][record["primary"]]["auroc"])


@pytest.mark.parametrize("digit", range(10))
def test_ocsvm(digit: int, runs: object) -> None:
    assert _percent("ocsvm", digit) == pytest.approx(OCSVM[digit], abs=0.3)


@pytest.mark.parametrize(("digit", "expected"), [(2, 91.12), (8, 86.45)])
def test_kde(digit: int, expected: float, runs: object) -> None:
    assert _percent("kde", digit) == pytest.approx(expected, abs=0.3)
