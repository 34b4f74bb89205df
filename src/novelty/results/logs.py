"""The logs of a training: under which names records are logged, which W&B run is whose, and what must stay."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

FOLDER = "logs"
"""In the folder of a training."""

KEPT = ("tensorboard", "wandb")
"""Parts of it that somebody asked for to look at, or to send, after the run."""


def run_id(choices: Mapping[str, str], keys: Mapping[str, str]) -> str:
    """The W&B run of a record with these ``choices`` and ``keys``.

    It is its training's: further evaluations by the same method extend it. A method that wraps another shares that
    one's training and has a run of its own.
    """
    wraps = any(name.startswith("method@method.") for name in choices)
    return keys["scoring"] if wraps else keys["training"]


def asked_for(training: Path) -> bool:
    """Whether logs lie in the folder of a training that are to outlive it; metrics.csv then stays beside them."""
    return any((training / FOLDER / name).is_dir() for name in KEPT)


def offline_runs(training: Path, ids: Collection[str]) -> list[Path]:
    """Offline W&B runs by one of these ids in the folder of a training that were not sent yet, oldest first."""
    found = sorted(path.parent for name in ids for path in parts_of(training, name))
    return [run for run in found if run.name.startswith("offline-") and not any(run.glob("*.synced"))]


def parts_of(training: Path, name: str) -> list[Path]:
    """Files of the W&B run by this id, sent or not: one for each time that it was begun or resumed."""
    return list((training / FOLDER / "wandb").glob(f"*run-*/run-{name}.wandb"))


def numbers(content: Mapping[str, Any]) -> dict[str, float]:
    """The numbers of a record, as ``test/<score>/<metric>``; ``measured/<name>`` and timings beside them."""
    flat = {
        f"test/{name}/{metric}": float(value)
        for name, named in content["metrics"].items()
        for metric, value in named.items()
        if isinstance(value, (int, float))
    }
    flat |= {f"measured/{name}": value for name, value in content.get("measured", {}).items()}
    return flat | {f"timings/{name}": float(value) for name, value in content["timings"].items()}
