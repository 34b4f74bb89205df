"""How scores tell normal from novel: ROC and precision-recall curves, and histograms."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Drawing

from novelty.evaluation.metrics import count
from novelty.figures.style import BLUE, FAINT, INK, MUTED, ORANGE, key, remark, sheet, styled

NORMAL, NOVEL = BLUE, ORANGE
"""The two colours of every run's pictures."""

BINS = (10, 60)
"""Of a histogram, at least and at most; between them twice the root of the smaller number of images."""
TAIL = 0.002
"""Share of the scores at either end that a histogram piles up in its outermost bins."""


def curves(scores: np.ndarray, novel: np.ndarray, metrics: dict[str, Any]) -> Drawing:
    """ROC and precision-recall curve of scores (n,) with flags novel (n,), exact at every distinct score.

    metrics: what the record says of them; areas are written from there, with their intervals.
    """
    counted = count(scores, novel)
    true, false = counted.alarms()
    recall = np.concatenate([[0.0], true / true[-1]])
    alarms = np.concatenate([[0.0], false / false[-1]])
    precision = true / (true + false)
    with styled():
        drawing = sheet(3.1)
        left, right = drawing.subplots(1, 2)
        left.plot([0, 1], [0, 1], color=FAINT, linewidth=1, zorder=1)
        left.plot(alarms, recall, color=INK)
        _unit_square(left, "false positive rate", "true positive rate")
        left.set_title(f"ROC   {_with_interval('AUROC', metrics, 'auroc')}")
        share = true[-1] / (true[-1] + false[-1])
        right.axhline(share, color=FAINT, linewidth=1, zorder=1)
        remark(right, 0.01, share, "chance", transform=right.get_yaxis_transform(), va="bottom")
        right.plot(recall[1:], precision, color=INK)
        _unit_square(right, "recall", "precision")
        right.set_title(f"Precision-recall   {_with_interval('AP', metrics, 'average_precision')}")
        return drawing


def _unit_square(axes: Axes, x: str, y: str) -> None:
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), xlabel=x, ylabel=y, aspect="equal")


def _with_interval(name: str, metrics: dict[str, Any], key: str) -> str:
    low, high = metrics.get(f"{key}_interval", (None, None))
    return f"{name} {metrics[key]:.3f}" + (f" ({low:.3f}-{high:.3f})" if low is not None else "")


def histogram(name: str, scores: np.ndarray, novel: np.ndarray, threshold: float | None) -> Drawing:
    """Shares of normal and of novel test images by score (n,), each side adding up to one; the threshold as a line."""
    low, high = np.quantile(scores, (TAIL, 1 - TAIL))
    if not high > low:
        low, high = float(scores.min()) - 0.5, float(scores.max()) + 0.5
    fewest = min(novel.sum(), (~novel).sum())
    edges = np.linspace(low, high, int(np.clip(2 * np.sqrt(fewest), *BINS)) + 1)
    sides = ((~novel, NORMAL, "normal"), (novel, NOVEL, "novel"))
    with styled():
        drawing = sheet(2.3)
        axes = drawing.subplots()
        for side, colour, _ in sides:
            shares = np.histogram(scores[side].clip(low, high), edges)[0] / side.sum()
            axes.stairs(shares, edges, fill=True, color=colour, alpha=0.35)
            axes.stairs(shares, edges, color=colour, linewidth=1.2)
        if threshold is not None and low < threshold < high:
            axes.axvline(threshold, color=MUTED, linewidth=0.8, linestyle=(0, (4, 2)))
            remark(axes, threshold, 0.98, " threshold", transform=axes.get_xaxis_transform(), va="top")
        axes.set(xlabel=f"score {name}, higher = more novel", ylabel="share of images", xlim=(low, high))
        axes.set_ylim(bottom=0)
        key(axes, [(f"{label} ({side.sum():,})", colour) for side, colour, label in sides])
        return drawing
