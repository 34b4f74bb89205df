"""Resizing: images one by one or together, masks with their images."""

from __future__ import annotations

import numpy as np
import torch
from fake_layouts import noise
from hypothesis import given
from hypothesis import strategies as st

from novelty.data.resize import masks_to_square, to_square


@given(st.integers(3, 40), st.integers(3, 40), st.sampled_from([1, 3]), st.integers(1, 24), st.integers(0, 99))
def test_images_are_resized_one_like_many(height, width, channels, size, seed):
    """Blocks have no part in the result: a cache that was cut goes on to the byte."""
    pixels = noise(seed, 5, height, width, channels)
    alone = [to_square(pixels[i : i + 1], size) for i in range(5)]
    assert torch.equal(to_square(pixels, size), torch.cat(alone))


@given(st.integers(3, 70), st.integers(3, 70), st.integers(1, 40), st.data())
def test_masks_follow_their_images(height, width, size, data):
    """Where the image is one value around a pixel, so is the mask there."""
    top, left = data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))
    masks = np.zeros((2, height, width), dtype=bool)
    masks[0, top:, left:] = True
    image = to_square(masks[..., None].astype(np.uint8) * 255, size)[:, 0].numpy()
    ours = masks_to_square(masks, size)
    assert ours.shape == (2, size, size)
    assert ours.dtype == bool
    assert ours[image == 255].all()
    assert not ours[image == 0].any()
