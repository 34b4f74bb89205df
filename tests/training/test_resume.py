"""A training cut anywhere and gone on with equals one that was never cut, bit for bit."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from cells import options, plan, quiet, run
from torch import Tensor

from novelty.check import target
from novelty.data.datamodule import TrainingBatches
from novelty.errors import NoveltyError, Stopped
from novelty.info import DataInfo, Schedule
from novelty.methods.base import Fitted, Method
from novelty.scores import Scores
from novelty.training import cell as cells
from novelty.training.callbacks import ResumePoint, StepSeed
from novelty.training.cell import run_cell
from novelty.training.trainer import quiet as lightning_quiet


class Toy(Method):
    """Noise, Adam, a learning rate schedule by epochs and a hook at their end: what resuming can get wrong."""

    primary = "norm"

    def __init__(self, info: DataInfo, schedule: Schedule, manual: bool) -> None:
        super().__init__(info, schedule)
        self.layer = torch.nn.Linear(4, 4)
        self.automatic_optimization = not manual
        self.register_buffer("epochs_seen", torch.zeros(()))

    def score(self, images: Tensor) -> dict[str, Scores]:
        return {"norm": Scores(self.layer(images.flatten(1)).norm(dim=1))}

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor | None:
        clean = batch.flatten(1)
        loss = (self.layer(clean + torch.randn_like(clean)) - clean).square().mean()
        if self.automatic_optimization:
            return loss
        optimizer: Any = self.optimizers()
        optimizer.zero_grad()
        self.manual_backward(loss)
        optimizer.step()
        return None

    def on_train_epoch_end(self) -> None:
        self.epochs_seen += 1

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.Adam(self.parameters(), 0.01)
        if not self.automatic_optimization:
            return optimizer
        return {"optimizer": optimizer, "lr_scheduler": torch.optim.lr_scheduler.StepLR(optimizer, 2, 0.5)}


class Kill(L.Callback):
    """SIGTERM during step ``at`` (counted from 1)."""

    def __init__(self, at: int) -> None:
        self.at = at

    def on_train_batch_start(self, trainer: L.Trainer, *_: Any) -> None:
        if trainer.train_dataloader.taken == self.at:
            os.kill(os.getpid(), signal.SIGTERM)


def _train(schedule: Schedule, manual: bool, folder: Path, cuts: list[int]) -> tuple[Tensor, float, int]:
    pixels = torch.arange(40, dtype=torch.uint8).view(10, 1, 2, 2)
    resume = folder / "resume.ckpt"
    resume.unlink(missing_ok=True)
    for cut in [*cuts, None]:
        torch.manual_seed(1)
        method = Toy(DataInfo(1, 2, 10), schedule, manual)
        batches = TrainingBatches(pixels, schedule, seed=3)
        callbacks: list[L.Callback] = [StepSeed(3), ResumePoint(resume, every=1e9)]
        trainer = L.Trainer(
            accelerator="cpu",
            max_epochs=schedule.epochs or 1,
            logger=False,
            callbacks=[*callbacks, *([Kill(cut)] if cut else [])],
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        start = str(resume) if resume.is_file() else None
        with lightning_quiet():
            try:
                trainer.fit(method, batches, ckpt_path=start, weights_only=True if start else None)
            except Stopped:
                assert cut is not None
    weights = torch.cat([p.detach().flatten() for p in method.parameters()])
    return weights, float(method.epochs_seen), batches.taken


SCHEDULES = {
    "several batches an epoch": Schedule(batch_size=4, epochs=3),
    "one batch an epoch": Schedule(batch_size=16, epochs=4),
    "iterations of two batches": Schedule(batch_size=4, iterations=6, batches_per_step=2),
}


@pytest.mark.parametrize("manual", [False, True])
@pytest.mark.parametrize("name", SCHEDULES)
def test_a_cut_after_any_step_changes_nothing(name: str, manual: bool, tmp_path: Path) -> None:
    schedule = SCHEDULES[name]
    weights, epochs, steps = _train(schedule, manual, tmp_path, [])
    for first in range(1, steps):
        cut = _train(schedule, manual, tmp_path, [first, min(first + 1, steps - 1)])
        assert torch.equal(weights, cut[0])
        assert (epochs, steps) == cut[1:]


@pytest.mark.parametrize("name", options("method"))
def test_every_method_resumes_to_the_same_scores(name: str, runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    longer = [f"method={name}", "budget.scale=0.006"]
    whole = run(*longer, f"paths.runs={runs}/whole")
    cut = plan(*longer, f"paths.runs={runs}/cut")
    steps = whole["timings"]["steps"]
    fitted = issubclass(target(cut.config["method"], "method"), Fitted)
    assert steps > 1 or fitted
    stop_at = max(1, steps // 2)
    original = StepSeed.on_train_batch_start

    def kill(self: StepSeed, trainer: L.Trainer, *rest: Any) -> None:
        original(self, trainer, *rest)
        if trainer.train_dataloader.taken == stop_at:
            os.kill(os.getpid(), signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr(StepSeed, "on_train_batch_start", kill)
        with pytest.raises(Stopped) as stop:
            run_cell(cut, "test", quiet())
    assert stop.value.exit_code == 143
    assert cut.record.state() == "cut"
    assert cut.record.resume.is_file() or fitted
    assert run_cell(cut, "test", quiet())["metrics"] == whole["metrics"]


def test_a_failure_is_recorded_and_tried_again(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    planned = plan("method=kde")

    def fail(*_: Any) -> None:
        raise NoveltyError("The disk is on fire.")

    with monkeypatch.context() as patch:
        patch.setattr(cells, "train", fail)
        with pytest.raises(NoveltyError, match="on fire"):
            run_cell(planned, "test", quiet())
    assert planned.record.state() == "failed"
    run_cell(planned, "test", quiet())
    assert planned.record.state() == "done"
