"""What is known of decoded originals beside their pixels: a hash of each, and one digest over all."""

from __future__ import annotations

import hashlib
import json
import math
import struct
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from torch import Tensor

from novelty.data.source import Block, Images, Source

NOTES = np.dtype([("content", "<u8", 2), ("mask", "<u8", 2), ("label", "<i8"), ("test", "?")])
"""What is noted of an image: hashes of its decoded pixels and of its mask (0 without), label, official test flag."""


class Summary(NamedTuple):
    """The data set without its pixels; the fields are those of `Images`."""

    labels: np.ndarray
    test: np.ndarray
    contents: np.ndarray
    attributes: Mapping[str, np.ndarray]
    digest: str
    copy: str

    def images(self, source: Source, pixels: Tensor, masks: Tensor | None) -> Images:
        """The whole again."""
        return Images(
            pixels=pixels,
            masks=masks,
            classes=source.classes,
            groupings=source.groupings,
            traits=source.traits,
            **self._asdict(),
        )


def hashes(images: np.ndarray) -> np.ndarray:
    """(n, ...) uint8 or bool as (n, 2) uint64: BLAKE2b, 16 bytes, over the shape (at most four axes) and the values."""
    shape = struct.pack(f"<{images.ndim - 1}I", *images.shape[1:])
    rows = np.ascontiguousarray(images).reshape(len(images), math.prod(images.shape[1:])).view(np.uint8)
    summed = b"".join(hashlib.blake2b(row.data, digest_size=16, person=shape).digest() for row in rows)
    return np.frombuffer(summed, dtype="<u8").reshape(-1, 2)


def notes_of(block: Block) -> np.ndarray:
    """(n,) `NOTES` of the images as they were decoded."""
    notes = np.zeros(len(block.pixels), dtype=NOTES)
    notes["content"], notes["label"], notes["test"] = hashes(block.pixels), block.labels, block.test
    if block.masks is not None:
        notes["mask"] = hashes(block.masks)
    return notes


def summarise(source: Source, notes: np.ndarray) -> Summary:
    """What ``source`` was, once all its images are noted. Raises ValueError where it breaks its contract."""
    kind = type(source).__name__
    labels, test = notes["label"].astype(np.int64), notes["test"].copy()
    if np.any(test[:-1] & ~test[1:]):
        raise ValueError(f"{kind}.blocks gives training images behind test images")
    attributes = {name: np.asarray(values) for name, values in source.attributes.items()}
    for name, values in attributes.items():
        if values.shape != test.shape or values.dtype != bool:
            raise ValueError(f"{kind}.attributes[{name!r}] is {values.dtype} {values.shape}, not bool {test.shape}")
    contents = notes["content"][:, 0].astype(np.uint64)
    return Summary(labels, test, contents, attributes, _digest(source.classes, notes, attributes), source.copy)


def _digest(classes: tuple[str, ...], notes: np.ndarray, attributes: Mapping[str, np.ndarray]) -> str:
    """sha256, 64 hexadecimal digits; neither blocks nor the run's size and channels have a part in it."""
    names = sorted(attributes)
    summed = hashlib.sha256(json.dumps([len(notes), classes, names]).encode())
    for name in notes.dtype.names or ():
        summed.update(np.ascontiguousarray(notes[name]).data)
    for name in names:
        summed.update(np.ascontiguousarray(attributes[name]).data)
    return summed.hexdigest()
