"""A method that learns nothing and takes its time, so that what a sweep itself costs can be seen."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from typing import ClassVar

import torch
from torch import Tensor

from novelty.info import DataInfo
from novelty.methods.base import Fitted
from novelty.scores import Scores


class Sleeping(Fitted):
    """Sleeps for ``seconds``, noting in ``journal`` when it lay down and got up; the score is the mean brightness."""

    primary = "brightness"
    fitted: ClassVar[tuple[str, ...]] = ("rested",)

    def __init__(self, *, info: DataInfo, seconds: float = 0.1, journal: str = "") -> None:
        super().__init__(info)
        self.seconds = seconds
        self.journal = journal
        self.rested: Tensor = torch.zeros(1)

    def calibrate(self, batches: Iterable[Tensor]) -> None:
        self._note("begins")
        time.sleep(self.seconds)
        self._note("ends")

    def _note(self, word: str) -> None:
        line = f"{self.seed} {word} {time.time()} {os.getpid()}\n"
        file = os.open(self.journal, os.O_WRONLY | os.O_CREAT | os.O_APPEND)  # one write: lines of others stay whole
        os.write(file, line.encode())
        os.close(file)

    def score(self, images: Tensor) -> dict[str, Scores]:
        return {"brightness": Scores(images.mean((1, 2, 3)))}
