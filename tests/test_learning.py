"""Real small data must reach a stated AUROC: floors far below what is measured, above what a fault leaves."""

from __future__ import annotations

import os

import pytest
from cells import quiet

from novelty.config import compose_cell, open_overrides
from novelty.training.cell import run_cell
from novelty.training.plan import make_plan

pytestmark = pytest.mark.slow

EMBEDDED = {
    "method=autoencoder": 0.95,  # what `make run` runs
    "method=autoencoder method.loss=ssim": 0.95,
    "method=kde": 0.95,
    "method=ocsvm": 0.95,
    "method=piad budget.scale=0.3": 0.9,  # 300 iterations on pixels
}
MNIST = {
    "method=autoencoder protocol.normal=1 budget.scale=0.02": 0.97,  # two epochs
    "method=ocsvm protocol.normal=1": 0.99,
    "method=piad method.reconstruction=mse protocol.normal=1 budget.scale=0.01": 0.9,  # 500 iterations
}


def _auroc(typed: str) -> float:
    record = run_cell(
        make_plan(*compose_cell(open_overrides([*typed.split(), "hardware=cpu", "logger=none"]))), "", quiet()
    )
    return float(record["metrics"][record["primary"]]["auroc"])


@pytest.mark.parametrize("typed", EMBEDDED)
def test_the_embedded_digits_are_learnt(typed: str, runs: object) -> None:
    assert _auroc(f"data=digits {typed}") >= EMBEDDED[typed]


@pytest.mark.skipif("NOVELTY_DATA" not in os.environ, reason="NOVELTY_DATA says where MNIST lies")
@pytest.mark.parametrize("typed", MNIST)
def test_mnist_is_learnt(typed: str, runs: object) -> None:
    assert _auroc(f"data=mnist {typed}") >= MNIST[typed]
