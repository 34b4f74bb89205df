"""Residual blocks without normalisation, and the layers around them, of PIAD and its relatives.

Every block keeps the order of a pre-activation residual network: y = skip(x) + conv(lrelu(conv(lrelu(x)))), both
convolutions 3x3 with ``out`` filters, the skip a 1x1 convolution where the number of channels changes and nothing
otherwise. The slope of every leaky ReLU is 0.2 (PIAD, supplement).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from novelty.nn.processes import mean_over_processes

SLOPE = 0.2
"""Negative slope of every leaky ReLU (PIAD, supplement)."""


def lrelu(x: Tensor) -> Tensor:
    """Leaky ReLU of slope 0.2."""
    return F.leaky_relu(x, SLOPE)


def conv3x3(channels: int, out: int) -> nn.Conv2d:
    """3x3 convolution that keeps the size."""
    return nn.Conv2d(channels, out, 3, padding=1)


def skip(channels: int, out: int) -> nn.Module:
    """The short way round a block."""
    return nn.Identity() if channels == out else nn.Conv2d(channels, out, 1)


def upsample2(x: Tensor) -> Tensor:
    """(B, C, H, W) -> (B, C, 2H, 2W), nearest neighbour."""
    return F.interpolate(x, scale_factor=2.0, mode="nearest")


_MEETING = torch.tensor([[0.0, 0, 1], [0, 1, 1], [1, 1, 0], [1, 0, 0]])
"""Which taps of a kernel of 3 meet the same pixel once every pixel is doubled; rows: taps of the transposed kernel."""

_JOINED = torch.einsum("ai,bj->ijab", _MEETING, _MEETING).reshape(9, 16)


def upsampled_conv3x3(x: Tensor, conv: nn.Conv2d) -> Tensor:
    """``conv(upsample2(x))`` with 4/9 of the multiplications: (B, C, H, W) -> (B, O, 2H, 2W).

    Upsampling repeats every pixel, so taps that meet the same pixel can be added beforehand: the 3x3 kernel becomes
    a 4x4 kernel of a transposed convolution with stride 2. Equal up to rounding.
    """
    out, channels = conv.weight.shape[:2]
    taps = conv.weight.reshape(out * channels, 9) @ _JOINED.to(conv.weight)
    kernel = taps.view(out, channels, 4, 4).transpose(0, 1)
    return F.conv_transpose2d(x, kernel, conv.bias, stride=2, padding=1)


class PreActBlock(nn.Module):
    """(B, C, H, W) -> (B, out, H, W)."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        self.conv1 = conv3x3(channels, out)
        self.conv2 = conv3x3(out, out)
        self.skip = skip(channels, out)

    def forward(self, x: Tensor) -> Tensor:
        return self.skip(x) + self.conv2(lrelu(self.conv1(lrelu(x))))


class BlockUp(PreActBlock):
    """(B, C, H, W) -> (B, out, 2H, 2W): nearest upsampling before the first convolution and before the skip."""

    def forward(self, x: Tensor) -> Tensor:
        # The 1x1 skip and the upsampling commute: convolving first costs a quarter.
        return upsample2(self.skip(x)) + self.conv2(lrelu(upsampled_conv3x3(lrelu(x), self.conv1)))


class BlockDown(PreActBlock):
    """(B, C, H, W) -> (B, out, H/2, W/2): 2x2 average pooling before the first convolution and before the skip."""

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv1(F.avg_pool2d(lrelu(x), 2))
        return self.skip(F.avg_pool2d(x, 2)) + self.conv2(lrelu(h))


class ResidualBlock(PreActBlock):
    """(B, C, H, W) -> (B, out, H, W), without the leading activation: the first layer on a linear code."""

    def forward(self, x: Tensor) -> Tensor:
        return self.skip(x) + self.conv2(lrelu(self.conv1(x)))


class CodeToMap(nn.Conv2d):
    """4x4 convolution with padding 3 of a 1x1 code: (B, C, 1, 1) -> (B, out, 4, 4).

    Of the 16 taps one meets the code and the others meet padding, so the convolution is a matrix product.
    """

    def __init__(self, channels: int, out: int) -> None:
        super().__init__(channels, out, 4, padding=3)

    def forward(self, code: Tensor) -> Tensor:
        matrix = self.weight.flip(2, 3).transpose(0, 1).flatten(1)
        product = (code.flatten(1) @ matrix).view(-1, self.out_channels, 4, 4)
        return product + self.bias.view(-1, 1, 1) if self.bias is not None else product


def minibatch_stdev(x: Tensor, parts: int = 1) -> Tensor:
    """One channel more, constant: how much the images of the batch differ. (B, C, H, W) -> (B, C + 1, H, W).

    mean over (C, H, W) of sqrt(variance over the batch + 1e-8), the variance biased (Karras et al. 2018, PIAD
    supplement); over the joined batch where processes share one. ``parts`` equal parts of the batch, one after the
    other, are measured apart: the critic's real and fake images go through in one call. Example: the batch
    {(1, 2), (3, 6)} has channel deviations 1 and 2: 1.5.
    """
    apart = x.float().view(parts, -1, *x.shape[1:])
    distance = apart - mean_over_processes(apart.mean(1, keepdim=True))
    variance = mean_over_processes(distance.square().mean(1))
    deviation = (variance + 1e-8).sqrt().flatten(1).mean(1)
    channel = deviation.repeat_interleave(len(x) // parts).to(x.dtype).view(-1, 1, 1, 1)
    return torch.cat([x, channel.expand(-1, 1, *x.shape[2:])], 1)


def init_convolutions(module: nn.Module) -> None:
    """Kaiming normal, fan out, leaky ReLU of slope 0.2: std = 1.3868 / sqrt(fan_out). Biases keep PyTorch's default."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, SLOPE, mode="fan_out", nonlinearity="leaky_relu")


def init_dense(module: nn.Module) -> None:
    """Xavier uniform, gain 1.3868 (leaky ReLU of slope 0.2), on the last layer 1. Biases keep PyTorch's default."""
    layers = [layer for layer in module.modules() if isinstance(layer, nn.Linear)]
    for layer in layers:
        gain = 1.0 if layer is layers[-1] else nn.init.calculate_gain("leaky_relu", SLOPE)
        nn.init.xavier_uniform_(layer.weight, gain)
