"""NT-Xent where two processes share a batch: the loss and the gradients of one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import torch.multiprocessing as mp
from torch import Tensor, distributed

from novelty.nn.contrastive import gather_over_processes, nt_xent
from novelty.nn.processes import average_over_processes

IMAGES = 6


def _joined() -> Tensor:
    """Two views (2, 6, 5) of six images."""
    return torch.randn(2, IMAGES, 5, generator=torch.Generator().manual_seed(0))


def _loss(views: Tensor) -> list[Tensor]:
    weight = torch.linspace(0.5, 1.5, 5).requires_grad_()
    loss = nt_xent((views * weight).flatten(0, 1), 0.3)
    return [loss.detach(), *torch.autograd.grad(loss, weight)]


def _work(rank: int, folder: str) -> None:
    distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    torch.set_num_threads(1)
    found = _loss(_joined()[:, 3 * rank : 3 * rank + 3])
    average_over_processes(found)
    torch.save((found, gather_over_processes(torch.tensor([[rank]]))), f"{folder}/{rank}.pt")
    distributed.destroy_process_group()


def test_two_processes_are_one_with_the_joined_batch(tmp_path: Path) -> None:
    context: Any = mp.start_processes(_work, (str(tmp_path),), nprocs=2, start_method="fork", join=False)
    while not context.join():
        pass
    expected = _loss(_joined())
    for rank in (0, 1):
        found, gathered = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        torch.testing.assert_close(found, expected)
        assert gathered.tolist() == [[0], [1]]


def test_other_turns_of_an_image_are_negatives() -> None:
    same = torch.tensor([[1.0, 0.0]]).repeat(8, 1)  # four turns of one image, two views, all alike
    assert nt_xent(same).item() > nt_xent(same[:2]).item() == 0


def test_in_float32_under_autocast() -> None:
    x = _joined().flatten(0, 1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(nt_xent(x), nt_xent(x.float()))
        assert nt_xent(x.bfloat16()).dtype == torch.float32
