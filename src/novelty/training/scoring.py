"""Raw scores of a trained cell, and what is recorded of them."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Any, cast

import numpy as np
from omegaconf import OmegaConf
from rich.console import Console

from novelty.check import build
from novelty.data.datamodule import NoveltyData
from novelty.data.protocols.index_file import write_split
from novelty.errors import NoveltyError
from novelty.evaluation.evaluation import Evaluation
from novelty.evaluation.stability import Curve, Stability
from novelty.methods.base import Method
from novelty.results.environment import now
from novelty.results.records import SCHEMA, read_arrays, read_result, write, write_arrays, write_json
from novelty.scores import Disturbance
from novelty.training.callbacks import CalibrateWrapper, CollectScores, Measure
from novelty.training.guards import load_weights
from novelty.training.maps import read_maps, remove_maps
from novelty.training.plan import Plan, make_plan
from novelty.training.processes import first_process
from novelty.training.progress import ProgressBar
from novelty.training.trainer import build_method, data_of, make_trainer, quiet


def score(plan: Plan, data: NoveltyData, console: Console, label: str) -> dict[str, Any]:
    """Write scores.npz by the trained method as its file has it: one path, whether it was trained now or last week.

    The file holds ``index``, ``novel``, ``score/<name>`` of the test images and ``normal/<name>`` of the reference
    images; process 0 writes it, maps beside it where they are wanted. Scores of disturbed test images have names such
    as ``mse@fgsm-0.1``. Returns the part of the record that does not depend on metrics.
    """
    method = build_method(plan, data)
    content = load_weights(method, plan.record.weights, plan.record.training)
    arrays = {"index": plan.split.test, "novel": plan.split.novel}
    measured: dict[str, float] = {}
    count = len(plan.split.test)

    def keep(image: dict[str, np.ndarray]) -> None:
        for name, values in image.items():
            if values.shape != (count + len(data.reference),):
                raise NoveltyError(f"The score {name} has shape {values.shape}: a method returns one number per image.")
            arrays[f"score/{name}"], arrays[f"normal/{name}"] = values[:count], values[count:]

    start = time.monotonic()
    disturbances = _disturbances(plan)
    wanted = plan.config["maps"] or plan.config["evaluation"]["pixel"] is not None
    collect = CollectScores(keep, (plan.record.maps, count) if wanted else None)
    with quiet():
        callbacks = [CalibrateWrapper(), ProgressBar(console, label), Measure(measured.update), collect]
        make_trainer(plan, callbacks).test(method, datamodule=data, verbose=False)
    for name, (path, disturbance) in disturbances.items():
        if disturbance is not None:
            _score_disturbed(
                plan, method, disturbance, path, ProgressBar(console, f"{label}: {name}" if label else name)
            )
        if first_process():
            arrays |= {f"score/{score}": values for score, values in read_arrays(path).items()}
    if first_process():
        write_arrays(plan.record.scores, **arrays)
        shutil.rmtree(plan.record.passes, ignore_errors=True)
    return {
        "primary": method.primary,
        "provenance": method.provenance(),
        "measured": measured,
        "timings": {
            "train_seconds": content["train_seconds"],
            "steps": content["steps"],
            "score_seconds": time.monotonic() - start,
        },
        "environment": content["environment"],
    }


def _disturbances(plan: Plan) -> dict[str, tuple[Path, Disturbance | None]]:
    """Where the scores of each disturbance go, and the disturbance itself where a cut run has not left them there.

    Asked before anything is scored, when all processes see the same files.
    """
    robustness = build(plan.config["evaluation"]).robustness
    if robustness is None:
        return {}
    named = {
        name: (plan.record.passes / f"{name}.npz", d) for name, d in robustness.disturbances(plan.split.novel).items()
    }
    return {name: (path, None if path.is_file() else disturbance) for name, (path, disturbance) in named.items()}


def _score_disturbed(plan: Plan, method: Method, disturbance: Disturbance, path: Path, bar: ProgressBar) -> None:
    """One pass over the test images as they are disturbed; their scores into ``path``."""
    method.disturbance = disturbance
    collect = CollectScores(lambda image: write_arrays(path, **image))
    with quiet():
        make_trainer(plan, [bar, collect]).test(method, datamodule=data_of(plan, reference=0), verbose=False)
    method.disturbance = None


def stored(plan: Plan) -> Path | None:
    """Raw scores that another evaluation of this training left, where they are the ones that this one needs: those of
    its own scoring key, or of one that looked at more epochs of the same training (`Stability.part`)."""
    if found := plan.record.scored():
        return found
    for path in sorted(plan.record.folder.glob("*/result.json")):
        try:
            record = read_result(path)
            scores = path.with_name("scores.npz")
            seen = record["config"]["evaluation"]["stability"]
            if seen is None or _part(plan, record) is None:
                continue
            watching = {**plan.config, "evaluation": {**plan.config["evaluation"], "stability": seen}}
            as_theirs = make_plan(OmegaConf.create(watching), plan.choices).record.scoring
            if as_theirs == record["keys"]["scoring"] and read_arrays(scores):
                return scores
        except (OSError, NoveltyError):  # a damaged record is no source
            continue
    return None


def _part(plan: Plan, record: dict[str, Any]) -> Curve | None:
    """What this evaluation would have seen of the curve of another one's record; None where that is not all there."""
    stability: Stability | None = build(plan.config["evaluation"]).stability
    if stability is None or "curve" not in record:
        return None
    if record["config"]["evaluation"]["stability"] == plan.config["evaluation"]["stability"]:
        return cast(Curve, record["curve"])
    return stability.part(record["curve"])


