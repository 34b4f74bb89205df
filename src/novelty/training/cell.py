"""One cell from end to end: fit, calibrate, score, evaluate, record; whatever is there already is not done again."""

from __future__ import annotations

import json
import logging
import random
import shutil
import time
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from lightning.pytorch.loggers import Logger
from omegaconf import OmegaConf
from rich.console import Console

from novelty.check import build
from novelty.data.datamodule import NoveltyData
from novelty.errors import NoveltyError
from novelty.methods.base import Method
from novelty.results.environment import environment, now
from novelty.results.locks import locked
from novelty.results.records import SCHEMA, write, write_arrays, write_json
from novelty.training.callbacks import Calibrate, CollectScores, ResumePoint, StepSeed, steps_taken
from novelty.training.loggers import finish, log_result, make_loggers
from novelty.training.plan import REFERENCE_IMAGES, Plan
from novelty.training.progress import ProgressBar

EXPECTED_WARNINGS = (
    r".*does not have many workers",  # images lie in memory
    r".*GPU available but not used",  # hardware=cpu means it
    r".*`training_step` returned `None`",  # manual optimisation and methods that only calibrate
    r".*`LightningModule.configure_optimizers` returned `None`",
    r".*Experiment logs directory .* exists",  # a resumed run's: earlier logs are moved aside
    r".*The number of training batches .* is smaller than the logging interval",
    r".*`isinstance\(treespec, LeafSpec\)` is deprecated",  # Lightning 2.6 with torch 2.14
)
"""Beginnings of what Lightning says of things that are so on purpose."""


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
    hardware = plan.config["hardware"]
    if hardware["threads"]:
        torch.set_num_threads(hardware["threads"])
    torch.backends.cudnn.allow_tf32 = False  # full precision means it; bf16-mixed is there for speed
    torch.hub.set_dir(plan.config["paths"]["weights"])
    if stored := plan.record.scored():
        _evaluate(plan, command, _reuse(plan, stored))
        return
    data = NoveltyData(
        plan.images,
        plan.split,
        seed=plan.config["seed"],
        reference=REFERENCE_IMAGES,
        score_batch=hardware["score_batch"],
        channels_last=hardware["channels_last"],
    )
    if plan.record.weights.is_file():
        _evaluate(plan, command, _score(plan, data, console, label))
        return
    loggers = make_loggers(plan, plan.record.folder / "logs")
    try:
        _train(plan, data, console, label, loggers)
        about = _score(plan, data, console, label)
        log_result(loggers, _evaluate(plan, command, about), about["timings"]["steps"])
    finally:
        finish(loggers)


def _build(plan: Plan, data: NoveltyData) -> Method:
    seed = plan.config["seed"]
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002  (libraries below us may draw from it)
    torch.manual_seed(seed)
    method: Method = build(plan.config["method"], info=data.info)
    method.seed = seed
    data.schedule = method.schedule
    if plan.config["hardware"]["channels_last"]:
        method = method.to(memory_format=torch.channels_last)
    return method


def _train(plan: Plan, data: NoveltyData, console: Console, label: str, loggers: list[Logger]) -> None:
    record, config = plan.record, plan.config
    method = _build(plan, data)
    write(record.folder / "config.yaml", lambda path: OmegaConf.save(OmegaConf.create(config), path))
    resume = ResumePoint(record.resume, config["hardware"]["checkpoint_every"], keep=config["keep"] == "all")

    def save(trained: Method) -> None:
        content = {
            "state_dict": trained.state_dict(),
            "key": record.training,
            "train_seconds": resume.elapsed(),
            "steps": steps_taken(trainer),
            "environment": environment(config["hardware"]["accelerator"]),
        }
        write(record.weights, lambda path: torch.save(content, path))

    callbacks = [StepSeed(config["seed"]), ProgressBar(console, label), Calibrate(save), resume]
    trainer = _trainer(plan, callbacks, method.schedule.epochs or 1, loggers)
    start = str(record.resume) if record.resume.is_file() else None
    with _quiet():
        trainer.fit(method, datamodule=data, ckpt_path=start, weights_only=True if start else None)


