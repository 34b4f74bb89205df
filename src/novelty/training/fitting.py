"""The training of a cell: from its first step, or from where an earlier try was cut, to weights on disk."""

from __future__ import annotations

from pathlib import Path

import torch
from lightning.pytorch.loggers import Logger
from omegaconf import OmegaConf
from rich.console import Console

from novelty.check import build
from novelty.data.datamodule import NoveltyData
from novelty.evaluation.stability import Stability
from novelty.methods.base import Method
from novelty.results.environment import environment
from novelty.results.records import write, write_json
from novelty.training.callbacks import Calibrate, ResumePoint, StepSeed, steps_taken
from novelty.training.curve import AurocCurve
from novelty.training.guards import FiniteTraining, going_on
from novelty.training.plan import Plan
from novelty.training.processes import first_process
from novelty.training.progress import ProgressBar
from novelty.training.trainer import build_method, make_trainer, quiet


def train(plan: Plan, data: NoveltyData, console: Console, label: str, loggers: list[Logger]) -> None:
    """Write model.ckpt of a cell, and its curve where the evaluation asks for one; in each of its processes."""
    record, config = plan.record, plan.config
    scored = build_method(plan, data)
    method = scored.learner
    if record.weights.is_file() and record.resume.is_file() and not _observed(record.resume):
        record.resume.unlink(missing_ok=True)  # trained already, but unobserved: once more, to the same weights
    if first_process():
        write(record.folder / "config.yaml", lambda path: OmegaConf.save(OmegaConf.create(config), path))
    resume = ResumePoint(record.resume, config["hardware"]["checkpoint_every"], keep=config["keep"] == "all")

    stability: Stability | None = build(config["evaluation"]).stability
    curve = [AurocCurve(stability, scored)] if stability else []

    def save(trained: Method) -> None:
        for observed in curve:
            write_json(record.curve, dict(observed.curve))
        content = {
            "state_dict": trained.state_dict(),
            "key": record.training,
            "train_seconds": resume.elapsed(),
            "steps": steps_taken(trainer),
            "environment": environment(config["hardware"]["accelerator"]),
        }
        write(record.weights, lambda path: torch.save(content, path))

    if config["hardware"]["compile"] and not method.compilable:
        console.print(
            f"hardware.compile: nothing of method={plan.choices['method']} may be compiled; it runs as it is."
        )
    guard = FiniteTraining(record.resume, record.training)
    callbacks = [guard, StepSeed(config["seed"]), ProgressBar(console, label), *curve, Calibrate(save), resume]
    trainer = make_trainer(plan, callbacks, method.schedule.epochs or 1, loggers)
    start = str(record.resume) if record.resume.is_file() else None
    with quiet(), going_on(start, guard):
        trainer.fit(method, datamodule=data, ckpt_path=start, weights_only=True if start else None)


def _observed(resume: Path) -> bool:
    """Whether the training that ``resume`` would go on with keeps a curve."""
    callbacks = torch.load(resume, map_location="cpu", weights_only=True, mmap=True)["callbacks"]
    return any(name.startswith(AurocCurve.__qualname__) for name in callbacks)
