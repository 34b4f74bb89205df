"""What a record must look like to be read: files may be cut off, edited by hand or handed over by somebody else."""

from __future__ import annotations

import sys
from typing import Any

_Node = {"_target_": str}
_Number = (int, float)
_FORM = {
    "keys": {"training": str, "scoring": str, "evaluation": str},
    "choices": {"method": str, "data": str},
    "config": {
        "method": _Node,
        "protocol": _Node,
        "evaluation": _Node,
        "data": {"source": _Node, "image_size": (int, type(None)), "channels": int},
        "budget": {
            "name": str,
            "scale": _Number,
            "max_train": (int, type(None)),
            "max_test": (int, type(None)),
        },
        "hardware": {"precision": str},
    },
    "defaults": {"method": dict, "protocol": dict, "evaluation": dict},
    "versions": dict,
    "processes": int,
    "seed": int,
    "data": {"digest": str, "copy": str},
    "weights": dict,
}
_RESULT = {
    "primary": str,
    "metrics": dict,
    "provenance": dict,
    "environment": {"time": str, "hardware": str},
    "split": {"test_normal": int, "test_novel": int},
    "timings": {"train_seconds": _Number, "steps": int, "score_seconds": _Number},
    "evaluated": str,
}
_FAILURE = {"failure": str}
_LARGEST = 1e290
"""Of the scale: lengths times it are still numbers."""


def checked(record: Any, schema: int) -> dict[str, Any]:
    """``record`` where it has all that reports read of a result or of a failure note; ValueError says what it has not.

    schema: the layout that it must name.
    """
    if not isinstance(record, dict) or record.get("schema") != schema:
        raise ValueError(f"not of layout {schema}")
    _fits(record, _FORM, "")
    _is_budget(record["config"]["budget"])
    if "failure" in record:
        _fits(record, _FAILURE, "")
        return record
    _fits(record, _RESULT, "")
    for name, values in record["metrics"].items():
        _fits(values, {"auroc": _Number}, f"metrics.{name}.")
    if record["primary"] not in record["metrics"]:
        raise ValueError(f"metrics of {record['primary']} are missing")
    if "measured" in record:
        _fits(record, {"measured": dict}, "")
        _fits(record["measured"], dict.fromkeys(record["measured"], _Number), "measured.")
    for part in ("versions", "weights", "provenance"):
        kind = int if part == "versions" else str
        _fits(record[part], dict.fromkeys(record[part], kind), f"{part}.")
    for name, node in record["config"].items():
        if name in record["defaults"]:
            _mirrors(record["defaults"][name], node, f"defaults.{name}")
    if (augment := record["config"]["data"].get("augment")) is not None:
        _fits(record["config"]["data"], {"augment": _Node}, "config.data.")
        _mirrors(record["defaults"].get("augment"), augment, "defaults.augment")
    return record


def _fits(value: Any, form: dict[str, Any], place: str) -> None:
    if not isinstance(value, dict):
        raise ValueError(f"{place.rstrip('.') or 'the record'} is no group of entries")
    for name, kind in form.items():
        if isinstance(kind, dict):
            _fits(value.get(name), kind, f"{place}{name}.")
        elif name not in value or not isinstance(value[name], kind) or isinstance(value[name], bool):
            raise ValueError(f"{place}{name} is missing or damaged")
        elif kind is _Number and not abs(value[name]) <= sys.float_info.max:  # NaN, an integer of any length
            raise ValueError(f"{place}{name} is no number")


def _is_budget(budget: dict[str, Any]) -> None:
    """What the form cannot say of a budget: every length is multiplied by its scale, and older ones know no seeds."""
    if not 0 < budget["scale"] < _LARGEST:
        raise ValueError("config.budget.scale is no share of a length")
    if "seeds" in budget:
        _fits(budget, {"seeds": (int, type(None))}, "config.budget.")


def _mirrors(defaults: Any, node: Any, place: str) -> None:
    """Defaults are kept for each nested node: both are walked together when records are matched."""
    if not isinstance(defaults, dict):
        raise ValueError(f"{place} is no group of entries")
    for name, value in node.items():
        if isinstance(value, dict) and "_target_" in value:
            _fits(value, _Node, f"{place}.{name}.")
            _mirrors(defaults.get(name) or {}, value, f"{place}.{name}")
