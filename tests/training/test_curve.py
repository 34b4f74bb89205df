"""The test AUROC while training: right, complete over cuts and processes, and without a trace in the training."""

from __future__ import annotations

import os
import random
import signal
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import pytest
import torch
from cells import plan, run
from torch import Tensor, nn

from novelty.data.datamodule import NoveltyData
from novelty.errors import NoveltyError, Stopped
from novelty.evaluation import metrics
from novelty.evaluation.stability import Curve, Stability
from novelty.info import DataInfo, Schedule
from novelty.methods.base import Method
from novelty.scores import Scores
from novelty.training import cell
from novelty.training import curve as curves
from novelty.training.callbacks import Calibrate, ResumePoint, StepSeed
from novelty.training.trainer import quiet as lightning_quiet

EPOCHS = Schedule(batch_size=4, epochs=4)  # of three steps
ITERATIONS = Schedule(batch_size=4, iterations=7, batches_per_step=2)  # an epoch is one of them


class Toy(Method):
    """All that a look could spoil: BatchNorm, noise, a list, and buffers and attributes that calibrating sets."""

    primary = "norm"

    def __init__(self, info: DataInfo, schedule: Schedule, manual: bool) -> None:
        super().__init__(info, schedule)
        self.automatic_optimization = not manual
        self.layers = nn.Sequential(nn.Linear(64, 8), nn.BatchNorm1d(8), nn.Dropout(0.2), nn.Linear(8, 64))
        self.register_buffer("scale", torch.ones(()))
        self.offset = 0.0
        self.calls: list[int] = []

    def calibrate(self, batches: Iterable[Tensor]) -> None:
        random.random()
        torch.rand(3)
        np.random.rand(3)  # noqa: NPY002
        found = torch.cat([self._errors(images) for images in batches])
        self.scale += found.std()
        self.offset = float(found.mean())
        self.calls.append(len(found))

    def score(self, images: Tensor) -> dict[str, Scores]:
        assert not self.training
        assert self.calls  # calibrated
        values = self.layers(images.flatten(1)).mean(1)  # which knows nothing of novelty: its AUROC wanders
        return {"norm": Scores((values - self.offset) / self.scale), "minus": Scores(-values)}

    def _errors(self, images: Tensor) -> Tensor:
        return (self.layers(images.flatten(1)) - images.flatten(1)).square().mean(1)

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor | None:
        clean = batch.flatten(1)
        jitter = self.drawn() + self.offset + len(self.calls)
        noisy = clean + 0.1 * torch.randn_like(clean)
        loss = self.scale * (1 + jitter) * (self.layers(noisy) - clean).square().mean()
        if self.automatic_optimization:
            return loss
        optimizer: Any = self.optimizers()
        self.learn(optimizer, loss)
        return None

    def drawn(self) -> float:
        return random.random() + np.random.rand()  # noqa: NPY002

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), 0.01)


class Seeded(Toy):
    """Draws only what the framework seeds at every step, as methods should: it can be cut."""

    def drawn(self) -> float:
        return float(torch.rand(()))


class Plain(Toy):
    """Alike in every process: no noise, no BatchNorm."""

    def __init__(self, info: DataInfo, schedule: Schedule, manual: bool) -> None:
        super().__init__(info, schedule, manual)
        self.layers = nn.Sequential(nn.Linear(64, 8), nn.ReLU(), nn.Linear(8, 64))

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        return self._errors(batch).mean()


class Training:
    """A training of a toy on 12 images of 8x8, tested on 16."""

    def __init__(
        self,
        schedule: Schedule,
        stability: Stability | None,
        manual: bool = False,
        kind: type[Toy] = Toy,
        resume: ResumePoint | None = None,
        extra: Iterable[L.Callback] = (),
        **options: Any,
    ) -> None:
        planned = plan("method=autoencoder", "protocol.validation=0")
        self.data = NoveltyData(planned.images, planned.split, seed=0, reference=4, score_batch=5)
        random.seed(1)
        np.random.seed(1)  # noqa: NPY002
        torch.manual_seed(1)
        self.method = kind(self.data.info, schedule, manual)
        self.data.schedule = schedule
        self.curve = curves.AurocCurve(stability, self.method) if stability else None
        callbacks = [StepSeed(3), *filter(None, [self.curve]), Calibrate(lambda method: None), *filter(None, [resume])]
        self.trainer = L.Trainer(
            **{"accelerator": "cpu", "devices": 1} | options,
            max_epochs=schedule.epochs or 1,
            logger=False,
            callbacks=[*callbacks, *extra],
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            use_distributed_sampler=False,
        )
        start = str(resume.path) if resume and resume.path.is_file() else None
        with lightning_quiet():
            self.trainer.fit(self.method, datamodule=self.data, ckpt_path=start, weights_only=True if start else None)

    def state(self) -> dict[str, Any]:
        """Everything that a training leaves behind."""
        optimizer = self.trainer.optimizers[0].state_dict()["state"] if self.trainer.optimizers else {}
        moments = {f"{i}/{name}": value for i, kept in optimizer.items() for name, value in kept.items()}
        draws = {"torch": torch.rand(2), "numpy": torch.tensor(np.random.rand()), "own": torch.tensor(random.random())}  # noqa: NPY002
        calls = torch.tensor(self.method.calls)
        return {**self.method.state_dict(), **moments, **draws, "calls": calls}

    @property
    def found(self) -> Curve:
        assert self.curve is not None
        return self.curve.curve