def _score(plan: Plan, data: NoveltyData, console: Console, label: str) -> dict[str, Any]:
    """Write scores.npz by the trained method as its file has it: one path, whether it was trained now or last week.

    The file holds ``index``, ``novel``, ``score/<name>`` (and ``map/<name>``) of the test images, ``normal/<name>`` of
    the others; process 0 writes it. Returns the part of the record that does not depend on metrics.
    """
    content = torch.load(plan.record.weights, map_location="cpu", weights_only=True)
    method = _build(plan, data)
    method.load_state_dict(content["state_dict"])
    count = len(plan.split.test)

    def keep(image: dict[str, np.ndarray], maps: dict[str, np.ndarray]) -> None:
        kept = {"index": plan.split.test, "novel": plan.split.novel}
        for name, values in image.items():
            if values.shape != (count + len(data.reference),):
                raise NoveltyError(f"The score {name} has shape {values.shape}: a method returns one number per image.")
            kept[f"score/{name}"], kept[f"normal/{name}"] = values[:count], values[count:]
        kept |= {f"map/{name}": values[:count] for name, values in maps.items()}
        write_arrays(plan.record.scores, **kept)

    start = time.monotonic()
    callbacks = [ProgressBar(console, label), CollectScores(keep, plan.config["maps"])]
    with _quiet():
        _trainer(plan, callbacks, 1, []).test(method, datamodule=data, verbose=False)
    return {
        "primary": method.primary,
        "provenance": method.provenance(),
        "timings": {
            "train_seconds": content["train_seconds"],
            "steps": content["steps"],
            "score_seconds": time.monotonic() - start,
        },
        "environment": content["environment"],
    }


def _reuse(plan: Plan, scores: Path) -> dict[str, Any]:
    """What another evaluation of the same training left, taken over."""
    write(plan.record.scores, lambda path: shutil.copyfile(scores, path))
    record = json.loads(scores.with_name("result.json").read_text(encoding="utf-8"))
    return {name: record[name] for name in ("primary", "provenance", "timings", "environment")}


def _evaluate(plan: Plan, command: str, about: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Metrics of every named score, and the record; ``result.json`` comes last, since its presence says "done"."""
    evaluation = build(plan.config["evaluation"])
    record = plan.record
    with np.load(record.scores) as stored:
        arrays = dict(stored)
    named = [name.split("/", 1)[1] for name in arrays if name.startswith("score/")]
    metrics = {name: evaluation(arrays[f"score/{name}"], arrays["novel"], arrays[f"normal/{name}"]) for name in named}
    write_json(
        record.result,
        {
            "schema": SCHEMA,
            **plan.identity,
            "metrics": metrics,
            **about,
            "evaluated": now(),
            "command": command,
        },
    )
    return metrics


def _trainer(plan: Plan, callbacks: list[L.Callback], epochs: int, loggers: list[Logger]) -> L.Trainer:
    hardware = plan.config["hardware"]
    with _quiet():
        return L.Trainer(
            accelerator=hardware["accelerator"],
            devices=hardware["devices"],
            strategy=hardware["strategy"],
            precision=hardware["precision"],
            max_epochs=epochs,
            logger=loggers or False,
            callbacks=callbacks,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            use_distributed_sampler=False,
            num_sanity_val_steps=0,
            log_every_n_steps=10,
            default_root_dir=str(plan.record.folder),
        )


@contextmanager
def _quiet() -> Iterator[None]:
    """Lightning's chatter off: what is worth saying, the cell says itself. And its exit on Ctrl-C left to the door."""
    loggers = [logging.getLogger(name) for name in ("lightning", "lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            for beginning in EXPECTED_WARNINGS:
                warnings.filterwarnings("ignore", beginning)
            yield
    except SystemExit as exit:  # what Lightning makes of Ctrl-C
        raise KeyboardInterrupt from exit
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
