"""What a method with manual optimisation does for several processes to compute what one would on their joined batch.

All are seeded alike before every step. Each holds an equal share of every mini-batch, shares follow each other in the
order of the processes, and a loss is the mean over the joined batch where every process takes the mean over its share,
noise is drawn for the joined batch, statistics of the batch are taken over it, and gradients are averaged.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, distributed


def process_count() -> int:
    """How many processes share a batch; 1 outside of distributed training."""
    return distributed.get_world_size() if distributed.is_available() and distributed.is_initialized() else 1


def own_share(draw: Callable[[int], Tensor], count: int) -> Tensor:
    """This process's rows of ``draw(n)``, noise (n, ...) for the joined mini-batch; ``count``: rows of its own share.

    Example: ``own_share(lambda n: torch.randn(n, 3, device=device), len(images))``.
    """
    world = process_count()
    if world == 1:
        return draw(count)
    first = distributed.get_rank() * count
    return draw(world * count)[first : first + count]


class _Sum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        total = x.clone()
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return _Sum.apply(gradient.contiguous())


def mean_over_processes(x: Tensor) -> Tensor:
    """The mean of ``x`` over all processes, differentiable any number of times; ``x`` itself for a single one.

    What each process adds up of gradients through it is the gradient of the *sum* of all processes' losses, so that
    averaging the parameters' gradients afterwards gives that of the joined batch.
    """
    world = process_count()
    return x if world == 1 else _Sum.apply(x) / world


def average_over_processes(tensors: Sequence[Tensor]) -> None:
    """The mean of each tensor over all processes, in place, in one exchange; nothing to do for a single process.

    Several losses, several networks and gradients of gradients do not fit DistributedDataParallel's hooks: a method
    with manual optimisation calls plain `backward`, which leaves those hooks alone, and then this.
    """
    world = process_count()
    if world == 1:
        return
    flat = torch.cat([tensor.flatten() for tensor in tensors])
    distributed.all_reduce(flat)
    flat /= world
    for tensor, mean in zip(tensors, torch.split(flat, [t.numel() for t in tensors]), strict=True):
        tensor.copy_(mean.view(tensor.shape))
