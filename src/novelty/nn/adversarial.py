"""Pieces of adversarial training by hand: WGAN-GP losses (Gulrajani et al. 2017), gradients scaled on their way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from novelty.nn.processes import own_share

Critic = Callable[[Tensor], Tensor]
"""(B, ...) -> (B,) or (B, 1): how real a sample looks."""


def wasserstein_loss(real: Tensor, fake: Tensor) -> Tensor:
    """E[D(fake)] - E[D(real)], minimised by a critic. real, fake: its outputs. (1, 3) and (0, 2) give -1."""
    return fake.mean() - real.mean()


def gradient_penalty(critic: Critic, real: Tensor, fake: Tensor, scale: float = 1.0) -> Tensor:
    """E[(|grad D(x)| - 1)^2] at random points between real and fake, both (B, ...) and free of graphs; a scalar.

    One point per pair; the norm is taken over all elements of a sample, in float32. The gradient is that of the
    summed output: where a critic couples the samples of a batch, it holds what each sample does to the others.
    ``scale`` multiplies that output and is divided out again: float16 would lose small slopes (16-mixed).
    """
    mix = own_share(lambda n: torch.rand(n, *[1] * (real.dim() - 1), device=real.device), len(real))
    between = torch.lerp(fake.to(real.dtype), real, mix).requires_grad_()
    (slope,) = torch.autograd.grad(critic(between).float().sum() * scale, between, create_graph=True)
    # vector_norm has gradient 0 at 0, where sqrt(sum of squares) has NaN.
    return (torch.linalg.vector_norm(slope.float().flatten(1) / scale, dim=1) - 1).square().mean()


def drift(real: Tensor, fake: Tensor, on: Literal["real", "both"] = "both") -> Tensor:
    """E[D(real)^2], plus E[D(fake)^2] with ``both``: keeps a critic's outputs near 0. (1, 3) and (0, 2): 5 + 2."""
    penalty = real.square().mean()
    return penalty + fake.square().mean() if on == "both" else penalty


class _ScaleGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, factor: Tensor) -> Tensor:
        ctx.save_for_backward(factor)
        return x.view_as(x)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (factor,) = ctx.saved_tensors
        return gradient * factor, None


def scale_gradient(x: Tensor, factor: Tensor) -> Tensor:
    """``x`` itself; what flows back through it is multiplied by ``factor`` (a scalar on its device)."""
    return _ScaleGradient.apply(x, factor)
