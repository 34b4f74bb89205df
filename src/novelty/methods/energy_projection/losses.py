"""How far a reconstruction is from its image in training, and the KL divergence (sheet, 2).

One number an image, a sum over all its C*H*W elements but for SSIM; the mean over images is the loss.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from novelty.nn.ssim import dssim_map

LOWEST_LOG_GAMMA = -6.0
"""Below it log gamma is not used: a numerical guard alone, gamma tends to 0 where images are rebuilt exactly [D]."""


class SquaredError(nn.Module):
    """||x - f||^2 of images (B, C, H, W) and reconstructions: (B,). L2AE."""

    def forward(self, images: Tensor, rebuilt: Tensor) -> Tensor:
        return squared_error(images, rebuilt)


class MeanDSSIM(nn.Module):
    """Mean of (1 - SSIM)/2 over pixels and channels, 11x11 window: (B,). DSAE."""

    def forward(self, images: Tensor, rebuilt: Tensor) -> Tensor:
        return dssim_map(images, rebuilt).mean((1, 2, 3))


class UnitGaussian(nn.Module):
    """||x - f||^2 / 2, a Gaussian decoder with the identity as covariance, its constant left out: (B,). VAE."""

    def forward(self, images: Tensor, rebuilt: Tensor) -> Tensor:
        return squared_error(images, rebuilt) / 2

    def weight(self) -> Tensor | float:
        """What ||x - f||^2 is multiplied by."""
        return 0.5


class LearnedGaussian(nn.Module):
    """-log N(x | f, gamma^2 I): (B,). gamma, one number for all elements, is learned and begins at 1. gamma-VAE.

    A mean squared error of 0.04 gives -0.190499 an element at its best, gamma = 0.2, and 0.938939 at gamma = 1.
    """

    def __init__(self) -> None:
        super().__init__()
        self.raw_log_gamma = nn.Parameter(torch.zeros(()))

    @property
    def log_gamma(self) -> Tensor:
        """log gamma, (), not below -6; the gradient passes that bound, so that gamma finds back above it."""
        raw = self.raw_log_gamma
        return raw + (raw.clamp(min=LOWEST_LOG_GAMMA) - raw).detach()

    def forward(self, images: Tensor, rebuilt: Tensor) -> Tensor:
        log_gamma = self.log_gamma
        constant = images[0].numel() * (log_gamma + 0.5 * math.log(2 * math.pi))
        return 0.5 * (-2 * log_gamma).exp() * squared_error(images, rebuilt) + constant

    def weight(self) -> Tensor:
        """What ||x - f||^2 is multiplied by: 1 / (2 gamma^2), ()."""
        return 0.5 * (-2 * self.log_gamma.detach()).exp()


def squared_error(x: Tensor, y: Tensor) -> Tensor:
    """||x - y||^2 of (B, ...): (B,)."""
    return (x - y).square().flatten(1).sum(1)


def kl_to_standard_normal(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL(N(mean, variance) || N(0, I)) of (B, ...): (B,). Means (1, 0) and deviations (1, 0.5) give 0.818147."""
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).flatten(1).sum(1)


def in_full(x: Tensor) -> Tensor:
    """Half precision as float32, anything else as it is: losses are sums over tens of thousands of elements."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
