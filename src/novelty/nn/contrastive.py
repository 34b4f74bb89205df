"""NT-Xent (Chen et al. 2020): of all views in the batch, which one shows the same image?"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, distributed
from torch.nn import functional as F

from novelty.nn.processes import process_count


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        x = x.contiguous()
        shares = [torch.empty_like(x) for _ in range(process_count())]
        distributed.all_gather(shares, x)
        return torch.cat(shares)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        total = gradient.clone()
        distributed.all_reduce(total)
        return total.chunk(process_count())[distributed.get_rank()]


def gather_over_processes(x: Tensor) -> Tensor:
    """The rows (n, ...) of all processes, one after the other: (world * n, ...); ``x`` itself for a single one.

    Gradients are those of the *sum* of all processes' losses, as with `mean_over_processes`: averaging the parameters'
    gradients afterwards gives that of the joined batch.
    """
    return x if process_count() == 1 else _Gather.apply(x)


def nt_xent(features: Tensor, temperature: float = 0.5) -> Tensor:
    """Mean over all anchors of -log softmax of the cosine to the other view, among all views but the anchor; a scalar.

    features: (2n, d), the first views of n images and then the second ones, of any length. Where processes share a
    batch, the mean is over this one's anchors and the negatives come from all. In float32 under autocast as well.
    Views (1, 0), (0, 1) of two images, both twice, at temperature 0.5: ln(1 + 2 / e^2) = 0.2395.
    """
    with torch.autocast(features.device.type, enabled=False):
        unit = F.normalize(features.float(), dim=1)
        others = gather_over_processes(unit)
        count = len(unit)
        first = 0 if process_count() == 1 else distributed.get_rank() * count
        own = torch.arange(count, device=unit.device)
        cosines = unit @ others.T / temperature
        itself = torch.zeros_like(cosines, dtype=torch.bool).scatter_(1, (first + own)[:, None], True)
        return F.cross_entropy(cosines.masked_fill(itself, -torch.inf), first + own.roll(count // 2))
