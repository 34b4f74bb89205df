"""PIAD on less work and on more processes: remembered responses, shared batches; the numbers stay."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from small_piad import SIDE, Batches, StepSeed, fit, piad
from torch import Tensor

from novelty.methods.piad.losses import REMEMBERED_BYTES, Remembered

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*LeafSpec:FutureWarning",  # Lightning's own, with torch 2.14
    "ignore:.*isinstance.treespec:FutureWarning",
    "ignore:.*does not have many workers:UserWarning",
)


def test_responses_to_known_images_are_not_computed_again() -> None:
    images = torch.rand(12, 1, SIDE, SIDE)
    calls = []

    def compute(positions: Tensor) -> Tensor:
        calls.append(positions.tolist())
        return images[positions] * 2

    remembered = Remembered(12)
    for positions in (torch.tensor([0, 1, 2]), torch.tensor([2, 3]), torch.tensor([3, 0, 1]), torch.tensor([4])):
        found = remembered(positions, lambda: compute(positions))  # noqa: B023
        assert torch.equal(found, images[positions] * 2)
    assert calls == [[0, 1, 2], [2, 3], [4]]
    too_many = Remembered(REMEMBERED_BYTES // images[0].nbytes + 1)
    for _ in range(2):
        too_many(torch.tensor([0]), lambda: compute(torch.tensor([0])))
    assert calls[3:] == [[0], [0]]


def test_remembered_responses_train_to_the_same_bits() -> None:
    class Known(Batches):
        """Every step shows the same images."""

        positions = torch.arange(12)

        def __init__(self) -> None:
            super().__init__(4)
            self.batches = self.batches[:1].expand(4, -1, -1, -1, -1)

    class Tell(StepSeed):
        def on_train_batch_start(self, trainer: L.Trainer, method: Any, batch: Tensor, batch_idx: int) -> None:
            super().on_train_batch_start(trainer, method, batch, batch_idx)
            method.positions = trainer.train_dataloader.positions

    anew, kept = StepSeed(), Tell()
    fit(piad(), Known(), callback=anew)
    method = fit(piad(), Known(), callback=kept)
    assert method._remembered._known.sum() == 4  # the mini-batch of generator and encoder
    assert kept.logged == anew.logged


def test_two_processes_compute_what_one_does_on_the_joined_batch(tmp_path: Path) -> None:
    """Losses and weights, to rounding: noise of the joined batch, its deviation, its gradient norms."""

    class Half(Batches):
        def __init__(self, rank: int) -> None:
            super().__init__(4)
            parts = self.batches.unflatten(1, (3, 2, 2))[:, :, rank]
            self.batches = parts.flatten(1, 2)

    class Keep(StepSeed):
        def on_train_start(self, trainer: L.Trainer, method: Any) -> None:
            trainer.train_dataloader.batches = Half(trainer.global_rank).batches

        def on_train_end(self, trainer: L.Trainer, method: Any) -> None:
            torch.save((self.logged, method.state_dict()), tmp_path / f"{trainer.global_rank}.pt")

    joined = StepSeed()
    one = fit(piad(), Batches(4), callback=joined)
    fit(piad(), Batches(4), callback=Keep(), devices=2, strategy="ddp_fork", use_distributed_sampler=False)
    for rank in (0, 1):
        logged, state = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        for step, expected in zip(logged, joined.logged, strict=True):
            assert step == pytest.approx(expected, rel=1e-5, abs=1e-5)
        for name, value in one.state_dict().items():
            if isinstance(value, Tensor):
                torch.testing.assert_close(state[name], value, rtol=1e-4, atol=1e-5, msg=name)
