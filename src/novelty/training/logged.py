"""What loggers are told of a finished cell: numbers, scores by image, curves, pictures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from lightning.pytorch.loggers import Logger

from novelty.errors import NoveltyError
from novelty.evaluation.metrics import count
from novelty.results.logs import numbers, run_id
from novelty.results.records import Record, read_arrays, read_result

if TYPE_CHECKING:
    from lightning.pytorch.loggers import TensorBoardLogger, WandbLogger

ROWS = 10_000
"""Images in W&B's table of scores at most, evenly spaced: what its tables show."""

POINTS = 400
"""Points of a curve at most."""


def log_finished(loggers: list[Logger], record: Record, pictures: list[Path]) -> None:
    """Everything that is known of the done cell ``record``; ``pictures``: files of which the .png are shown."""
    from lightning.pytorch.loggers import TensorBoardLogger, WandbLogger

    if not loggers:
        return
    content = read_result(record.result)
    step = content["timings"]["steps"]
    own = numbers(content)
    for logger in loggers:
        if isinstance(logger, WandbLogger):
            logger.experiment.summary.update({k: v for k, v in _earlier(record, content).items() if k not in own})
        logger.log_metrics(own, step)
    arrays = read_arrays(record.scores)
    images = {path.stem: path for path in pictures if path.suffix == ".png"}
    for logger in loggers:
        if isinstance(logger, TensorBoardLogger):
            _to_tensorboard(logger, content, arrays, images, step)
        elif isinstance(logger, WandbLogger):
            _to_wandb(logger, content, arrays, images)
        logger.save()


def _earlier(record: Record, content: dict[str, Any]) -> dict[str, float]:
    """Numbers of other evaluations that share a W&B run with this one: each part of a run that is sent brings a whole
    summary, which takes the place of the last."""
    run = run_id(content["choices"], content["keys"])
    found: dict[str, float] = {}
    for path in sorted(record.folder.glob("*/result.json")):
        try:
            other = read_result(path)
        except (OSError, NoveltyError):  # a damaged record has nothing to add
            continue
        if run_id(other["choices"], other["keys"]) == run:
            found |= numbers(other)
    return found


def roc(scores: np.ndarray, novel: np.ndarray) -> np.ndarray:
    """(n, 2) false and true positive rates of scores (m,), n at most `POINTS` + 1, from (0, 0) to (1, 1)."""
    true, false = count(scores, novel).alarms()
    rates = np.stack([false / false[-1], true / true[-1]], 1)
    kept = np.unique(np.linspace(0, len(rates) - 1, POINTS).round().astype(int))
    return np.concatenate([[[0.0, 0.0]], rates[kept]])


def _to_tensorboard(
    logger: TensorBoardLogger,
    content: dict[str, Any],
    arrays: dict[str, np.ndarray],
    images: dict[str, Path],
    step: int,
) -> None:
    from PIL import Image

    board, name, novel = logger.experiment, content["primary"], arrays["novel"]
    for kind, side in (("normal", ~novel), ("novel", novel)):
        board.add_histogram(f"scores/{name}/{kind}", arrays[f"score/{name}"][side], step)
    for title, path in images.items():
        with Image.open(path) as image:
            board.add_image(f"pictures/{title}", np.asarray(image.convert("RGB")), step, dataformats="HWC")
    board.add_text("command", content["command"], step)


def _to_wandb(
    logger: WandbLogger, content: dict[str, Any], arrays: dict[str, np.ndarray], images: dict[str, Path]
) -> None:
    import wandb

    name, novel = content["primary"], arrays["novel"]
    named = [key for key in arrays if key.startswith("score/")]
    kept = np.unique(np.linspace(0, len(novel) - 1, min(ROWS, len(novel))).round().astype(int))
    rows = [[int(arrays["index"][i]), bool(novel[i]), *(float(arrays[key][i]) for key in named)] for i in kept]
    curve = wandb.Table(["false positive rate", "true positive rate"], roc(arrays[f"score/{name}"], novel).tolist())
    logger.experiment.log(
        {
            "scores/table": wandb.Table(["image", "novel", *(key.split("/", 1)[1] for key in named)], rows),
            "scores/normal": wandb.Histogram(arrays[f"score/{name}"][~novel].tolist()),
            "scores/novel": wandb.Histogram(arrays[f"score/{name}"][novel].tolist()),
            "curves/roc": wandb.plot.line(curve, "false positive rate", "true positive rate", title="ROC"),
            **{f"pictures/{title}": wandb.Image(str(path)) for title, path in images.items()},
        }
    )
    logger.experiment.config.update(
        {
            "split": content["split"],
            "data_copy": content["data"],
            "provenance": content["provenance"],
            "environment": content["environment"],
            "keys": content["keys"],
        },
        allow_val_change=True,
    )
