"""The U-Net: its size, the sides it meets on the way up, and what it refuses."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

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


def test_upsampling_keeps_the_corners() -> None:
    ramp = torch.tensor([0.0, 1.0, 2.0]).expand(1, 1, 3, 3)
    steps = [0, 0.4, 0.8, 1.2, 1.6, 2]
    torch.testing.assert_close(upsample2_to(ramp, 6)[0, 0], torch.tensor(steps).expand(6, 6))
    torch.testing.assert_close(upsample2_to(ramp.mT, 6)[0, 0], torch.tensor(steps).expand(6, 6).mT)
    torch.testing.assert_close(upsample2_to(ramp, 7)[0, 0, 0], torch.tensor([*steps, 0]))
    torch.testing.assert_close(upsample2_to(ramp, 8)[0, 0, 1], torch.tensor([0, *steps, 0]))


def test_a_forward_pass_written_out() -> None:
    """Sides 28, 14, 7, 3, 1 on the way down; the skip comes before what comes from below; the output is linear."""
    torch.manual_seed(0)
    network, x = UNet(3, 28, 2), torch.rand(2, 3, 28, 28)
    weights = network.state_dict()

    def twice(name: str, x: Tensor) -> Tensor:
        for layer in (f"{name}.0", f"{name}.2"):
            x = F.conv2d(x, weights[f"{layer}.weight"], weights[f"{layer}.bias"], padding=1).clamp_min(0)
        return x

    def larger(x: Tensor) -> Tensor:
        return F.interpolate(x, size=2 * x.shape[-1], mode="bilinear", align_corners=True)

    at_28 = twice("first", x)
    at_14 = twice("downs.0.1", F.max_pool2d(at_28, 2))
    at_7 = twice("downs.1.1", F.max_pool2d(at_14, 2))
    at_3 = twice("downs.2.1", F.max_pool2d(at_7, 2))
    at_1 = twice("downs.3.1", F.max_pool2d(at_3, 2))
    up_3 = twice("ups.0", torch.cat([at_3, F.pad(larger(at_1), (0, 1, 0, 1))], 1))
    up_7 = twice("ups.1", torch.cat([at_7, F.pad(larger(up_3), (0, 1, 0, 1))], 1))
    up_14 = twice("ups.2", torch.cat([at_14, larger(up_7)], 1))
    up_28 = twice("ups.3", torch.cat([at_28, larger(up_14)], 1))
    expected = F.conv2d(up_28, weights["last.weight"], weights["last.bias"])
    assert expected.min() < 0
    torch.testing.assert_close(network(x), expected)
    assert [tuple(weights[f"ups.{k}.0.weight"].shape[:2]) for k in range(4)] == [(16, 32), (8, 16), (4, 8), (2, 4)]
    assert [tuple(weights[f"ups.{k}.2.weight"].shape[:2]) for k in range(4)] == [(8, 16), (4, 8), (2, 4), (2, 2)]


def test_four_halvings_need_16_pixels() -> None:
    with pytest.raises(NoveltyError, match=r"data\.image_size to 16"):
        UNet(1, 15)
