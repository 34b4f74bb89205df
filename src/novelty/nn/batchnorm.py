"""Batch normalisation that several processes compute as one would on their joined batch."""

from __future__ import annotations

import torch
from torch import Tensor, distributed, nn

from novelty.nn.processes import mean_over_processes, process_count


class JointBatchNorm2d(nn.BatchNorm2d):
    """`nn.BatchNorm2d` whose batch is the joined one of all processes, each of which holds an equal share of it.

    One process runs `nn.BatchNorm2d` itself, and the states of both are interchangeable. Of several, each normalises
    its share by mean and variance of all images, and moves its running statistics by them: those stay alike. One
    exchange a call, on the CPU as well (torch's SyncBatchNorm is for CUDA alone), differentiable any number of times.
    Gradients are those of `mean_over_processes`: averaged over processes, they are those of the joined batch.

    All processes must call it alike often and with the same shape (B, C, H, W).
    """

    def forward(self, input: Tensor) -> Tensor:
        batch_statistics = self.training or self.running_mean is None
        if process_count() == 1 or not batch_statistics:
            return super().forward(input)
        self._check_input_dim(input)
        x = input.float() if input.dtype in (torch.float16, torch.bfloat16) else input
        mean, variance = _joint_statistics(x)
        if self.training and self.running_mean is not None:
            self._remember(mean.detach(), variance.detach(), process_count() * x.numel() // x.shape[1])
        scale = torch.rsqrt(variance + self.eps)
        if self.affine:
            scale = scale * self.weight
        y = (x - mean[:, None, None]) * scale[:, None, None]
        return (y + self.bias[:, None, None] if self.affine else y).to(input.dtype)

    def _remember(self, mean: Tensor, variance: Tensor, count: int) -> None:
        """Moves the running statistics towards those of a batch of ``count`` values a channel, as torch does."""
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        self.num_batches_tracked.add_(1)
        factor = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), factor)
        self.running_var.lerp_((variance * count / (count - 1)).to(self.running_var.dtype), factor)


def _joint_statistics(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and biased variance (C,) of the joined batch, from the shares' own: no small difference of large sums."""
    own = torch.stack([x.mean((0, 2, 3)), x.var((0, 2, 3), correction=0)])
    mine, world = distributed.get_rank(), process_count()
    shares = torch.stack([own * world if rank == mine else torch.zeros_like(own) for rank in range(world)])
    means, variances = mean_over_processes(shares).unbind(1)
    mean = means.mean(0)
    return mean, (variances + (means - mean).square()).mean(0)