@pytest.mark.parametrize("manual", [False, True])
@pytest.mark.parametrize("schedule", [EPOCHS, ITERATIONS])
def test_training_is_the_same_bit_for_bit(schedule: Schedule, manual: bool) -> None:
    without = Training(schedule, None, manual).state()
    observed = Training(schedule, Stability(), manual)
    assert len(observed.found["step"]) > 2
    found = observed.state()
    assert found.keys() == without.keys()
    assert [name for name, value in without.items() if not torch.equal(value, found[name])] == []


def test_the_last_point_is_the_auroc_of_the_trained_method() -> None:
    training = Training(EPOCHS, Stability())
    assert training.found["epoch"] == [1, 2, 3, 4]
    assert training.found["step"] == [3, 6, 9, 12]
    batches = training.data.test_dataloader()
    with torch.no_grad():
        scores = [training.method.score(images)["norm"].image for images, _ in batches]
    novel = training.data.split.novel
    expected = metrics.auroc(torch.cat(scores)[: len(novel)].numpy(), novel)
    assert training.found["auroc"]["norm"][-1] == expected
    assert training.found["auroc"]["minus"][-1] == pytest.approx(1 - expected)
    assert len(set(training.found["auroc"]["norm"])) > 1  # it moves
    assert training.curve is not None
    assert training.curve.seconds > 0


def test_only_chosen_epochs_are_looked_at() -> None:
    assert Training(EPOCHS, Stability(last=1)).found["epoch"] == [4]
    assert Training(EPOCHS, Stability(last=1, every=3)).found["epoch"] == [1, 4]
    assert Training(ITERATIONS, Stability(last=2)).found["step"] == [6, 7]


class Kill(L.Callback):
    """SIGTERM during step ``at`` (counted from 1)."""

    def __init__(self, at: int) -> None:
        self.at = at

    def on_train_batch_start(self, trainer: L.Trainer, *_: Any) -> None:
        if trainer.train_dataloader.taken == self.at:
            os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.parametrize("schedule", [EPOCHS, ITERATIONS])
def test_a_cut_after_any_step_leaves_the_same_curve(schedule: Schedule, tmp_path: Path) -> None:
    stability = Stability(last=3)
    whole = Training(schedule, stability, kind=Seeded)
    steps = whole.data.train_dataloader().steps * (schedule.epochs or 1)
    for cut in range(1, steps):
        path = tmp_path / f"{cut}.ckpt"
        with pytest.raises(Stopped):
            Training(schedule, stability, kind=Seeded, resume=ResumePoint(path, 1e9), extra=[Kill(cut)])
        resumed = Training(schedule, stability, kind=Seeded, resume=ResumePoint(path, 1e9))
        assert resumed.found == whole.found


def test_a_training_that_passed_unobserved_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "resume.ckpt"
    with pytest.raises(Stopped):
        Training(EPOCHS, Stability(last=1), resume=ResumePoint(path, 1e9), extra=[Kill(7)])
    with pytest.raises(NoveltyError, match=r"after 2 epochs .* unobserved"):
        Training(EPOCHS, Stability(), resume=ResumePoint(path, 1e9))
    resumed = Training(EPOCHS, Stability(last=2), resume=ResumePoint(path, 1e9))  # what it wants is still ahead
    assert resumed.found["epoch"] == [3, 4]


def test_what_an_earlier_try_saw_beyond_the_asked_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "resume.ckpt"
    with pytest.raises(Stopped):
        Training(EPOCHS, Stability(), kind=Seeded, resume=ResumePoint(path, 1e9), extra=[Kill(10)])
    resumed = Training(EPOCHS, Stability(last=2), kind=Seeded, resume=ResumePoint(path, 1e9))
    assert resumed.found == {
        "epoch": [3, 4],
        "step": [9, 12],
        "auroc": {
            name: values[-2:] for name, values in Training(EPOCHS, Stability(), kind=Seeded).found["auroc"].items()
        },
    }


