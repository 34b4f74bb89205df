"""One cell from end to end: fit, calibrate, score, evaluate, record; whatever is there already is not done again."""

from __future__ import annotations

import os
import sys
import traceback
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger
from omegaconf import OmegaConf
from rich.console import Console

from novelty.check import Node
from novelty.errors import NoveltyError
from novelty.hardware import processes
from novelty.results.environment import now
from novelty.results.locks import locked
from novelty.results.records import SCHEMA, read_result, write_json
from novelty.training.fitting import train
from novelty.training.guards import refusals
from novelty.training.logged import log_finished
from novelty.training.loggers import logging_to, note_curve, of_training
from novelty.training.plan import Plan, make_plan
from novelty.training.processes import first_process, run_shared
from novelty.training.scoring import evaluate, reuse, score, stored
from novelty.training.trainer import data_of, prepare, quiet


def run_cell(plan: Plan, command: str, console: Console, label: str = "") -> dict[str, Any]:
    """The record of a cell: read where it is done, otherwise made, from where an earlier try was cut.

    One process at a time works on a training; a failure is written beside it and raised again. ``label`` stands before
    the progress bar, to tell a sweep's cells apart.
    """
    record = plan.record
    with refusals(plan):
        if record.state() != "done":
            with locked(record.folder, f"{plan.title} is being worked on by another run"):
                record.sweep()
                if not record.result.is_file():  # the run that we waited for may have done it
                    try:
                        with refusals(plan):
                            _work(plan, command, console, label)
                    except Exception as error:
                        _note_failure(plan, command, error)
                        raise
                    record.tidy(plan.config["keep"])
        return read_result(record.result)


def _note_failure(plan: Plan, command: str, error: Exception) -> None:
    """Why this try failed, for reports; on a full disk the error alone has to do."""
    record = plan.record
    if record.result.is_file():  # its pictures failed, not the cell
        return
    failure = {"failure": str(error), "kind": type(error).__name__, "command": command}
    with suppress(OSError):
        write_json(record.failure, {"schema": SCHEMA, **plan.identity, **failure, "time": now()})
        if not isinstance(error, NoveltyError):
            (record.folder / "traceback.txt").write_text(traceback.format_exc(), encoding="utf-8")


def _work(plan: Plan, command: str, console: Console, label: str) -> None:
    if scores := stored(plan):
        evaluate(plan, command, reuse(plan, scores))
        with logging_to(plan, trains=False) as loggers:
            _tell(plan, console, loggers)
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
    plan = make_plan(OmegaConf.create(config), choices)
    with refusals(plan):  # only a NoveltyError comes through to the parent as it is
        _train_and_score(plan, command, console, label)


def _train_and_score(plan: Plan, command: str, console: Console, label: str) -> None:
    """What is missing of a cell, in this process alone or in its share; process 0 writes what is to be kept."""
    first = first_process()
    prepare(plan)
    data = data_of(plan)
    loggers: list[Logger] | None = None
    with ExitStack() as opened:
        if not _is_trained(plan):
            loggers = opened.enter_context(logging_to(plan, trains=True)) if first else []
            hearing = of_training(loggers, plan)
            train(plan, data, console, label, hearing)
            note_curve(hearing, plan)
        about = score(plan, data, console, label)
        if first:
            evaluate(plan, command, about)
            if loggers is None:  # not before there is something to tell
                loggers = opened.enter_context(logging_to(plan, trains=False))
            _tell(plan, console, loggers)


def _tell(plan: Plan, console: Console, loggers: list[Logger]) -> None:
    """Pictures of a cell that is done, where they are wanted, and all that is known of it to its loggers."""
    pictures: list[Path] = []
    try:
        pictures = _draw(plan, console)
    finally:  # a done cell is not done again: what its pictures suffer must not keep its numbers from its loggers
        with quiet():
            log_finished(loggers, plan.record, pictures)


def _is_trained(plan: Plan) -> bool:
    """Whether nothing is left to train: weights are there, and the curve, where the evaluation asks for one."""
    return plan.record.weights.is_file() and (
        plan.config["evaluation"]["stability"] is None or plan.record.curve.is_file()
    )


def _draw(plan: Plan, console: Console) -> list[Path]:
    """The files of the pictures of a cell that is done, where they are wanted."""
    if not plan.config["pictures"]:
        return []
    from novelty.pictures.run import draw_run
    from novelty.training.trained import load_trained

    trained = load_trained(plan, console) if plan.record.weights.is_file() else None
    return draw_run(plan.record, plan.images, trained)
