"""How long a cell will take, learnt from the records of its like on the same hardware."""

from __future__ import annotations

from collections.abc import Iterable
from statistics import median
from typing import Any, NamedTuple

from novelty.check import Node
from novelty.results.environment import hardware_name
from novelty.training.plan import Plan, split_sizes

Kind = tuple[str, ...]
"""What cells must share for the pace of one to tell that of another."""


class Expected(NamedTuple):
    """Seconds."""

    train: float
    score: float


class Times:
    """Seconds a step and seconds a test image, by kind of cell; the median of what was measured."""

    def __init__(self, records: Iterable[dict[str, Any]]) -> None:
        """records: as `results.records.read_all` gives them; failures and unreadable ones are passed over."""
        self._train: dict[Kind, list[float]] = {}
        self._score: dict[tuple[Kind, str], list[float]] = {}
        for record in records:
            if "metrics" not in record:
                continue
            timings, tested = record["timings"], record["split"]["test_normal"] + record["split"]["test_novel"]
            kind = _kind(record["choices"], record["config"], record["environment"]["hardware"])
            self._train.setdefault(kind, []).append(timings["train_seconds"] / max(1, timings["steps"]))
            self._score.setdefault((kind, _evaluation(record["config"])), []).append(
                timings["score_seconds"] / max(1, tested)
            )

    def expected(self, plan: Plan) -> Expected | None:
        """Seconds of training and of scoring; None where nothing of this kind ran here."""
        hardware = plan.config["hardware"]
        kind = _kind(plan.choices, plan.config, hardware_name(hardware["accelerator"]))
        if kind not in self._train:
            return None
        sizes = split_sizes(plan)
        evaluated = self._score.get((kind, _evaluation(plan.config))) or [
            pace for (other, _), paces in self._score.items() if other == kind for pace in paces
        ]
        tested = sizes["test_normal"] + sizes["test_novel"]
        return Expected(plan.steps * median(self._train[kind]), tested * median(evaluated))


def in_words(seconds: float) -> str:
    """A duration as people say it: "45 s", "12 min", "7.5 h", "3.1 days"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 48 * 3600 else f"{seconds / 86400:.1f} days"


def _kind(choices: dict[str, str], config: Node, hardware: str) -> Kind:
    method, data = config["method"], config["data"]
    chosen = tuple(name for group, name in choices.items() if group.startswith("method"))
    sizes = (method.get("batch_size"), method.get("width"), data["image_size"])
    how = (config["hardware"]["precision"], config["hardware"].get("threads"), config["hardware"].get("devices"))
    return tuple(map(str, (*chosen, choices["data"], *sizes, hardware, *how)))


def _evaluation(config: Node) -> str:
    """Which parts of an evaluation score more than the plain images, and in which precision."""
    parts = [part for part in ("pixel", "robustness", "stability") if config["evaluation"].get(part) is not None]
    return " ".join([*parts, str(config["hardware"].get("score_precision"))])
