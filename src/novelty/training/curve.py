"""The test AUROC while a training goes on, without a trace of it in the training."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import lightning as L
import numpy as np
import torch
from torch import Tensor, nn

from novelty.data.datamodule import IndexedBatches, NoveltyData, TrainingBatches
from novelty.errors import NoveltyError
from novelty.evaluation import metrics
from novelty.evaluation.stability import Curve, Stability
from novelty.methods.base import Method
from novelty.training.callbacks import calibrate, steps_taken


class AurocCurve(L.Callback):
    """Scores the test images after the steps that `Stability.moments` names, and keeps the AUROC of every named score.

    The training is bit for bit what it is without (see `untouched`), so a curve may be had for a training that was done
    before by training again. Must stand before `ResumePoint` among the callbacks, whose files then hold what was
    looked at up to their step.

    scored:  the method that scores: the one that is trained, or one that wraps it (see `Method.learner`).
    curve:   as far as it goes; the same on every process.
    seconds: what the looks took so far, those before a cut included.
    """

    def __init__(self, stability: Stability, scored: Method) -> None:
        self.stability, self.scored = stability, scored
        self.curve: Curve = {"epoch": [], "step": [], "auroc": {}}
        self.seconds = 0.0
        self._moments: tuple[int, ...] = ()
        self._epoch = 1

    def on_train_start(self, trainer: L.Trainer, method: L.LightningModule) -> None:
        batches = trainer.train_dataloader
        assert isinstance(batches, TrainingBatches)
        self._epoch = max(1, batches.batches_per_pass // batches.schedule.batches_per_step)
        self._moments = self.stability.moments(batches.steps * (batches.schedule.epochs or 1), self._epoch)
        passed = [moment for moment in self._moments if moment <= steps_taken(trainer)]
        self._keep(passed)
        if missing := len(passed) - len(self.curve["step"]):
            raise NoveltyError(
                f"The test AUROC after {missing} epochs is wanted that this training has passed unobserved: finish it "
                "with the evaluation that it was begun with, or remove its resume.ckpt to begin again."
            )

    def on_train_batch_end(self, trainer: L.Trainer, method: L.LightningModule, *_: Any) -> None:
        step = steps_taken(trainer)
        if step not in self._moments:
            return
        start = time.monotonic()
        assert isinstance(method, Method)
        data = getattr(trainer, "datamodule", None)
        assert isinstance(data, NoveltyData)
        if self.scored is not method:
            self.scored.to(method.device)
        with untouched(self.scored):
            self.scored.eval()
            calibrate(trainer, method)
            if self.scored is not method:
                calibrate(trainer, self.scored)
            scores = _test_scores(trainer, data, self.scored)
        self._add(step, {name: _auroc(values, data.split.novel) for name, values in scores.items()})
        self.seconds += time.monotonic() - start

    def _add(self, step: int, found: dict[str, float | None]) -> None:
        curve = self.curve
        for name in {**curve["auroc"], **found}:  # a phase of the training may have scores that another has not
            curve["auroc"].setdefault(name, [None] * len(curve["step"])).append(found.get(name))
        curve["step"].append(step)
        curve["epoch"].append(round(step / self._epoch, 3))

    def _keep(self, steps: list[int]) -> None:
        """Only what was seen after ``steps``: an earlier try may have been asked for other moments."""
        places = [place for place, step in enumerate(self.curve["step"]) if step in steps]
        self.curve = {
            "epoch": [self.curve["epoch"][place] for place in places],
            "step": [self.curve["step"][place] for place in places],
            "auroc": {name: [values[place] for place in places] for name, values in self.curve["auroc"].items()},
        }

    def state_dict(self) -> dict[str, Any]:
        return {"curve": self.curve, "seconds": self.seconds}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.curve, self.seconds = state["curve"], state["seconds"]


def _auroc(scores: np.ndarray, novel: np.ndarray) -> float | None:
    """None where a score is not finite: a training that recovers is not ended by looking at it."""
    return metrics.auroc(scores, novel) if np.isfinite(scores).all() else None


def _test_scores(trainer: L.Trainer, data: NoveltyData, method: Method) -> dict[str, np.ndarray]:
    """Image scores (n,) of all test images by name, on every process; each scores its share."""
    loader = data.test_dataloader()
    index = loader.index[: len(data.split.test)]
    place = (trainer.global_rank, trainer.world_size)
    batches = IndexedBatches(loader.pixels, loader.batch, *place, loader.channels_last, index)
    found: dict[str, list[Tensor]] = {}
    # Not in inference mode: what a method remembers while it scores, it may meet again in training.
    with torch.no_grad():
        for number, (images, positions) in enumerate(batches):
            for name, scores in method.test_step((images.to(method.device), positions), number).items():
                found.setdefault(name, []).append(scores.image.float().cpu())
    mine = (batches.positions, {name: torch.cat(parts) for name, parts in found.items()})
    everyone = [mine]
    if trainer.world_size > 1:
        everyone = [mine] * trainer.world_size
        torch.distributed.all_gather_object(everyone, mine)
    order = torch.cat([positions for positions, _ in everyone]).argsort()
    return {name: torch.cat([image[name] for _, image in everyone])[order].numpy() for name in mine[1]}


@contextmanager
def untouched(method: nn.Module) -> Iterator[None]:
    """Undoes whatever the inside does to ``method``, its submodules and the random states.

    Modes, attributes, their dictionaries and lists are as they were, and so are the values of parameters and buffers.
    Gradients are put aside meanwhile. (A tensor that is no buffer and is changed in place would stay changed.)
    """
    containers = _containers(method)
    tensors = [(tensor, tensor.detach().clone()) for tensor in (*method.parameters(), *method.buffers())]
    gradients = [(parameter, parameter.grad) for parameter in method.parameters()]
    for parameter, _ in gradients:
        parameter.grad = None
    devices = {tensor.device for tensor, _ in tensors if tensor.device.type == "cuda"}
    states = random.getstate(), np.random.get_state()  # noqa: NPY002  (libraries below us may draw from it)
    try:
        with torch.random.fork_rng(devices=list(devices)):
            yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])  # noqa: NPY002
        for container, content in containers:
            container.clear()
            container.update(content) if isinstance(container, dict) else container.extend(content)
        with torch.no_grad():
            for tensor, value in tensors:
                if not torch.equal(tensor, value):
                    tensor.copy_(value)
        for parameter, gradient in gradients:
            parameter.grad = gradient


def _containers(method: nn.Module) -> list[tuple[Any, Any]]:
    """The attributes of all modules, dictionaries and lists among them at any depth, each with its content now."""
    found: dict[int, tuple[Any, Any]] = {}
    waiting: list[Any] = [module.__dict__ for module in method.modules()]
    while waiting:
        container = waiting.pop()
        if id(container) not in found:
            is_dict = isinstance(container, dict)
            found[id(container)] = (container, dict(container) if is_dict else list(container))
            inside = container.values() if is_dict else container
            waiting += [value for value in inside if isinstance(value, (dict, list))]
    return list(found.values())