def reuse(plan: Plan, scores: Path) -> dict[str, Any]:
    """What another evaluation of the same training left, taken over."""
    write(plan.record.scores, lambda path: shutil.copyfile(scores, path))
    if scores.with_name("maps").is_dir():
        shutil.copytree(scores.with_name("maps"), plan.record.maps, dirs_exist_ok=True)
    record = read_result(scores.with_name("result.json"))
    if curve := _part(plan, record):
        write_json(plan.record.curve, dict(curve))
    return {
        name: record[name] for name in ("primary", "provenance", "measured", "timings", "environment") if name in record
    }


def _test_masks(plan: Plan) -> np.ndarray:
    """(n, S, S) bool, of the test images; still on disk where these stand together, as official test sets do."""
    assert plan.images.masks is not None, "make_plan refuses evaluation=pixel without masks"
    masks, test = plan.images.masks.numpy(), plan.split.test
    together = len(test) == test[-1] - test[0] + 1
    return masks[test[0] : test[-1] + 1] if together else masks[test]


def evaluate(plan: Plan, command: str, about: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Metrics of every named score, and the record; ``result.json`` comes last, since its presence says "done"."""
    evaluation: Evaluation = build(plan.config["evaluation"])
    record = plan.record
    write(record.scores.with_name("split.npz"), lambda path: write_split(path, plan.split, plan.images, plan.normal))
    arrays = read_arrays(record.scores)
    maps = read_maps(record.maps) if evaluation.pixel is not None else {}
    masks = _test_masks(plan) if maps else None
    curve = json.loads(record.curve.read_text(encoding="utf-8")) if evaluation.stability is not None else None
    metrics = {}
    for name in (key.split("/", 1)[1] for key in arrays if key.startswith("score/")):
        undisturbed = name.split("@")[0]
        normal = arrays[f"normal/{undisturbed}"]  # thresholds are set by undisturbed images
        primary = undisturbed == about["primary"]
        metrics[name] = evaluation(arrays[f"score/{name}"], arrays["novel"], normal, primary)
        if evaluation.pixel is not None and masks is not None and name in maps:
            metrics[name] |= evaluation.pixel(maps[name], masks)
    if evaluation.stability is not None and curve is not None:
        for name, summary in evaluation.stability.summary(curve).items():
            metrics[name] |= summary
    content = {"schema": SCHEMA, **plan.identity, "metrics": metrics, **about}
    if curve is not None:
        content["curve"] = curve
    write_json(record.result, {**content, "evaluated": now(), "command": command})
    if not plan.config["maps"]:
        remove_maps(record.maps)
    return metrics
