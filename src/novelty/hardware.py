"""What a run is told of its hardware, checked and with nothing left open."""

from __future__ import annotations

import math
import os
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


def settle_hardware(hardware: Node) -> Node:
    """``hardware`` with nothing left open: null becomes what suits the device.

    Refuses what Lightning would only refuse later, in its own words, or quietly replace; and a GPU where there is none.
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
    if hardware["accelerator"] in ("gpu", "cuda") and not torch.cuda.is_available():
        raise NoveltyError(
            "hardware.accelerator=gpu, but torch sees no GPU here: take hardware=cpu or hardware=auto, "
            "or look at nvidia-smi and CUDA_VISIBLE_DEVICES."
        )
    cpu = on_cpu(hardware["accelerator"])
    if cpu and hardware["precision"] == "16-mixed":
        raise NoveltyError("hardware.precision=16-mixed needs a GPU: on the CPU take bf16-mixed (hardware=cpu_fast).")
    settled = dict(hardware)
    settled["devices"] = _devices(hardware["devices"], cpu)
    if hardware["channels_last"] is None:
        settled["channels_last"] = cpu or hardware["precision"] != "32-true"
    if hardware["score_batch"] is None:
        settled["score_batch"] = 64 if cpu else 250
    return settled


def on_cpu(accelerator: str) -> bool:
    """Whether that accelerator is the CPU here."""
    return accelerator == "cpu" or (accelerator == "auto" and not torch.cuda.is_available())


def _devices(devices: Any, cpu: bool) -> int | list[int]:
    """A number of processes from 1 on, or a list of GPU indices; -1 stands for all GPUs."""
    if devices == -1 and not cpu:
        return torch.cuda.device_count()
    if isinstance(devices, list) and devices and all(type(index) is int for index in devices) and not cpu:
        return devices
    if type(devices) is int and devices >= 1:
        there = (os.cpu_count() or 1) if cpu else torch.cuda.device_count()
        if devices > max(there, 2):  # two processes may be tried anywhere
            raise NoveltyError(
                f"hardware.devices={devices} is more than the {there} {'cores' if cpu else 'GPUs'} here."
            )
        return devices
    raise NoveltyError(
        f"hardware.devices={devices} must be a number of devices from 1 on"
        + ("." if cpu else ", a list of their indices, or -1 for all.")
    )


def processes(hardware: Node) -> int:
    """Number of processes that share a batch: part of what is computed, unlike the device they run on."""
    devices = hardware["devices"]
    return len(devices) if isinstance(devices, list) else int(devices)
