"""Sources that need no files: as many images as wanted, as slowly as wanted, or those that a test gives."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np
from fake_layouts import noise

from novelty.data.building import cut
from novelty.data.source import Block, Source

BLOCK = 250


class Generated(Source):
    """``count`` noise images (side, side, channels) of two classes, the last fifth flagged as test.

    block: images that are given at once.  pause: seconds before each block.  given: numbers of images given so far.
    """

    classes = ("a", "b")

    def __init__(
        self, count: int, side: int, channels: int = 3, *, masks: bool = False, block: int = BLOCK, pause: float = 0.0
    ) -> None:
        super().__init__("/nowhere")
        self.images, self.side, self.channels, self.masks = count, side, channels, masks
        self.block, self.pause, self.given = block, pause, list[int]()

    def fingerprint(self) -> str:
        return f"{self.images} {self.side} {self.channels} {self.masks}"

    @property
    def count(self) -> int:
        return self.images

    @property
    def attributes(self) -> dict[str, np.ndarray]:
        number = np.arange(self.images)
        return {"round": number % 3 == 0, "even": number % 2 == 0}

    def blocks(self, start: int = 0) -> Iterator[Block]:
        test_from = self.images - self.images // 5
        stored = noise(0, BLOCK, self.side, self.side, self.channels)
        while start < self.images:
            time.sleep(self.pause)
            stop = min(start + self.block, test_from if start < test_from else self.images)
            number = np.arange(start, stop)
            pixels = stored[number % BLOCK]
            pixels[:, 0, :4, 0] = number.astype("<u4").view(np.uint8).reshape(-1, 4)  # no two alike
            masks = pixels[..., 0] > 200 if self.masks else None
            self.given += number.tolist()
            yield Block(pixels, number % 2, start >= test_from, masks)
            start = stop


class Fake(Source):
    """Given images; counts how often it is decoded. Attributes may be set."""

    attributes = {}

    def __init__(self, blocks, name="fake"):
        super().__init__("/nowhere")
        self.given, self.name, self.decoded = blocks, name, 0

    classes = ("a", "b")

    def fingerprint(self):
        return self.name

    def blocks(self, start=0):
        self.decoded += 1
        for whole in self.given:
            if start < len(whole.labels):
                yield cut(whole, start)
            start = max(0, start - len(whole.labels))


def block(pixels, label=0, test=False, masks=None):
    return Block(pixels, np.full(len(pixels), label), test, masks)


def simple(name="fake"):
    return Fake([block(noise(1, 5, 9, 9, 3)), block(noise(2, 3, 9, 9, 3), 1, True)], name)
