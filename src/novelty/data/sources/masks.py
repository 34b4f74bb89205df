"""Masks of defects: one grey image beside each image."""

from __future__ import annotations

from pathlib import Path
from typing import IO

import numpy as np

from novelty.data.decode import BrokenImage, decode


def read_mask(file: Path | IO[bytes], image: str, size: tuple[int, int]) -> np.ndarray:
    """(H, W) bool, True where the image in ``file`` is above 127.

    image: what messages call the image that the mask belongs to.  size: (H, W) of that image.

    Raises BrokenImage where the sizes differ, and where a mask is not black all over and yet marks nothing: its values
    are 0 and 1, say, instead of 0 and 255, and the image would pass for a flawless one.
    """
    values = decode(file, 1)[..., 0]
    if values.shape != size:
        raise BrokenImage(
            f"{file} has {values.shape[1]}x{values.shape[0]} pixels, its image {image} {size[1]}x{size[0]}: "
            f"make them equal."
        )
    mask = values > 127
    if values.any() and not mask.any():
        raise BrokenImage(f"{file} marks nothing (its highest value is {values.max()}): a defect must be white, 255.")
    return mask
