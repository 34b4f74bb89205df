"""The trained method of a cell, ready to be asked: from its weights, or trained again where these were not kept."""

from __future__ import annotations

import os

import torch
from omegaconf import OmegaConf
from rich.console import Console

from novelty.check import Node
from novelty.data.datamodule import NoveltyData
from novelty.figures.cells import Trained
from novelty.hardware import on_cpu, processes
from novelty.methods.base import Method
from novelty.results.locks import locked
from novelty.training.fitting import train
from novelty.training.guards import load_weights
from novelty.training.plan import Plan, make_plan
from novelty.training.processes import first_process, run_shared
from novelty.training.trainer import build_method, data_of, prepare


def load_trained(plan: Plan, console: Console) -> Trained:
    """The method of a cell that is done, calibrated and in evaluation mode on the device of its hardware.

    A cell of a table drops its weights: it is trained again, to the same weights, and its record stays as it is.
    """
    record, hardware = plan.record, plan.config["hardware"]
    if not record.weights.is_file():
        console.print(f"{plan.title}: its weights were not kept, so it is trained again.")
        with locked(record.folder, f"{plan.title} is being worked on by another run"):
            if not record.weights.is_file():
                _train_again(plan, console)
                record.resume.unlink(missing_ok=True)
    prepare(plan)
    data = data_of(plan)
    method = build_method(plan, data)
    load_weights(method, record.weights, record.training)
    on_gpu = not on_cpu(hardware["accelerator"]) and hardware["accelerator"] != "mps"
    device = torch.device("cuda" if on_gpu else "cpu")
    method.eval().requires_grad_(False).to(device)
    if method.learner is not method:  # what it adds to the method that was trained is in no file
        _calibrate(method, data, device)
    return Trained(method, plan.images, plan.split, device, hardware["score_batch"])


def _calibrate(method: Method, data: NoveltyData, device: torch.device) -> None:
    with torch.no_grad(), torch.autocast(device.type, enabled=False):
        method.calibrate(batch.to(device) for batch in data.normal_batches(method.calibrates_on))


def _train_again(plan: Plan, console: Console) -> None:
    """By as many processes as the first time: their number is part of what was trained."""
    count = processes(plan.config["hardware"])
    if count == 1:
        prepare(plan)
        train(plan, data_of(plan), console, plan.title, [])
        return
    threads = plan.config["hardware"]["threads"] or max(1, len(os.sched_getaffinity(0)) // count)
    run_shared(count, threads, _share, plan.config, plan.choices)


def _share(config: Node, choices: dict[str, str]) -> None:
    """The work of one of several processes."""
    plan = make_plan(OmegaConf.create(config), choices)
    prepare(plan)
    train(plan, data_of(plan), Console(highlight=False, quiet=not first_process()), plan.title, [])
