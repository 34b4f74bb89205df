"""Blocks against their definitions, and against the oracles of the PIAD fact sheet (section 7)."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from novelty.nn.blocks import (
    BlockDown,
    BlockUp,
    CodeToMap,
    PreActBlock,
    ResidualBlock,
    init_convolutions,
    init_dense,
    lrelu,
    minibatch_stdev,
    upsampled_conv3x3,
)


def test_oracle_6_minibatch_stdev() -> None:
    batch = torch.tensor([[1.0, 2], [3, 6]]).view(2, 2, 1, 1)
    out = minibatch_stdev(batch)
    assert out.shape == (2, 3, 1, 1)
    torch.testing.assert_close(out[:, :2], batch)
    torch.testing.assert_close(out[:, 2], torch.full((2, 1, 1), 1.5))
    alike = minibatch_stdev(torch.ones(4, 2, 3, 3))
    torch.testing.assert_close(alike[:, 2:], torch.full((4, 1, 3, 3), 1e-4))


def test_parts_of_a_batch_are_measured_apart() -> None:
    a, b = torch.randn(3, 2, 4, 4), torch.randn(3, 2, 4, 4)
    apart = torch.cat([minibatch_stdev(a), minibatch_stdev(b)])
    torch.testing.assert_close(minibatch_stdev(torch.cat([a, b]), parts=2), apart)


@pytest.mark.parametrize("side", [1, 4, 5])
def test_upsampled_convolution_is_the_convolution_of_the_upsampled(side: int) -> None:
    conv = nn.Conv2d(3, 5, 3, padding=1).double()
    x = torch.randn(2, 3, side, side, dtype=torch.float64, requires_grad=True)
    slow = conv(F.interpolate(x, scale_factor=2, mode="nearest"))
    fast = upsampled_conv3x3(x, conv)
    torch.testing.assert_close(fast, slow)
    inputs = (x, *conv.parameters())
    for a, b in zip(
        torch.autograd.grad(fast.square().sum(), inputs),
        torch.autograd.grad(slow.square().sum(), inputs),
        strict=True,
    ):
        torch.testing.assert_close(a, b)


def test_oracle_8_code_to_map_is_a_padded_convolution() -> None:
    layer = CodeToMap(6, 5)
    code = torch.randn(2, 6, 1, 1)
    assert layer(code).shape == (2, 5, 4, 4)
    torch.testing.assert_close(layer(code), F.conv2d(code, layer.weight, layer.bias, padding=3))


@pytest.mark.parametrize("out", [3, 4])
def test_blocks_by_definition(out: int) -> None:
    x = torch.randn(2, 3, 8, 8)

    def by_hand(block: PreActBlock, first: nn.Module, lead: bool) -> torch.Tensor:
        h = block.conv1(first(lrelu(x) if lead else x))
        return block.skip(first(x)) + block.conv2(lrelu(h))

    for kind, first, lead, side in (
        (PreActBlock, nn.Identity(), True, 8),
        (BlockUp, nn.Upsample(scale_factor=2), True, 16),
        (BlockDown, nn.AvgPool2d(2, 2), True, 4),
        (ResidualBlock, nn.Identity(), False, 8),
    ):
        block = kind(3, out)
        assert block(x).shape == (2, out, side, side)
        torch.testing.assert_close(block(x), by_hand(block, first, lead))
        assert isinstance(block.skip, nn.Identity if out == 3 else nn.Conv2d)


def test_initialisation() -> None:
    torch.manual_seed(0)
    conv = nn.Conv2d(64, 128, 3)
    init_convolutions(conv)
    assert conv.weight.std().item() == pytest.approx(1.3868 / math.sqrt(128 * 9), rel=0.02)
    dense = nn.Sequential(nn.Linear(200, 300), nn.Linear(300, 100))
    init_dense(dense)
    for layer, gain, fans in ((dense[0], 1.3868, 500), (dense[1], 1.0, 400)):
        bound = gain * math.sqrt(6 / fans)
        assert layer.weight.abs().max().item() == pytest.approx(bound, rel=0.01)
