"""How long a cell will take, learnt from the records of its like."""

from __future__ import annotations

from collections.abc import Iterable
from statistics import median
from typing import Any, NamedTuple

from novelty.check import Node
from novelty.results.environment import hardware_name
from novelty.training.plan import Plan, split_sizes

Kind = tuple[str, ...]
"""What cells must share, beside the hardware, for the pace of one to tell that of another."""


class Expected(NamedTuple):
    """Seconds; ``hardware`` names what they were learnt on, where that is not this machine's."""

    train: float
    score: float
    hardware: str = ""


class Times:
    """Seconds a step and seconds a test image, by kind of cell and hardware; the median of what was measured."""

    def __init__(self, records: Iterable[dict[str, Any]]) -> None:
        """records: as `results.records.read_all` gives them; failures and unreadable ones are passed over."""
        self._train: dict[Kind, dict[str, list[float]]] = {}
        self._score: dict[tuple[Kind, str, str], list[float]] = {}
        for record in records:
            if "metrics" not in record:
                continue
            timings, tested = record["timings"], record["split"]["test_normal"] + record["split"]["test_novel"]
            kind, hardware = _kind(record["choices"], record["config"]), record["environment"]["hardware"]
            self._train.setdefault(kind, {}).setdefault(hardware, []).append(
                timings["train_seconds"] / max(1, timings["steps"])
            )
            self._score.setdefault((kind, hardware, _evaluation(record["config"])), []).append(
                timings["score_seconds"] / max(1, tested)
            )

    def expected(self, plan: Plan, here: bool = True, elsewhere: bool = False) -> Expected | None:
        """Seconds of training and of scoring; None where nothing of this kind ran.

        here: it is to run on this machine, whose own records come before others.  elsewhere: without such, what ran on
        other hardware tells, if all of it is the same.
        """
        kind = _kind(plan.choices, plan.config)
        known = self._train.get(kind, {})
        own = hardware_name(plan.config["hardware"]["accelerator"]) if here else None
        if own in known:
            hardware, name = own, ""
        elif elsewhere and len(known) == 1:
            (hardware,) = known
            name = hardware
        else:
            return None
        sizes = split_sizes(plan)
        evaluated = self._score.get((kind, hardware, _evaluation(plan.config))) or [
            pace for (*other, _), paces in self._score.items() if other == [kind, hardware] for pace in paces
        ]
        tested = sizes["test_normal"] + sizes["test_novel"]
        return Expected(plan.steps * median(known[hardware]), tested * median(evaluated), name)


def in_words(seconds: float) -> str:
    """A duration as people say it: "45 s", "12 min", "7.5 h", "3.1 days"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 48 * 3600 else f"{seconds / 86400:.1f} days"


def _kind(choices: dict[str, str], config: Node) -> Kind:
    method, data = config["method"], config["data"]
    chosen = tuple(name for group, name in choices.items() if group.startswith("method"))
    sizes = (method.get("batch_size"), method.get("width"), data["image_size"])
    how = (config["hardware"]["precision"], config["hardware"].get("threads"), config["hardware"].get("devices"))
    return tuple(map(str, (*chosen, choices["data"], *sizes, *how)))


def _evaluation(config: Node) -> str:
    """Which parts of an evaluation score more than the plain images, and in which precision."""
    parts = [part for part in ("pixel", "robustness", "stability") if config["evaluation"].get(part) is not None]
    return " ".join([*parts, str(config["hardware"].get("score_precision"))])
