"""Our time held against that of the implementation that the authors published."""

from __future__ import annotations

from typing import Any

import yaml

from novelty.bench.measure import Raw
from novelty.bench.show import si
from novelty.config import experiments_dir


def comparison(raw: Raw, figures: dict[str, Any]) -> list[str]:
    """Sentences; none where nothing like this configuration was measured, or where it did not run on a CPU."""
    known = yaml.safe_load((experiments_dir() / "published" / "speed.yaml").read_text(encoding="utf-8"))
    row = next((row for row in known["rows"] if _is(raw, row)), None)
    if row is None or raw["device"] != "cpu":
        return []
    sentences, where = [], known["hardware"]
    if figures["train"]:
        ends = row["seconds"] if isinstance(row["seconds"], list) else [row["seconds"]]
        times = " to ".join(f"{end / figures['train']['seconds']:.2f}" for end in ends)
        printed = "-".join(f"{end:.2f}" for end in ends)
        flop = f", at {si(figures['train']['flop'], 'FLOP')} against {row['gflop']} GFLOP" if row["gflop"] else ""
        sentences.append(
            f"An iteration is {times} times as fast as the published implementation's {printed} s ({where}){flop}."
        )
    if row["scored_per_second"]:
        times = f"{figures['score']['images_per_second'] / row['scored_per_second']:.2f}"
        sentences.append(
            f"Scoring is {times} times as fast as the published implementation's {row['scored_per_second']} images a "
            f"second ({where})."
        )
    return sentences


def _is(raw: Raw, row: dict[str, Any]) -> bool:
    method, choices = raw["config"]["method"], raw["choices"]
    return (
        choices["method"] == row["method"]
        and choices["data"] in row["data"]
        and raw["batch"] == row["batch"]
        and all(method.get(name) == value for name, value in row["arguments"].items())
    )
