"""The loggers of a run. W&B never asks and never hangs: online where a key and an answer are there, else offline.

Evaluations of one training share its folder of logs. Each is told to the loggers once; the training's own curve is
there once, however often it was cut, and however many evaluations asked for it again.
"""

from __future__ import annotations

import netrc
import os
import shutil
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import torch
from lightning.pytorch.loggers import Logger

from novelty.check import WANDB_MODES, Node
from novelty.config import close_to
from novelty.errors import NoveltyError, first_line
from novelty.results.logs import FOLDER, offline_runs, parts_of, run_id
from novelty.training.plan import Plan
from novelty.training.trainer import quiet

CONNECT_SECONDS = 2.0
MARGIN = 1000
"""Rows that a part of a run has at most beside two a step."""


@contextmanager
def logging_to(plan: Plan, trains: bool) -> Iterator[list[Logger]]:
    """The loggers of a cell, closed in the end. trains: whether it is trained now, or there is a result to tell."""
    with quiet():
        loggers = make_loggers(plan, trains)
    try:
        yield loggers
    finally:
        finish(loggers)


def make_loggers(plan: Plan, trains: bool) -> list[Logger]:
    """CSV, TensorBoard and W&B loggers as `logger` asks, all writing below the folder of logs of the training."""
    wanted, folder = plan.config["logger"], plan.record.folder / FOLDER
    found: list[Logger] = []
    if wanted["csv"]:
        from lightning.pytorch.loggers import CSVLogger

        _move_aside(folder / "csv" / "metrics.csv")
        found.append(CSVLogger(folder, name="csv", version=""))
    if wanted["tensorboard"]:
        from lightning.pytorch.loggers import TensorBoardLogger

        step = _begins_at(plan) if trains and not curve_note(plan, "tensorboard").is_file() else None
        # What a killed try logged from there on is not shown.
        found.append(TensorBoardLogger(folder, name="tensorboard", version="", purge_step=step))
    if wanted["wandb"] and wandb_mode(wanted["mode"]) != "disabled":
        if trains and not curve_note(plan, "wandb").is_file() and _begins_at(plan) == 0:
            for left in offline_runs(plan.record.folder, [_identity(plan)]):  # of a try that is begun anew
                shutil.rmtree(left)
        found.append(_wandb(plan, folder, wanted))
    return found


def of_training(loggers: Sequence[Logger], plan: Plan) -> list[Logger]:
    """Those of them that are to hear of the training: a second evaluation may train again, to the same curve."""
    return [logger for logger in loggers if not curve_note(plan, _kind(logger)).is_file()]


def note_curve(loggers: Sequence[Logger], plan: Plan) -> None:
    """Note that these ``loggers`` have the training's curve from its first step to its last."""
    for logger in loggers:
        note = curve_note(plan, _kind(logger))
        note.parent.mkdir(parents=True, exist_ok=True)
        note.touch()


def curve_note(plan: Plan, kind: str) -> Path:
    """An empty file: there where the logger of this ``kind`` has the whole curve."""
    name = f"{_identity(plan)}.curve" if kind == "wandb" else "curve"
    return plan.record.folder / FOLDER / kind / name


def _kind(logger: Logger) -> str:
    from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger

    return (
        "csv" if isinstance(logger, CSVLogger) else "tensorboard" if isinstance(logger, TensorBoardLogger) else "wandb"
    )


def _begins_at(plan: Plan) -> int | None:
    """The step from which a training that is about to begin is logged; None where it cannot be told apart from what an
    evaluation logged that is done."""
    record = plan.record
    if any(record.folder.glob("*/result.json")):
        return None
    if not record.resume.is_file():
        return 0
    try:
        return int(torch.load(record.resume, map_location="cpu", weights_only=True, mmap=True)["step"])
    except Exception:  # of any kind: the training itself says what is wrong with the file
        return None


def _move_aside(path: Path) -> None:
    """What was logged before a cut becomes metrics.1.csv, metrics.2.csv, ...: the logger would delete it."""
    if path.is_file():
        number = 1 + len(list(path.parent.glob("metrics.*.csv")))
        path.rename(path.with_name(f"metrics.{number}.csv"))


def finish(loggers: list[Logger]) -> None:
    """Close them, so that the next cell of a sweep begins runs of its own."""
    from lightning.pytorch.loggers import WandbLogger

    for logger in loggers:
        logger.finalize("success")
        if isinstance(logger, WandbLogger):
            try:
                logger.experiment.finish()
            except Exception as error:  # of any kind: the record does not hang on it
                print(f"W&B did not close its run ({first_line(error)}): what it has lies in its offline files.")


def _wandb(plan: Plan, folder: Path, wanted: Node) -> Logger:
    import wandb
    from lightning.pytorch.loggers import WandbLogger

    settings = wandb.Settings(init_timeout=10, silent=True, console="off")
    wandb.termsetup(settings, None)  # before init: Lightning hands over a setting that W&B complains about
    online = wandb_mode(wanted["mode"]) == "online"
    arguments: dict[str, Any] = dict(
        name=plan.title,
        project=wanted["project"],
        entity=wanted["entity"],
        id=_identity(plan),
        save_dir=str(folder),
        group=f"{plan.choices['method']}/{plan.choices['data']}",
        tags=[*plan.choices.values(), *plan.normal, *wanted["tables"], *wanted["tags"]],
        config={k: v for k, v in plan.config.items() if k not in ("paths", "logger")},
        resume="allow" if online else None,
        settings=settings,
    )
    folder.mkdir(parents=True, exist_ok=True)
    parts = len(parts_of(plan.record.folder, arguments["id"]))
    logger = WandbLogger(offline=not online, **arguments)
    try:
        _ = logger.experiment
    except Exception as error:  # wandb raises many kinds; any of them means that the server is not to be had
        print(
            f"W&B refused the run or could not be reached ({first_line(error)}): logging offline, to be synced later "
            "with wandb sync; look at WANDB_API_KEY (or wandb login) and WANDB_BASE_URL, or set logger.mode=offline."
        )
        wandb.teardown()  # its service still holds the run by this name
        online = False
        logger = WandbLogger(offline=True, **(arguments | {"resume": None}))
    if parts and not online:  # sent after the other parts: W&B's own step must not begin anew
        logger.experiment.log({}, step=parts * (2 * plan.steps + MARGIN), commit=False)
    return logger


def _identity(plan: Plan) -> str:
    """The W&B run that a cell begins or resumes."""
    return run_id(plan.choices, {"training": plan.record.training, "scoring": plan.record.scoring})


def wandb_mode(mode: str) -> str:
    """``auto`` becomes online or offline within about two seconds; WANDB_MODE has the word where it is set."""
    mode = os.environ.get("WANDB_MODE", mode)
    mode = {"dryrun": "offline", "run": "online"}.get(mode, mode)  # as Lightning sets it for the rest of a process
    if mode not in WANDB_MODES:
        raise NoveltyError(
            f"WANDB_MODE={mode} is no choice{close_to(mode, WANDB_MODES)} Unset it, or take one of "
            f"{', '.join(WANDB_MODES)}."
        )
    if mode != "auto":
        return mode
    server = urlsplit(os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai"))
    host = server.hostname or "api.wandb.ai"
    if not os.environ.get("WANDB_API_KEY") and not _in_netrc(host):
        return "offline"
    try:
        with socket.create_connection((host, server.port or 443), timeout=CONNECT_SECONDS):
            return "online"
    except OSError:
        return "offline"


def _in_netrc(host: str) -> bool:
    try:
        return netrc.netrc().authenticators(host) is not None
    except (OSError, netrc.NetrcParseError):
        return False
