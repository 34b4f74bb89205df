"""What keeps a training honest: it stops when it has diverged, and goes on only from a state that is its own."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning as L
import torch
from torch import Tensor

from novelty.data.datamodule import TrainingBatches
from novelty.errors import CACHE, DATA, RUNS, NoveltyError, refusal
from novelty.methods.base import Method
from novelty.training.callbacks import steps_taken
from novelty.training.plan import Plan

EVERY_STEPS = 50
"""Steps between two looks at the losses: a look waits for the device, which costs a few steps' head start."""


class FiniteTraining(L.Callback):
    """NoveltyError where a loss, a loss weight or a weight of a network is no number any more: when, and where.

    It looks every ``every`` steps, before each state is saved (so that resume.ckpt is always good) and after the last
    step, and waits for the device only then. Must be the first of the callbacks. Float16 training may have a loss that
    overflows now and then, whose step its scaler leaves out: there two looks one after another must find it.

    resume: the file of the saved state.  key: of the training, noted in each state, so that another's is refused.
    begun:  whether the training is under way: what fails before, fails at the state that it should go on from.
    """

    def __init__(self, resume: Path, key: str, every: int = EVERY_STEPS) -> None:
        self.resume, self.key, self.every = resume, key, every
        self.begun = False
        self._good = self._saved = 0
        self._doubtful = False
        self._returned: Tensor | None = None

    def on_train_start(self, trainer: L.Trainer, method: L.LightningModule) -> None:
        self.begun = True
        self._good = steps_taken(trainer)

    def on_train_batch_end(
        self, trainer: L.Trainer, method: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        loss = outputs.get("loss") if isinstance(outputs, dict) else outputs
        self._returned = loss.detach() if isinstance(loss, Tensor) else None
        if steps_taken(trainer) % self.every == 0:
            self._look(trainer, method)

    def on_save_checkpoint(self, trainer: L.Trainer, method: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        self._look(trainer, method)
        self._saved = steps_taken(trainer)
        checkpoint["key"], checkpoint["step"] = self.key, self._saved

    def on_load_checkpoint(self, trainer: L.Trainer, method: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        refuse_foreign(self.resume, checkpoint.get("key", self.key), self.key)
        self._saved = checkpoint.get("step", 0)

    def on_train_end(self, trainer: L.Trainer, method: L.LightningModule) -> None:
        self._look(trainer, method, last=True)

    def _look(self, trainer: L.Trainer, method: L.LightningModule, last: bool = False) -> None:
        step = steps_taken(trainer)
        if found := _not_finite(trainer, method, self._returned):
            name, value = found
            scaled = isinstance(method, Method) and method.scaler is not None and name != _WEIGHTS
            if not scaled or self._doubtful or last:
                raise NoveltyError(self._sentence(trainer, method, name, value, step))
            self._doubtful = True
            return
        self._doubtful, self._good = False, step

    def _sentence(self, trainer: L.Trainer, method: L.LightningModule, name: str, value: float, step: int) -> str:
        kept = f"the state of step {self._saved:,} is kept in {self.resume}" if self._saved else "no state was saved"
        return (
            f"{type(method).__name__} diverged: {name} is {value:g} after step {step:,}, in epoch "
            f"{_epoch(trainer, step)}; all was well after step {self._good:,}, {kept}: try another seed, a lower "
            "learning rate or hardware.precision=32-true, since the same command comes to the same."
        )


def _epoch(trainer: L.Trainer, step: int) -> int:
    """The epoch, counted from 1, that a step was in."""
    batches = trainer.train_dataloader
    assert isinstance(batches, TrainingBatches)
    return max(0, step - 1) // batches.steps + 1


_WEIGHTS = "the size of the networks' weights"


def _not_finite(trainer: L.Trainer, method: L.LightningModule, returned: Tensor | None) -> tuple[str, float] | None:
    """Name and value of the first thing that is no finite number, after one wait for the device; None where all is."""
    logged = {n: v for n, v in trainer.callback_metrics.items() if n.startswith(("loss", "weight")) and v.numel() == 1}
    if returned is not None and returned.numel() == 1:
        logged["the loss"] = returned
    weights = [p.detach() for p in method.parameters() if p.requires_grad and p.is_floating_point()]
    if weights:
        logged[_WEIGHTS] = torch.nn.utils.get_total_norm(weights)
    if not logged:
        return None
    values = torch.stack([v.detach().float().reshape(()).to(method.device) for v in logged.values()]).tolist()
    return next(((n, v) for n, v in zip(logged, values, strict=True) if not math.isfinite(v)), None)


@contextmanager
def going_on(start: str | None, guard: FiniteTraining) -> Iterator[None]:
    """Around a fit that begins at the state ``start``: what fails before its first step is laid to that file."""
    try:
        yield
    except Exception as error:
        if start is None or guard.begun or isinstance(error, NoveltyError) or refusal(error) is not None:
            raise
        raise _unusable(Path(start), error) from error


def load_weights(method: Method, path: Path, key: str) -> dict[str, Any]:
    """Put the weights of model.ckpt into the trained part of ``method``; everything else that the file holds.

    Raises NoveltyError where it is damaged, another training's, or does not fit. Nothing in it is run.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        refuse_foreign(path, content["key"], key)
        method.learner.load_state_dict(content["state_dict"])
        return {name: content[name] for name in ("train_seconds", "steps", "environment")}
    except Exception as error:  # torch has a dozen ways to say that a file is broken, OSError among them
        if isinstance(error, NoveltyError) or refusal(error) is not None:
            raise
        raise _unusable(path, error) from error


def refuse_foreign(path: Path, found: Any, key: str) -> None:
    """NoveltyError where a checkpoint says that it belongs to another training than ``key``."""
    if found != key:
        raise NoveltyError(
            f"{path} belongs to another training ({found}, not {key}), of another method, version or setting: "
            "remove it, and the same command trains anew."
        )


def _unusable(path: Path, error: Exception) -> NoveltyError:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    said = " ".join(lines[:2]).split(" Please file an issue")[0].rstrip(".")[:200]  # load_state_dict begins empty
    return NoveltyError(
        f"{path} cannot be used ({type(error).__name__}: {said}): it is damaged, or not of this method; nothing in it "
        "was run. Remove it, and the same command trains anew."
    )


@contextmanager
def refusals(plan: Plan) -> Iterator[None]:
    """What disk, rights or memory refuse a cell, as a sentence that names the setting to change."""
    try:
        yield
    except Exception as error:
        paths = plan.config["paths"]
        folders = {s: Path(paths[n]).expanduser() for s, n in ((RUNS, "runs"), (CACHE, "cache"), (DATA, "data"))}
        sentence = refusal(error, folders, _less_memory(plan))
        if sentence is None:
            raise
        raise sentence from error


def _less_memory(plan: Plan) -> str:
    """What to lower, with what it is now."""
    hardware, batch = plan.config["hardware"], plan.config["method"].get("batch_size")
    scoring = f"hardware.score_batch={hardware['score_batch']} (which changes no number)"
    if plan.record.weights.is_file():
        return f"while scoring, lower {scoring}"
    training = f"lower method.batch_size={batch}" if batch else f"lower {scoring}"
    half = ", or take hardware.precision=bf16-mixed" if hardware["precision"] == "32-true" else ""
    after = f"; where the training was through, {scoring}" if batch else ""
    return f"while training, {training} or data.image_size{half}{after}"
