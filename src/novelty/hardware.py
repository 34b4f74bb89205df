"""What a run is told of its hardware, checked and with nothing left open."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from typing import Any

import torch

from novelty.config import close_to
from novelty.errors import NoveltyError

Node = dict[str, Any]

ACCELERATORS = ("auto", "cpu", "gpu", "cuda", "mps")
PRECISIONS = ("32-true", "bf16-mixed", "16-mixed")
SCORE_PRECISIONS = PRECISIONS[:2]
STRATEGIES = ("auto", "ddp")
COMPILE = (None, "default", "reduce-overhead", "max-autotune")


@dataclass(frozen=True)
class Share:
    """What a launcher gives each of its cells.

    gpus: how many; None where nobody can tell before the cell runs.
    remote: on another machine, so that what torch sees here says nothing of it.
    """

    gpus: int | None
    remote: bool = False


def settle_hardware(hardware: Node, share: Share | None = None) -> Node:
    """``hardware`` with nothing left open: null becomes what suits the device.

    Refuses what Lightning would only refuse later, in its own words, or quietly replace; and a GPU where there is none.

    share: of the launcher that the cell waits for; None: the cell has all that is here.
    """
    choices = {
        "accelerator": ACCELERATORS,
        "precision": PRECISIONS,
        "score_precision": SCORE_PRECISIONS,
        "strategy": STRATEGIES,
        "compile": COMPILE,
    }
    for name, allowed in choices.items():
        if hardware[name] not in allowed:
            words = [str(word) if word is not None else "null" for word in allowed]
            raise NoveltyError(
                f"hardware.{name}={hardware[name]} is no choice{close_to(str(hardware[name]), words)} "
                f"Allowed: {', '.join(words)}."
            )
    for name in ("threads", "score_batch"):
        if hardware[name] is not None and hardware[name] < 1:
            raise NoveltyError(
                f"hardware.{name}={hardware[name]} must be at least 1, or null for what suits the device."
            )
    if not 0 <= hardware["checkpoint_every"] < math.inf:
        raise NoveltyError(f"hardware.checkpoint_every={hardware['checkpoint_every']} must be a number of seconds.")
    there = _gpus(hardware["accelerator"], share)
    cpu = hardware["accelerator"] == "cpu" or (hardware["accelerator"] == "auto" and there == 0)
    if cpu and hardware["precision"] == "16-mixed":
        raise NoveltyError("hardware.precision=16-mixed needs a GPU: on the CPU take bf16-mixed (hardware=cpu_fast).")
    settled = dict(hardware)
    if cpu:
        settled["devices"] = _devices_on_cpu(hardware["devices"], remote=share is not None and share.remote)
    else:
        settled["devices"] = _devices(hardware["devices"], there, shared=share is not None)
    if hardware["channels_last"] is None:
        settled["channels_last"] = cpu or hardware["precision"] != "32-true"
    if hardware["score_batch"] is None:
        settled["score_batch"] = 64 if cpu else 250
    return settled


def on_cpu(accelerator: str) -> bool:
    """Whether that accelerator is the CPU here."""
    return accelerator == "cpu" or (accelerator == "auto" and not torch.cuda.is_available())


def _gpus(accelerator: str, share: Share | None) -> int | None:
    """How many GPUs the cell has, as far as that can be known; NoveltyError where it asks for one and has none."""
    wanted = accelerator in ("gpu", "cuda")
    if share is not None and share.remote:
        if wanted and share.gpus == 0:
            raise NoveltyError("hardware.accelerator=gpu, but hydra.launcher.gpus=0 gives a cell none: allow it 1.")
        return share.gpus
    if not torch.cuda.is_available():
        if wanted:
            raise NoveltyError(
                "hardware.accelerator=gpu, but torch sees no GPU here: take hardware=cpu or hardware=auto, "
                "or look at nvidia-smi and CUDA_VISIBLE_DEVICES."
            )
        return 0
    return torch.cuda.device_count() if share is None else share.gpus


def _devices_on_cpu(devices: Any, remote: bool) -> int:
    """A number of processes from 1 on."""
    if type(devices) is not int or devices < 1:
        raise NoveltyError(f"hardware.devices={devices} must be a number of devices from 1 on.")
    cores = os.cpu_count() or 1
    if devices > max(cores, 2) and not remote:  # two processes may be tried anywhere
        raise NoveltyError(f"hardware.devices={devices} is more than the {cores} cores here.")
    return devices


def _devices(devices: Any, there: int | None, shared: bool) -> int | list[int]:
    """A number of processes from 1 on, or a list of GPU indices; -1 stands for all GPUs."""
    if devices == -1:
        if there is None:
            raise NoveltyError(
                "hardware.devices=-1 means all GPUs of a job: say how many, as in hydra.launcher.gpus=4."
            )
        return there
    listed = isinstance(devices, list)
    numbers = devices if listed else [devices]
    if not numbers or any(type(number) is not int for number in numbers) or (not listed and devices < 1):
        raise NoveltyError(
            f"hardware.devices={devices} must be a number of devices from 1 on, a list of their indices, or -1 for all."
        )
    needed = 1 + max(devices) if listed else devices
    if shared and there and needed > there:
        raise NoveltyError(
            f"hardware.devices={devices} needs {needed} GPUs, and a job is given {there}: take fewer, "
            f"or hydra.launcher.gpus={needed}."
        )
    if not shared and not listed and needed > max(there or 0, 2):  # two processes may be tried anywhere
        raise NoveltyError(f"hardware.devices={devices} is more than the {there} GPUs here.")
    return devices if listed else needed


def processes(hardware: Node) -> int:
    """Number of processes that share a batch: part of what is computed, unlike the device they run on."""
    devices = hardware["devices"]
    return len(devices) if isinstance(devices, list) else int(devices)
