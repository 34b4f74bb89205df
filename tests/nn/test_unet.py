"""The U-Net: its size, the sides it meets on the way up, and what it refuses."""

from __future__ import annotations

import pytest
import torch

from novelty.errors import NoveltyError
from novelty.nn.unet import UNet, upsample2_to


@pytest.mark.parametrize(("channels", "width", "count"), [
    (1, 64, 17_257_409), (3, 64, 17_258_691), (1, 32, 4_315_617), (3, 32, 4_316_259),
])  # fmt: skip
def test_sizes_of_the_fact_sheet(channels: int, width: int, count: int) -> None:
    with torch.device("meta"):
        assert sum(p.numel() for p in UNet(channels, 28, width).parameters()) == count


@pytest.mark.parametrize("side", [16, 17, 28, 30, 31, 32])
def test_images_keep_their_side(side: int) -> None:
    assert UNet(1, side, 2)(torch.rand(2, 1, side, side)).shape == (2, 1, side, side)


def test_upsampling_meets_odd_sides() -> None:
    assert upsample2_to(torch.ones(1, 1, 3, 3), 7)[0, 0].sum(0).tolist() == [6] * 6 + [0]
    assert upsample2_to(torch.ones(1, 1, 1, 1), 2).tolist() == [[[[1, 1], [1, 1]]]]


def test_four_halvings_need_16_pixels() -> None:
    with pytest.raises(NoveltyError, match=r"data\.image_size to 16"):
        UNet(1, 15)
