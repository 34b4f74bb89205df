"""What a record says of the machine and the software: recorded, never hashed."""

from __future__ import annotations

import os
import platform
import subprocess
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = (
    "novelty",
    "torch",
    "torchvision",
    "lightning",
    "torchmetrics",
    "hydra-core",
    "numpy",
    "scikit-learn",
    "matplotlib",
)


def now() -> str:
    """The time, UTC, to the second."""
    from datetime import UTC, datetime

    return datetime.now(UTC).isoformat(timespec="seconds")


def environment(accelerator: str = "auto") -> dict[str, Any]:
    """Versions, commit, hardware (of ``accelerator``, as `hardware` names it) and time."""
    return {
        "time": now(),
        "commit": commit(),
        "hardware": hardware_name(accelerator),
        "threads": _threads(),
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES},
    }


def hardware_name(accelerator: str = "auto") -> str:
    """The GPU's name, or the processor's with its number of usable cores, whichever ``accelerator`` means here."""
    import torch

    if accelerator != "cpu" and torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return f"{_processor()}, {len(os.sched_getaffinity(0))} cores"


@lru_cache(maxsize=1)
def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _threads() -> int:
    import torch

    return torch.get_num_threads()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


@lru_cache(maxsize=1)
def commit() -> str | None:
    """The commit of the checkout that runs, "+" behind it where files differ from it; None for an installed wheel."""
    here = Path(__file__).resolve().parents[3]
    if not (here / "pyproject.toml").is_file():
        return None
    try:
        head = _git(here, "rev-parse", "HEAD")
        return head[:12] + ("+" if _git(here, "status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.SubprocessError):
        return None


def _git(folder: Path, *arguments: str) -> str:
    return subprocess.run(
        ["git", *arguments], cwd=folder, capture_output=True, text=True, timeout=10, check=True
    ).stdout.strip()
