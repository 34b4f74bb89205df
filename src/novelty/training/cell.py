"""One cell from end to end: fit, calibrate, score, evaluate, record; whatever is there already is not done again."""

from __future__ import annotations

import json
import os
import sys
import traceback
from typing import Any

import torch
from lightning.pytorch.loggers import Logger
from omegaconf import OmegaConf
from rich.console import Console

from novelty.check import Node, build
from novelty.data.datamodule import NoveltyData
from novelty.errors import NoveltyError
from novelty.evaluation.stability import Stability
from novelty.hardware import processes
from novelty.methods.base import Method
from novelty.results.environment import environment, now
from novelty.results.locks import locked
from novelty.results.records import SCHEMA, write, write_json
from novelty.training.callbacks import Calibrate, ResumePoint, StepSeed, steps_taken
from novelty.training.curve import TestCurve
from novelty.training.loggers import finish, log_result, make_loggers
from novelty.training.plan import Plan, make_plan
from novelty.training.processes import first_process, run_shared
from novelty.training.progress import ProgressBar
from novelty.training.scoring import evaluate, reuse, score
from novelty.training.trainer import build_method, data_of, make_trainer, prepare, quiet


def run_cell(plan: Plan, command: str, console: Console, label: str = "") -> dict[str, Any]:
    """The record of a cell: read where it is done, otherwise made, from where an earlier try was cut.

    One process at a time works on a training; a failure is written beside it and raised again. ``label`` stands before
    the progress bar, to tell a sweep's cells apart.
    """
    record = plan.record
    if record.state() != "done":
        with locked(record.folder, f"{plan.title} is being worked on by another run"):
            record.sweep()
            if not record.result.is_file():  # the run that we waited for may have done it
                try:
                    _work(plan, command, console, label)
                except Exception as error:
                    failure = {"failure": str(error), "kind": type(error).__name__, "command": command}
                    write_json(record.failure, {"schema": SCHEMA, **plan.identity, **failure, "time": now()})
                    if not isinstance(error, NoveltyError):
                        (record.folder / "traceback.txt").write_text(traceback.format_exc(), encoding="utf-8")
                    raise
                record.tidy(plan.config["keep"])
    return dict(json.loads(record.result.read_text(encoding="utf-8")))


def _work(plan: Plan, command: str, console: Console, label: str) -> None:
    if stored := plan.record.scored():
        evaluate(plan, command, reuse(plan, stored))
        _draw(plan)
        return
    hardware = plan.config["hardware"]
    count = processes(hardware)
    if count == 1:
        _train_and_score(plan, command, console, label)
        return
    threads = hardware["threads"] or max(1, len(os.sched_getaffinity(0)) // count)
    quiet = console.file is not sys.stdout
    run_shared(count, threads, _share, plan.config, plan.choices, command, label, quiet)


def _share(config: Node, choices: dict[str, str], command: str, label: str, quiet: bool) -> None:
    """The work of one of several processes, which looks at configuration and images anew."""
    console = Console(highlight=False, quiet=quiet or not first_process())
    _train_and_score(make_plan(OmegaConf.create(config), choices), command, console, label)


def _train_and_score(plan: Plan, command: str, console: Console, label: str) -> None:
    """What is missing of a cell, in this process alone or in its share; process 0 writes what is to be kept."""
    first = first_process()
    prepare(plan)
    data = data_of(plan)
    trained = _is_trained(plan)
    loggers = make_loggers(plan, plan.record.folder / "logs") if first and not trained else []
    try:
        if not trained:
            _train(plan, data, console, label, loggers)
        about = score(plan, data, console, label)
        if first:
            log_result(loggers, evaluate(plan, command, about), about["timings"]["steps"])
            _draw(plan)
    finally:
        finish(loggers)


def _is_trained(plan: Plan) -> bool:
    """Whether nothing is left to train: weights are there, and the curve, where the evaluation asks for one."""
    return plan.record.weights.is_file() and (
        plan.config["evaluation"]["stability"] is None or plan.record.curve.is_file()
    )


def _draw(plan: Plan) -> None:
    """The pictures of a cell that is done, where they are wanted."""
    if plan.config["pictures"]:
        from novelty.pictures.run import draw_run

        draw_run(plan.record, plan.images)


def _train(plan: Plan, data: NoveltyData, console: Console, label: str, loggers: list[Logger]) -> None:
    record, config = plan.record, plan.config
    scored = build_method(plan, data)
    method = scored.learner
    if record.weights.is_file():  # trained already, but unobserved: once more from the start, to the same weights
        record.resume.unlink(missing_ok=True)
    if first_process():
        write(record.folder / "config.yaml", lambda path: OmegaConf.save(OmegaConf.create(config), path))
    resume = ResumePoint(record.resume, config["hardware"]["checkpoint_every"], keep=config["keep"] == "all")

    stability: Stability | None = build(config["evaluation"]).stability
    curve = [TestCurve(stability, scored)] if stability else []

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
    callbacks = [StepSeed(config["seed"]), ProgressBar(console, label), *curve, Calibrate(save), resume]
    trainer = make_trainer(plan, callbacks, method.schedule.epochs or 1, loggers)
    start = str(record.resume) if record.resume.is_file() else None
    with quiet():
        trainer.fit(method, datamodule=data, ckpt_path=start, weights_only=True if start else None)
