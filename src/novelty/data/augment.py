"""Expanded training sets: a number of samples, each an image and a change of it, drawn once, made when they are read.

A sample is a pure function of (pixels, training images, seed, its number): the same in every pass, process and resumed
run. No changed image is kept. Images for validation, thresholds and test are no part of this.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor

from novelty.data.draws import below, shuffled, uniform
from novelty.data.reading import rows, to_float, windows
from novelty.data.transforms import rotate_shift, zoom
from novelty.errors import NoveltyError

_BASE, _ORDER, _FIRST, _SECOND, _THIRD = range(5)
"""Streams of random numbers: which image, in which order, and the parameters of the change."""


class Samples(NamedTuple):
    """base: (n,) int64, which of the training images.  parameters: (n, k) of the change; both on the CPU."""

    base: Tensor
    parameters: Tensor


class Augmentation(ABC):
    """A training set of ``count`` samples made of however many images there are.

    Keyword-only arguments of a subclass are its options: `data.augment` in the configuration.
    """

    version: ClassVar[int] = 1
    """Bumped by hand when samples change: it is part of the training key."""

    limit: int | None = None
    """Set by the framework: samples beyond this number are left out (the smoke budget)."""

    def __init__(self, *, count: int) -> None:
        if count < 1:
            raise NoveltyError(f"data.augment.count is {count}: it must be at least 1.")
        self.count = count

    def __len__(self) -> int:
        """How many samples there are."""
        return min(self.count, self.limit or self.count)

    def side(self, images: int, side: int) -> int:
        """The side of samples of ``images`` training images of ``side`` pixels.

        Raises NoveltyError where samples cannot be made of these.
        """
        return side

    @abstractmethod
    def draw(self, images: int, side: int, seed: int) -> Samples:
        """``count`` samples of ``images`` training images of ``side`` pixels; sample j whatever the others are."""

    @abstractmethod
    def make(self, pixels: Tensor, index: Tensor, parameters: Tensor) -> Tensor:
        """Samples (B, C, s, s) of the images ``index`` of ``pixels`` (N, C, S, S) uint8: uint8, or float in [0, 1]."""


class Zoom(Augmentation):
    """The images themselves and magnified copies of them, exactly ``count``, in a drawn order (Puzzle-AE, MVTec AD).

    As many copies are drawn as are missing; no image gets two more than another [D]. (The paper's code draws three of
    each and keeps the first 800 of all, which are there only from 207 images on.)

    count: how many in all [800].
    scale: smallest and largest magnification, about the middle [1.05 to 1.2].
    """

    def __init__(self, *, count: int = 800, scale: tuple[float, float] = (1.05, 1.2)) -> None:
        super().__init__(count=count)
        _check_range("scale", scale)
        if scale[0] <= 0:
            raise NoveltyError(f"data.augment.scale begins at {scale[0]}: a magnification is above 0.")
        self.scale = scale

    def side(self, images: int, side: int) -> int:
        if images > self.count:
            raise NoveltyError(
                f"data.augment.count is {self.count}, but there are {images} training images already: "
                "raise it, or leave the images as they are with augment=none."
            )
        return side

    def draw(self, images: int, side: int, seed: int) -> Samples:
        copies = self.count - images
        rounds = [shuffled((_BASE, seed, number), images) for number in range(-(-copies // images))]
        base = np.concatenate([np.arange(images), *rounds])[: self.count]
        scale = np.concatenate([np.ones(images), uniform((_FIRST, seed), np.arange(copies), *self.scale)])
        order = shuffled((_ORDER, seed), self.count)
        return _samples(base[order], scale[order])

    def make(self, pixels: Tensor, index: Tensor, parameters: Tensor) -> Tensor:
        return zoom(to_float(rows(pixels, index)), parameters[:, 0])


class RotateShift(Augmentation):
    """``count`` times a drawn image, a little turned and moved, mirrored at the border (VAE-grad, objects of MVTec AD).

    count:   how many [10,000].
    degrees: largest angle to either side [10: decision of the fact sheet].
    shift:   largest move in each direction, as a share of the side [0.05: decision].
    """

    def __init__(self, *, count: int = 10_000, degrees: float = 10.0, shift: float = 0.05) -> None:
        super().__init__(count=count)
        for name, value in (("degrees", degrees), ("shift", shift)):
            if value < 0:
                raise NoveltyError(f"data.augment.{name} is {value}: it must not be negative.")
        self.degrees, self.shift = degrees, shift

    def draw(self, images: int, side: int, seed: int) -> Samples:
        number = np.arange(self.count)
        degrees = uniform((_FIRST, seed), number, -self.degrees, self.degrees)
        right, down = (uniform((k, seed), number, -self.shift, self.shift) for k in (_SECOND, _THIRD))
        return _samples(below((_BASE, seed), number, images), degrees, right, down)

    def make(self, pixels: Tensor, index: Tensor, parameters: Tensor) -> Tensor:
        return rotate_shift(to_float(rows(pixels, index)), parameters[:, 0], parameters[:, 1:])


class Patches(Augmentation):
    """``count`` times a window at a drawn place of a drawn image (VAE-grad, textures of MVTec AD at 512 px).

    Images to score stay whole: they are scored in windows of this size, side by side (`Method.test_step`).

    count: how many [10,000].
    patch: side of a window in pixels; the side of the images is a multiple of it [128].
    """

    def __init__(self, *, count: int = 10_000, patch: int = 128) -> None:
        super().__init__(count=count)
        if patch < 1:
            raise NoveltyError(f"data.augment.patch is {patch}: it must be at least 1 pixel.")
        self.patch = patch

    def side(self, images: int, side: int) -> int:
        if side % self.patch:
            raise NoveltyError(
                f"Images of {side} px cannot be scored in patches of {self.patch}: "
                f"set data.image_size to a multiple, such as {4 * self.patch}."
            )
        return self.patch

    def draw(self, images: int, side: int, seed: int) -> Samples:
        number, places = np.arange(self.count), side - self.patch + 1
        top, left = (below((k, seed), number, places) for k in (_FIRST, _SECOND))
        return _samples(below((_BASE, seed), number, images), top, left)

    def make(self, pixels: Tensor, index: Tensor, parameters: Tensor) -> Tensor:
        return windows(pixels, index, parameters.long(), self.patch)


class VirtualSet:
    """The samples of one run; their positions are those of the training images elsewhere.

    images, side: how many training images there are, and of what size.
    """

    def __init__(self, augmentation: Augmentation, images: int, side: int, seed: int) -> None:
        self.make = augmentation.make
        self.samples = Samples(*(part[: len(augmentation)] for part in augmentation.draw(images, side, seed)))

    def __len__(self) -> int:
        return len(self.samples.base)

    def read(self, pixels: Tensor, index: Tensor, positions: Tensor) -> Tensor:
        """The samples at ``positions``; ``index`` says where in ``pixels`` the training images lie."""
        base, parameters = (part[positions] for part in self.samples)
        return self.make(pixels, index[base], parameters)


def _samples(base: np.ndarray, *parameters: np.ndarray) -> Samples:
    stacked = np.stack([values.astype(np.float64) for values in parameters], axis=1)
    return Samples(torch.from_numpy(base.astype(np.int64)), torch.from_numpy(stacked))


def _check_range(name: str, bounds: tuple[float, ...]) -> None:
    if len(bounds) != 2 or bounds[0] > bounds[1]:
        raise NoveltyError(f"data.augment.{name} is {list(bounds)}: give the smallest and the largest value.")
