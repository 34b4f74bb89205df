"""The parts of a run that cell and bench share: process settings, data, method, Lightning's Trainer."""

from __future__ import annotations

import logging
import random
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from operator import attrgetter

import lightning as L
import numpy as np
import torch
from lightning.pytorch.loggers import Logger

from novelty.check import build
from novelty.data.datamodule import NoveltyData
from novelty.hardware import processes
from novelty.methods.base import Method
from novelty.training.plan import REFERENCE_IMAGES, Plan, augmentation_of
from novelty.training.processes import shared

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


def prepare(plan: Plan) -> None:
    """Settings of this process: threads, full precision where it is meant, where downloaded weights go."""
    if plan.config["hardware"]["threads"]:
        torch.set_num_threads(plan.config["hardware"]["threads"])
    torch.backends.cudnn.allow_tf32 = False  # full precision means it; bf16-mixed is there for speed
    torch.hub.set_dir(plan.config["paths"]["weights"])


def data_of(plan: Plan, kind: type[NoveltyData] = NoveltyData, reference: int = REFERENCE_IMAGES) -> NoveltyData:
    """The images of the run in batches; ``reference``: how many normal ones are scored behind the test images."""
    hardware = plan.config["hardware"]
    return kind(
        plan.images,
        plan.split,
        seed=plan.config["seed"],
        reference=reference,
        score_batch=hardware["score_batch"],
        channels_last=hardware["channels_last"],
        augmentation=augmentation_of(plan.config),
    )


def build_method(plan: Plan, data: NoveltyData) -> Method:
    """The method as it is before its first step: seeded, in the memory layout of the run, compiled where asked."""
    seed = plan.config["seed"]
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002  (libraries below us may draw from it)
    torch.manual_seed(seed)
    method: Method = build(plan.config["method"], info=data.info)
    for part in (method, method.learner):
        part.seed = seed
        if plan.config["hardware"]["score_precision"] == "bf16-mixed":
            part.score_dtype = torch.bfloat16
    data.schedule = method.learner.schedule
    hardware = plan.config["hardware"]
    if hardware["channels_last"]:
        method = method.to(memory_format=torch.channels_last)
    if hardware["compile"]:
        for module in filter(None, (attrgetter(name)(method) for name in method.compilable)):
            module.compile(mode=hardware["compile"], dynamic=False)
    return method


def make_trainer(
    plan: Plan, callbacks: Sequence[L.Callback], epochs: int = 1, loggers: Sequence[Logger] = ()
) -> L.Trainer:
    """Lightning's Trainer with nothing of its own switched on: no files, no bar, no sampler."""
    hardware = plan.config["hardware"]
    with quiet():
        return L.Trainer(
            accelerator=hardware["accelerator"],
            devices=hardware["devices"],
            **shared(hardware["strategy"], processes(hardware)),
            precision=hardware["precision"],
            max_epochs=epochs,
            logger=list(loggers) or False,
            callbacks=list(callbacks),
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            use_distributed_sampler=False,
            num_sanity_val_steps=0,
            log_every_n_steps=10,
            default_root_dir=str(plan.record.folder),
        )


@contextmanager
def quiet() -> Iterator[None]:
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
