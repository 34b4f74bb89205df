"""The contract of a published figure: numbers first, the picture from the numbers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
import yaml
from torch import Tensor

from novelty.config import experiments_dir
from novelty.data.datamodule import to_float
from novelty.data.protocols import Split
from novelty.data.source import Images
from novelty.errors import NoveltyError

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

Columns = dict[str, np.ndarray]
"""Named columns of one length, (n,) each: a CSV file."""


class Numbers(NamedTuple):
    """What a figure shows, as data.

    tables: CSV files by name; the first is called "numbers".  provenance: what measured them (backbone, statistics).
    pictures: (n, C, S, S) in [0, 1] each, and maps (n, 1, S, S), where a figure is a sheet of them.
    """

    tables: dict[str, Columns]
    provenance: dict[str, str]
    pictures: Mapping[tuple[str, ...], Tensor] = MappingProxyType({})


@dataclass(frozen=True)
class Material:
    """What a figure is measured on: a data set, who is normal in it, a device and how many images it takes at once."""

    images: Images
    split: Split
    device: torch.device
    batch: int

    def chosen(self, count: int) -> np.ndarray:
        """Where the first ``count`` normal images for training stand in the data set; all of them where fewer exist."""
        return self.split.train[:count]

    def normal(self, count: int) -> Tensor:
        """These images: (n, C, S, S) float32 in [0, 1] on the CPU."""
        return to_float(self.images.pixels[torch.from_numpy(self.chosen(count))])


class Figure(ABC):
    """A published figure that needs no training. Keyword-only constructor arguments are its options.

    images: how many are measured, or shown.
    """

    def __init__(self, *, images: int) -> None:
        if images < 1:
            raise NoveltyError(f"figure.images is {images}: at least one image must be measured.")
        self.images = images

    @abstractmethod
    def measure(self, material: Material) -> Numbers:
        """Everything that the picture shows but the images themselves, in float32 and without gradients."""

    @abstractmethod
    def draw(self, numbers: Numbers, material: Material) -> Drawing:
        """The picture, inside `style.styled`."""

    @abstractmethod
    def finding(self, numbers: Numbers) -> str:
        """What it shows in one line, beside what was printed."""


def printed(identifier: str) -> Any:
    """A number in a paper's text: ``printed("piad/fig1_perceptual_drop")`` is 22, ``piad/fig3_std_factor`` [2, 3]."""
    path = experiments_dir() / "published" / f"{identifier.split('/', 1)[0]}.yaml"
    numbers = yaml.safe_load(path.read_text(encoding="utf-8"))["text_numbers"]
    return next(number["value"] for number in numbers if number["id"] == identifier)


def change(ratios: np.ndarray) -> str:
    """Ratios in words, mean and standard deviation: (0.76, 0.8) is "falls by 22.0 ± 2.0 %"."""
    mean = float(ratios.mean())
    return f"{'rises' if mean > 1 else 'falls'} by {100 * abs(mean - 1):.1f} ± {100 * ratios.std():.1f} %"
