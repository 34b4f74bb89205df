"""What is asked of the device that measures: to finish, the time between moments, and the most memory it held."""

from __future__ import annotations

import contextlib
import resource
import sys
import time
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import torch


def finish(device: torch.device) -> None:
    """Wait until the device has done what it was given; the CPU always has."""
    if device.type != "cpu":
        torch.accelerator.synchronize(device)


class Moments:
    """Moments in the device's own time, noted without waiting for it (events on CUDA)."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._times: list[float] = []
        self._events: list[torch.cuda.Event] = []

    def note(self) -> None:
        """Now."""
        if self.device.type == "cuda":
            event: torch.cuda.Event = cast(Any, torch.cuda.Event)(enable_timing=True)
            event.record()
            self._events.append(event)
        else:
            finish(self.device)
            self._times.append(time.perf_counter())

    def intervals(self) -> list[float]:
        """Seconds from each moment to the next."""
        finish(self.device)
        if self.device.type == "cuda":
            return [before.elapsed_time(after) / 1000 for before, after in pairwise(self._events)]
        return [after - before for before, after in pairwise(self._times)]


class Peak:
    """The most memory held since it was made, by the process (resident, libraries and images included) and by its GPU.

    Where the system cannot forget an older peak (no ``/proc/self/clear_refs``), the process's is of its whole life.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        with contextlib.suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)

    def bytes(self) -> dict[str, int | None]:
        """``{"process": ..., "gpu": ... or None}``."""
        gpu = torch.cuda.max_memory_allocated(self.device) if self.device.type == "cuda" else None
        return {"process": _resident_peak(), "gpu": gpu}


def _resident_peak() -> int:
    try:
        for line in Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
