"""A loss that is no number any more: when and where it was seen, and the last good state kept."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from cells import plan, quiet
from torch import Tensor

from novelty.errors import NoveltyError
from novelty.methods.autoencoder import Autoencoder
from novelty.training import guards
from novelty.training.cell import run_cell

LONG = ("budget.max_train=40", "method.batch_size=4", "method.epochs=10", "keep=all")


def _spoil(monkeypatch: pytest.MonkeyPatch, at: int, value: float, then_good: bool = False) -> list[int]:
    """The loss of step ``at`` (from 1 on), and of all that follow, is ``value``."""
    steps: list[int] = []
    original = Autoencoder.loss

    def loss(self: Autoencoder, images: Tensor) -> Tensor:
        steps.append(1)
        found = original(self, images)
        bad = len(steps) == at if then_good else len(steps) >= at
        return found * value if bad else found

    monkeypatch.setattr(Autoencoder, "loss", loss)
    return steps


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_it_stops_at_the_next_look_and_says_when_and_where(
    value: float, runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guards.FiniteTraining.__init__, "__defaults__", (10,))
    steps = _spoil(monkeypatch, 34, value)
    planned = plan(*LONG, "hardware.checkpoint_every=1000")
    with pytest.raises(
        NoveltyError, match=r"Autoencoder diverged: (loss/reconstruction|the loss) is \S+ after step 40, in epoch 4"
    ):
        run_cell(planned, "test", quiet())
    assert len(steps) == 40
    assert planned.record.state() == "failed"


def test_the_last_good_state_is_kept_and_gone_on_from(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    planned = plan(*LONG, "hardware.checkpoint_every=0")
    with monkeypatch.context() as patch:
        steps = _spoil(patch, 34, math.nan)
        with pytest.raises(
            NoveltyError, match=r"after step 34, in epoch 4; .* step 33, the state of step 33 is kept in .*resume\.ckpt"
        ):
            run_cell(planned, "test", quiet())
    state = torch.load(planned.record.resume, weights_only=True)
    assert state["step"] == 33
    assert all(torch.isfinite(v).all() for v in state["state_dict"].values())
    with monkeypatch.context() as patch:
        steps = _spoil(patch, 10**9, math.nan)
        assert run_cell(planned, "test", quiet())["metrics"]
    assert len(steps) == 100 - 33


def test_it_is_seen_after_the_last_step_too(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _spoil(monkeypatch, 99, math.nan)
    planned = plan(*LONG, "hardware.checkpoint_every=1000")
    with pytest.raises(NoveltyError, match=r"after step 100, in epoch 10; .*, no state was saved"):
        run_cell(planned, "test", quiet())
    assert not planned.record.weights.exists()


def test_looks_are_rare(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[Any] = []
    original = guards._not_finite
    monkeypatch.setattr(guards, "_not_finite", lambda *rest: looks.append(1) or original(*rest))
    run_cell(plan(*LONG, "keep=weights", "hardware.checkpoint_every=1000"), "test", quiet())
    assert len(looks) == 100 // guards.EVERY_STEPS + 1


def test_float16_may_overflow_once_but_not_for_good(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    method = Autoencoder.__new__(Autoencoder)
    monkeypatch.setattr(Autoencoder, "scaler", object())
    monkeypatch.setattr(guards, "steps_taken", lambda _: 50)
    monkeypatch.setattr(guards, "_epoch", lambda *_: 1)
    guard = guards.FiniteTraining(tmp_path / "resume.ckpt", "key")
    found: list[Any] = [("loss/x", math.inf), None, ("loss/x", math.inf), ("loss/x", math.inf)]
    monkeypatch.setattr(guards, "_not_finite", lambda *_: found.pop(0))
    for _ in range(3):
        guard._look(None, method)  # type: ignore[arg-type]
    with pytest.raises(NoveltyError, match="loss/x is inf"):
        guard._look(None, method)  # type: ignore[arg-type]


@pytest.mark.parametrize("jump", [-10 * 365 * 86400.0, 10 * 365 * 86400.0])
def test_a_clock_that_jumps_changes_nothing(jump: float, runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = run_cell(plan(*LONG, f"paths.runs={runs}/a"), "test", quiet())
    real, calls = time.time, []

    def jumping() -> float:
        calls.append(1)
        return real() + (jump if len(calls) % 2 else 0.0)

    monkeypatch.setattr(time, "time", jumping)
    found = run_cell(plan(*LONG, "hardware.checkpoint_every=0", f"paths.runs={runs}/b"), "test", quiet())
    assert found["metrics"] == expected["metrics"]
    assert 0 <= found["timings"]["train_seconds"] < 600
    assert 0 <= found["timings"]["score_seconds"] < 600
