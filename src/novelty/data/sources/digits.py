"""Digits: the 1,797 grey 8x8 images that come with scikit-learn; the data set that is always there."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from novelty.data.source import Block, Source


class Digits(Source):
    """scikit-learn's digits: the test part of UCI's Optical Recognition of Handwritten Digits (Alpaydin, Kaynak 1998).

    Values 0 to 16 become 0 to 255. There is no official split; ours [D]: every fourth image (index % 4 == 3) is a test
    image, 1,348 + 449. About 130 training images a class: for trials, not for results.
    """

    @property
    def classes(self) -> tuple[str, ...]:
        return tuple("0123456789")

    def fingerprint(self) -> str:
        return "scikit-learn digits, index % 4 == 3 is test"

    @property
    def count(self) -> int:
        return 1797

    def blocks(self, start: int = 0) -> Iterator[Block]:
        from sklearn.datasets import load_digits

        bunch = load_digits()
        pixels = np.rint(bunch.images * (255 / 16)).astype(np.uint8)[..., None]
        test = np.arange(len(pixels)) % 4 == 3
        for is_test in (False, True):
            index = np.flatnonzero(test == is_test)
            left, start = index[start:], max(0, start - len(index))
            if len(left):
                yield Block(pixels[left], bunch.target[left].astype(np.int64), is_test)
