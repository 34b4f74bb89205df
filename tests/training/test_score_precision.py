"""Scoring in bfloat16: other scores under another key, of the same training; float32 stays what it was."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from cells import plan, run

from novelty.errors import NoveltyError
from novelty.report.match import Conditions
from novelty.results.records import read_all, read_arrays

TYPED = ("method=autoencoder", "budget.scale=0.1")
HALF = "hardware.score_precision=bf16-mixed"


def test_scores_in_bfloat16_are_others_of_the_same_training_and_near(runs: Path) -> None:
    whole, half = plan(*TYPED).record, plan(*TYPED, HALF).record
    assert half.training == whole.training
    assert half.scoring != whole.scoring
    assert plan(*TYPED, "hardware.score_precision=32-true").record == whole
    for overrides in (TYPED, (*TYPED, HALF)):
        run(*overrides)
    exact, rounded = (read_arrays(record.scores)["score/mse"] for record in (whole, half))
    assert not np.array_equal(exact, rounded)
    assert rounded == pytest.approx(exact, rel=0.05)
    conditions = {Conditions.of(record) for record in read_all(runs)}  # never pooled
    assert {c.precision for c in conditions} == {"32-true", "32-true, scored in bf16-mixed"}
    assert sorted("scored in bf16-mixed" in c.describe() for c in conditions) == [False, True]


def test_another_precision_is_refused() -> None:
    with pytest.raises(NoveltyError, match=r"hardware.score_precision=16-mixed is no choice.* 32-true, bf16-mixed"):
        plan(*TYPED, "hardware.score_precision=16-mixed")
