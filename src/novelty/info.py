"""What methods and data tell each other: they never import one another, both import this."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NewType

from novelty.errors import NoveltyError

WeightsFile = NewType("WeightsFile", str)
"""Type of a constructor argument that may name a file: its *content* enters the training key, not its path."""


@dataclass(frozen=True)
class DataInfo:
    """What a method may know of the images it will meet (never labels).

    channels:   1 or 3.
    image_size: side of the square images, in pixels.
    train_size: number of normal training images, or of samples where these are augmented.
    traits:     properties of the data set or category, such as "texture"; methods may branch on these.
    """

    channels: int
    image_size: int
    train_size: int
    traits: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Schedule:
    """How much a method trains: either ``epochs`` passes over the data or ``iterations`` training steps.

    batch_size:       images in one mini-batch, over all processes together.
    batches_per_step: mini-batches that one ``training_step`` receives, joined along the batch axis
                      (a GAN that gives its critics fresh images in each of n rounds asks for n + 1).
    drop_last:        leave out the incomplete mini-batch at the end of each pass (always so with ``iterations``).
    """

    batch_size: int
    epochs: int | None = None
    iterations: int | None = None
    batches_per_step: int = 1
    drop_last: bool = False

    def __post_init__(self) -> None:
        if (self.epochs is None) == (self.iterations is None):
            raise NoveltyError("A schedule is given either in epochs or in iterations: set one of the two.")
        for name in ("batch_size", "epochs", "iterations", "batches_per_step"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise NoveltyError(f"{name} is {value}: it must be at least 1.")

    def batches(self, count: int, world: int = 1) -> int:
        """Mini-batches of one pass over ``count`` images, shared by ``world`` processes."""
        whole, rest = divmod(count, min(self.batch_size, count))
        return whole + (rest >= world and not self.drop_last and self.iterations is None)

    def steps(self, count: int, world: int = 1) -> int:
        """Training steps of a whole training on ``count`` images."""
        return self.iterations or (self.epochs or 1) * max(1, self.batches(count, world) // self.batches_per_step)
