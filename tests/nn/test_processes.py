"""Shares of a joined batch: two processes against one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import torch.multiprocessing as mp
from torch import Tensor, distributed

from novelty.nn.blocks import minibatch_stdev
from novelty.nn.processes import average_over_processes, mean_over_processes, own_share, process_count


def test_one_process_is_left_alone() -> None:
    x = torch.randn(3)
    assert process_count() == 1
    assert mean_over_processes(x) is x
    assert torch.equal(own_share(lambda n: torch.arange(n), 4), torch.arange(4))
    kept = x.clone()
    average_over_processes([x])
    assert torch.equal(x, kept)


def _penalty(x: Tensor, weight: Tensor) -> Tensor:
    """A loss that needs the gradient of the deviation of the batch: the shape of a gradient penalty."""
    x = x.requires_grad_()
    out = (minibatch_stdev(x * weight, parts=2).sum((1, 2, 3)) ** 2).sum()
    (slope,) = torch.autograd.grad(out, x, create_graph=True)
    return slope.square().flatten(1).sum(1).mean()


def _work(rank: int, folder: str) -> None:
    distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    torch.set_num_threads(1)
    torch.manual_seed(0)
    joined = torch.randn(8, 3, 2, 2)
    mine = joined.unflatten(0, (2, 2, 2))[:, rank].flatten(0, 1)  # of both parts the first or second half
    weight = torch.tensor(1.5, requires_grad=True)
    loss = _penalty(mine, weight)
    (gradient,) = torch.autograd.grad(loss, weight)
    found = [loss.detach().clone(), gradient]
    average_over_processes(found)
    noise = own_share(lambda n: torch.arange(n), 2)
    torch.save((found, noise), f"{folder}/{rank}.pt")
    distributed.destroy_process_group()


def test_two_processes_take_the_deviation_and_its_gradients_over_the_joined_batch(tmp_path: Path) -> None:
    context: Any = mp.start_processes(_work, (str(tmp_path),), nprocs=2, start_method="fork", join=False)
    while not context.join():
        pass
    torch.manual_seed(0)
    weight = torch.tensor(1.5, requires_grad=True)
    loss = _penalty(torch.randn(8, 3, 2, 2), weight)
    (gradient,) = torch.autograd.grad(loss, weight)
    for rank in (0, 1):
        found, noise = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        torch.testing.assert_close(found[0], loss.detach())
        torch.testing.assert_close(found[1], gradient)
        assert noise.tolist() == [2 * rank, 2 * rank + 1]
