"""The contract of a figure drawn from cells: records in, numbers out, the picture from the numbers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np
import torch

from novelty.data.protocols import Split
from novelty.data.source import Images
from novelty.errors import NoveltyError
from novelty.figures.base import Numbers
from novelty.methods.base import Method
from novelty.tables import Cell, Layout, Row

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

METRICS = {
    "auroc": "AUROC",
    "auroc_mean_last_20": "AUROC, mean of the last 20 epochs",
    "average_precision": "average precision",
    "f1": "F1",
    "f1_oracle": "F1, best threshold by the labels",
    "fpr_at_tpr95": "FPR at TPR 95 %",
    "fpr_at_tpr99": "FPR at TPR 99 %",
    "fpr_at_tpr995": "FPR at TPR 99.5 %",
    "pixel_auroc": "pixel AUROC",
}
"""Metrics of records in words."""


class Trained(NamedTuple):
    """A trained and calibrated method on its device, with the images that it was trained and tested on."""

    method: Method
    images: Images
    split: Split
    device: torch.device
    batch: int


@dataclass(frozen=True)
class Run:
    """A cell that a figure asks for, and what came of it.

    record: None where it is missing.  path: of the record.  load: the method that it trained (`CellFigure.trained`).
    """

    cell: Cell
    row: Row
    record: dict[str, Any] | None
    path: Path | None = None
    load: Callable[[], Trained] | None = None

    @property
    def key(self) -> tuple[str, str, int]:
        """Row, column and seed: the members of a column share it."""
        return self.cell.row, self.cell.column, self.cell.seed

    @property
    def done(self) -> dict[str, Any]:
        """The record."""
        assert self.record is not None, "only cells that are done are asked for numbers"
        return self.record

    @property
    def title(self) -> str:
        """The cell in a few words, for sentences."""
        return " ".join(filter(None, (self.cell.row, self.cell.column, *self.cell.member, f"seed {self.cell.seed}")))

    def metric(self, metric: str, score: str | None = None) -> float:
        """One number of the record, by default that of the row's score; NoveltyError says which ones there are."""
        scores = self.done["metrics"]
        name = score or self.row.score or self.done["primary"]
        if name not in scores:
            raise NoveltyError(f"The record of {self.title} has no score {name}; it has {', '.join(scores)}.")
        value = scores[name].get(metric)
        if not isinstance(value, (int, float)):
            known = ", ".join(key for key, kept in scores[name].items() if isinstance(kept, (int, float)))
            raise NoveltyError(f"The record of {self.title} has no metric {metric} of {name}; it has {known}.")
        return float(value)

    def scores(self) -> np.ndarray:
        """The raw scores of the test images, (n,) in the order of the split."""
        assert self.path is not None, "only cells that are done have scores"
        with np.load(self.path.with_name("scores.npz")) as stored:
            return np.asarray(stored[f"score/{self.row.score or self.done['primary']}"])


class CellFigure(ABC):
    """A figure whose numbers are trained for. Keyword-only constructor arguments are its options.

    names: rows, columns and scores in the picture's words, by the names that they have in the file.
    paper: what the paper says of it, for the end of the finding.
    """

    trained: ClassVar[bool] = False
    """Whether it shows trained methods at work: then its cells keep their weights."""

    def __init__(self, *, names: Mapping[str, str] | None = None, paper: str = "") -> None:
        self.names = {str(key): name for key, name in (names or {}).items()}
        self.paper = paper

    def admit(self, layout: Layout) -> None:  # noqa: B027  (most figures admit anything)
        """NoveltyError where these cells cannot be drawn so: before hours of training, not after."""

    @abstractmethod
    def gather(self, runs: Sequence[Run]) -> Numbers:
        """Everything that the picture shows, from the cells that are done; at least one is."""

    @abstractmethod
    def draw(self, numbers: Numbers) -> Drawing:
        """The picture, inside `style.styled`."""

    @abstractmethod
    def finding(self, numbers: Numbers) -> str:
        """What it shows in one line."""

    def name(self, key: str) -> str:
        """A row, column or score in words."""
        return self.names.get(key, key.replace("_", " "))

    def require_names(self, option: str, given: Iterable[str], known: Iterable[str]) -> None:
        """NoveltyError for the first of ``given`` that is none of ``known``."""
        allowed = list(known)
        for name in given:
            if name not in allowed:
                raise NoveltyError(f"figure.{option} has {name}, which is none of {', '.join(allowed)}.")


class Point(NamedTuple):
    """Mean and standard deviation over seeds (nan where there is one) of means over the members of a column."""

    mean: float
    std: float
    seeds: int


def pooled(seeds: np.ndarray, members: np.ndarray, values: np.ndarray, whole: int) -> Point | None:
    """One point of values (n,), each of one seed and one member; seeds without all ``whole`` members are left out.

    None where no seed is whole: a mean over other classes than its neighbours' would be no point of their line.
    """
    complete = [s for s in np.unique(seeds) if len(np.unique(members[seeds == s])) == whole]
    means = np.array([values[seeds == s].mean() for s in complete])
    if not len(means):
        return None
    return Point(float(means.mean()), float(means.std(ddof=1)) if len(means) > 1 else float("nan"), len(means))


def one_cell_each(layout: Layout, seeds: bool = True) -> None:
    """NoveltyError where a row and column hold several cells: a picture of trained methods averages nothing.

    seeds: whether several of these may be there.
    """
    if any(len(column.members) > 1 for column in layout.columns):
        raise NoveltyError(f"A column of {layout.name} averages several cells: here each column shows one.")
    if not seeds and any(len(row.seeds) > 1 for row in layout.rows):
        raise NoveltyError(f"{layout.name} shows one training a row and column: give it one seed.")


def in_words(metric: str) -> str:
    """A metric as an axis names it."""
    return METRICS.get(metric, metric.replace("_", " "))


def distinct(values: np.ndarray) -> list[Any]:
    """Values in the order in which they appear first, as plain Python."""
    return list(dict.fromkeys(values.tolist()))
