"""The loggers of a run. W&B never asks and never hangs: online where a key and an answer are there, else offline."""

from __future__ import annotations

import netrc
import os
import socket
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from lightning.pytorch.loggers import Logger

from novelty.check import WANDB_MODES, Node
from novelty.config import close_to
from novelty.errors import NoveltyError, first_line
from novelty.training.plan import Plan

CONNECT_SECONDS = 2.0


def make_loggers(plan: Plan, folder: Path) -> list[Logger]:
    """CSV, TensorBoard and W&B loggers as `logger` asks, all writing below ``folder``."""
    wanted = plan.config["logger"]
    found: list[Logger] = []
    if wanted["csv"]:
        from lightning.pytorch.loggers import CSVLogger

        _move_aside(folder / "csv" / "metrics.csv")
        found.append(CSVLogger(folder, name="csv", version=""))
    if wanted["tensorboard"]:
        from lightning.pytorch.loggers import TensorBoardLogger

        found.append(TensorBoardLogger(folder, name="tensorboard", version=""))
    if wanted["wandb"] and wandb_mode(wanted["mode"]) != "disabled":
        found.append(_wandb(plan, folder, wanted))
    return found


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
    logger = WandbLogger(offline=not online, **arguments)
    try:
        _ = logger.experiment
    except Exception as error:  # wandb raises many kinds; any of them means that the server is not to be had
        print(
            f"W&B refused the run or could not be reached ({first_line(error)}): logging offline, to be synced later "
            "with wandb sync; look at WANDB_API_KEY (or wandb login) and WANDB_BASE_URL, or set logger.mode=offline."
        )
        wandb.teardown()  # its service still holds the run by this name
        logger = WandbLogger(offline=True, **(arguments | {"resume": None}))
    return logger


def _identity(plan: Plan) -> str:
    """The W&B run that a cell resumes: its training's; a method that wraps another shares that, and has its own run."""
    wraps = plan.record.method != plan.choices["method"]
    return plan.record.scoring if wraps else plan.record.training


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
