"""ResNet-18 (He et al. 2016) up to its pooled features, with a stem for small images or for photographs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from novelty.nn.batchnorm import JointBatchNorm2d

Stem = Literal["cifar", "imagenet"]


class BasicBlock(nn.Module):
    """(B, C, H, W) -> (B, out, H/stride, W/stride); the skip is a 1x1 convolution where the shape changes."""

    def __init__(self, channels: int, out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, out, 3, stride, 1, bias=False)
        self.bn1 = JointBatchNorm2d(out)
        self.conv2 = nn.Conv2d(out, out, 3, 1, 1, bias=False)
        self.bn2 = JointBatchNorm2d(out)
        self.downsample: nn.Module = nn.Identity()
        if stride != 1 or channels != out:
            self.downsample = nn.Sequential(nn.Conv2d(channels, out, 1, stride, bias=False), JointBatchNorm2d(out))

    def forward(self, x: Tensor) -> Tensor:
        h = F.relu(self.bn1(self.conv1(x)), inplace=True)
        return F.relu(self.bn2(self.conv2(h)).add_(self.downsample(x)), inplace=True)


class ResNet18(nn.Module):
    """(B, channels, S, S) -> (B, 8 * width): four stages of two blocks, then the mean over places.

    stem:       "cifar": 3x3, stride 1, no pooling (S = 32); "imagenet": 7x7, stride 2, and max pooling (S = 224).
    width:      of the first stage; doubled at each of the others. 64 has 11,168,832 and 11,176,512 parameters.
    checkpoint: keep the inputs of stages only, and compute the rest again where gradients are wanted: less memory for
                a third more time, the same numbers.

    Layers have torchvision's names, so its ResNet-18 files fit the ``imagenet`` stem.
    """

    def __init__(self, channels: int = 3, stem: Stem = "cifar", width: int = 64, checkpoint: bool = False) -> None:
        super().__init__()
        self.stem: Stem = stem
        self.checkpoint = checkpoint
        self.features = 8 * width
        kernel, stride = (3, 1) if stem == "cifar" else (7, 2)
        self.conv1 = nn.Conv2d(channels, width, kernel, stride, kernel // 2, bias=False)
        self.bn1 = JointBatchNorm2d(width)
        self.layer1 = _stage(width, width, 1)
        self.layer2 = _stage(width, 2 * width, 2)
        self.layer3 = _stage(2 * width, 4 * width, 2)
        self.layer4 = _stage(4 * width, 8 * width, 2)
        if stem == "imagenet":  # torchvision's initialisation; small images keep PyTorch's, as in CSI's code
            for layer in self.modules():
                if isinstance(layer, nn.Conv2d):
                    nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        h = F.relu(self.bn1(self.conv1(x)), inplace=True)
        if self.stem == "imagenet":
            h = F.max_pool2d(h, 3, 2, 1)
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            h = self._again(stage, h) if self.checkpoint and torch.is_grad_enabled() else stage(h)
        return h.mean((2, 3))

    def _again(self, stage: nn.Module, x: Tensor) -> Tensor:
        """``stage(x)``, computed a second time in the backward pass, which leaves the running statistics alone."""
        contexts = partial(_twice, stage)
        return cast(Tensor, checkpoint(stage, x, use_reentrant=False, preserve_rng_state=False, context_fn=contexts))


def _twice(stage: nn.Module) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
    return nullcontext(), untouched_statistics(stage)


def _stage(channels: int, out: int, stride: int) -> nn.Sequential:
    return nn.Sequential(BasicBlock(channels, out, stride), BasicBlock(out, out, 1))


@contextmanager
def untouched_statistics(network: nn.Module) -> Iterator[None]:
    """Batch normalisation of ``network`` in training mode goes by its batch, as always, but remembers nothing of it."""
    layers = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d) and m.training]
    kept = [(layer.running_mean, layer.running_var, layer.num_batches_tracked) for layer in layers]
    for layer in layers:  # what they remember meanwhile is thrown away
        layer.running_mean, layer.running_var, layer.num_batches_tracked = (
            None if value is None else value.clone()
            for value in (layer.running_mean, layer.running_var, layer.num_batches_tracked)
        )
    try:
        yield
    finally:
        for layer, values in zip(layers, kept, strict=True):
            layer.running_mean, layer.running_var, layer.num_batches_tracked = values
