"""From the raw times to the figures that a person reads."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean, median
from typing import Any

import numpy as np

from novelty.bench.measure import Raw

Block = dict[str, Any]
"""``{"seconds": one a step, "images": one a step, "memory": {...}}``."""


def figures(raw: Raw) -> dict[str, Any]:
    """Seconds, images per second, bytes and FLOP of one configuration; ``train`` is None where nothing is trained."""
    score = _pace(raw["score"])
    score["flop_per_image"] = sum(raw["score_flop"]["flop"]) / sum(raw["score_flop"]["images"])
    score["flop_per_second"] = score["flop_per_image"] * score["images_per_second"]
    return {
        "train": _training(raw) if raw["trains"] else None,
        "feed_images_per_second": raw["feed"]["images"] / raw["feed"]["seconds"],
        "calibration_seconds": raw["calibration_seconds"],
        "score": score,
        "peak_memory": _peak([*raw.get("train", []), *raw["score"], *([raw["warmup"]] if raw["trains"] else [])]),
    }


def _training(raw: Raw) -> dict[str, Any]:
    found = _pace(raw["train"])
    flop = median(raw["flop"]["flop"])
    best = max(raw["ceiling"], key=lambda c: c["flops"])
    parts, steps = raw["parts"]["parts"], raw["parts"]["steps"]
    whole = sum(parts.values())
    return found | {
        "first_seconds": raw["warmup"]["seconds"][0],
        "iterations_per_second": 1 / found["mean_seconds"],
        "flop": flop,
        "flop_per_second": flop / found["seconds"],
        "ceiling": {"flops": best["flops"], "shape": best["shape"]},
        "share_of_ceiling": flop / found["seconds"] / best["flops"],
        "parts": {name: {"seconds": s / steps, "share": s / whole} for name, s in parts.items()},
        "parts_steps": steps,
    }


def _pace(blocks: Sequence[Block]) -> dict[str, Any]:
    """Over all steps of all blocks: median, the middle 80 %, mean; images by the mean, rare slow steps included."""
    seconds = [s for block in blocks for s in block["seconds"]]
    images = sum(i for block in blocks for i in block["images"])
    low, high = np.quantile(seconds, [0.1, 0.9])
    return {
        "steps": len(seconds),
        "seconds": median(seconds),
        "p10_seconds": float(low),
        "p90_seconds": float(high),
        "mean_seconds": fmean(seconds),
        "images_per_second": images / sum(seconds),
    }


def _peak(blocks: Sequence[Block]) -> dict[str, int | None]:
    gpu = [block["memory"]["gpu"] for block in blocks if block["memory"]["gpu"] is not None]
    return {"process": max(block["memory"]["process"] for block in blocks), "gpu": max(gpu, default=None)}


def ratios(one: Raw, other: Raw) -> dict[str, dict[str, Any] | None]:
    """How many times as many images a second the other trains on, and scores: round by round, then their median.

    {"train": {"ratio", "low", "high", "rounds": [...]}, "score": ...}; low and high are the extremes.
    """
    trained = one["trains"] and other["trains"]
    return {
        "train": _ratio(one["train"], other["train"]) if trained else None,
        "score": _ratio(one["score"], other["score"]),
    }


def _ratio(blocks: Sequence[Block], others: Sequence[Block]) -> dict[str, Any]:
    rounds = [_per_image(a) / _per_image(b) for a, b in zip(blocks, others, strict=True)]
    return {"ratio": median(rounds), "low": min(rounds), "high": max(rounds), "rounds": rounds}


def _per_image(block: Block) -> float:
    """Median seconds for one image: a rare slow step that falls into one block must not decide the ratio."""
    return median(s / i for s, i in zip(block["seconds"], block["images"], strict=True))
