"""Pieces of adversarial training by hand: WGAN-GP losses (Gulrajani et al. 2017), gradients scaled and averaged."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, distributed
from torch.autograd.function import once_differentiable

Critic = Callable[[Tensor], Tensor]
"""(B, ...) -> (B,) or (B, 1): how real a sample looks."""


def wasserstein_loss(real: Tensor, fake: Tensor) -> Tensor:
    """E[D(fake)] - E[D(real)], minimised by a critic. real, fake: its outputs. (1, 3) and (0, 2) give -1."""
    return fake.mean() - real.mean()


def gradient_penalty(critic: Critic, real: Tensor, fake: Tensor) -> Tensor:
    """E[(|grad D(x)| - 1)^2] at random points between real and fake, both (B, ...) and free of graphs; a scalar.

    One point per pair; the norm is taken over all elements of a sample, in float32. The gradient is that of the
    summed output: where a critic couples the samples of a batch, it holds what each sample does to the others.
    """
    mix = torch.rand(len(real), *[1] * (real.dim() - 1), device=real.device)
    between = torch.lerp(fake.to(real.dtype), real, mix).requires_grad_()
    (slope,) = torch.autograd.grad(critic(between).float().sum(), between, create_graph=True)
    # vector_norm has gradient 0 at 0, where sqrt(sum of squares) has NaN.
    return (torch.linalg.vector_norm(slope.float().flatten(1), dim=1) - 1).square().mean()


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


def average_over_processes(gradients: Sequence[Tensor]) -> None:
    """The mean of each gradient over all processes, in place, in one exchange; nothing to do for a single process.

    Several losses, several networks and gradients of gradients do not fit DistributedDataParallel's hooks: a method
    with manual optimisation calls plain `backward`, which leaves those hooks alone, and then this.
    """
    if not (distributed.is_available() and distributed.is_initialized()) or distributed.get_world_size() == 1:
        return
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    distributed.all_reduce(flat)
    flat /= distributed.get_world_size()
    for gradient, mean in zip(gradients, torch.split(flat, [g.numel() for g in gradients]), strict=True):
        gradient.copy_(mean.view(gradient.shape))