class Keep(L.Callback):
    """Each process's curve, into a file of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def on_train_end(self, trainer: L.Trainer, method: L.LightningModule) -> None:
        found = next(c for c in trainer.callbacks if isinstance(c, curves.AurocCurve))  # type: ignore[attr-defined]
        torch.save(found.curve, self.folder / f"{trainer.global_rank}.pt")


def test_two_processes_see_the_curve_of_one(tmp_path: Path) -> None:
    one = Training(EPOCHS, Stability(), kind=Plain).found
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*multi-threaded.*fork.*", DeprecationWarning)
        options: dict[str, Any] = {"devices": 2, "strategy": "ddp_fork"}
        Training(EPOCHS, Stability(), kind=Plain, extra=[Keep(tmp_path)], **options)
    two = [torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2)]
    assert two[0] == two[1]
    assert two[0]["step"] == one["step"]
    for name, values in one["auroc"].items():
        assert two[0]["auroc"][name] == pytest.approx(values, abs=1e-9)


def test_scores_that_are_not_finite_leave_a_gap_and_end_nothing() -> None:
    class Diverging(Plain):
        def score(self, images: Tensor) -> dict[str, Scores]:
            broken = torch.full((len(images),), torch.nan if self.global_step == 6 else 0.0)
            return {"norm": Scores(self._errors(images) + broken)}

    found = Training(EPOCHS, Stability(), kind=Diverging).found["auroc"]["norm"]
    assert [value is None for value in found] == [False, True, False, False]


def test_a_score_that_appears_late_has_gaps_before() -> None:
    class Phases(Plain):
        def score(self, images: Tensor) -> dict[str, Scores]:
            scores = {"norm": Scores(self._errors(images))}
            return scores if self.global_step < 7 else scores | {"late": scores["norm"]}

    found = Training(EPOCHS, Stability(), kind=Phases).found["auroc"]
    assert found["late"] == [None, None, *found["norm"][2:]]


def test_untouched_undoes_everything() -> None:
    module: Any = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    module[0].eval()
    module.register_buffer("late", None)
    module.memory = {"list": [1], "number": 2}
    module[0].weight.grad = torch.ones(2, 2)
    weights, gradient, memory = module[0].weight.clone(), module[0].weight.grad, module.memory
    state = torch.get_rng_state()
    with curves.untouched(module):
        module.train()
        module(torch.rand(4, 2)).sum().backward()
        module.late = torch.ones(3)
        module.memory["list"].append(5)
        module.memory["new"] = 3
        module.stray = True
        with torch.no_grad():
            module[0].weight += 1
        module[1] = nn.Identity()
    assert torch.equal(state, torch.get_rng_state())
    assert not module[0].training
    assert module[1].training
    assert torch.equal(module[1].running_mean, torch.zeros(2))
    assert torch.equal(module[0].weight, weights)
    assert module[0].weight.grad is gradient
    assert torch.equal(gradient, torch.ones(2, 2))
    assert module.late is None
    assert module.memory is memory
    assert memory == {"list": [1], "number": 2}
    assert not hasattr(module, "stray")


@pytest.mark.parametrize("method", ["autoencoder", "kde", "piad"])
def test_a_cell_records_curve_and_summary(method: str, runs: Path) -> None:
    observed = run(f"method={method}", "budget.scale=0.006", "evaluation=stability", "evaluation.stability.last=3")
    plain = run(f"method={method}", "budget.scale=0.006")
    primary = observed["primary"]
    found, steps = observed["curve"], observed["timings"]["steps"]
    assert found["step"][-1] == steps
    assert len(found["auroc"][primary]) == len(found["step"]) == min(3, steps)
    assert found["auroc"][primary][-1] == observed["metrics"][primary]["auroc"]
    assert observed["metrics"][primary]["epochs_last_3"] == len(found["step"])
    assert observed["metrics"][primary]["auroc_mean_last_3"] == pytest.approx(np.mean(found["auroc"][primary]))
    assert plain["metrics"][primary]["auroc"] == observed["metrics"][primary]["auroc"]


def test_a_curve_of_more_epochs_serves_an_evaluation_that_asks_for_fewer(
    runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    typed = ("method=autoencoder", "budget.scale=0.03", "evaluation=stability", "evaluation.stability.last=3")
    alone = run(*typed, f"paths.runs={runs}/alone")
    assert len(alone["curve"]["step"]) == 3
    more = run(*typed, "evaluation.stability.every=2")
    assert len(more["curve"]["step"]) > 3
    trained: list[bool] = []
    original = cell._train_and_score
    monkeypatch.setattr(cell, "_train_and_score", lambda *given: (trained.append(True), original(*given)))
    served = run(*typed)
    assert not trained
    assert served["curve"] == alone["curve"]
    assert served["metrics"] == alone["metrics"]
    assert served["keys"] == alone["keys"]
    for count, asked in enumerate(("every=3", "last=9", "every=4"), 1):  # the second sees all nine epochs
        run(*typed, f"evaluation.stability.{asked}")
        assert len(trained) == min(count, 2)


def test_a_cell_of_two_processes_has_a_curve(runs: Path) -> None:
    record = run("method=autoencoder", "evaluation=stability", "hardware=ddp_cpu", "budget.scale=0.006")
    assert record["curve"]["auroc"]["mse"][-1] == record["metrics"]["mse"]["auroc"]
