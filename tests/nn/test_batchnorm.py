"""Batch normalisation of a joined batch: two processes against one, and one against torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.multiprocessing as mp
from torch import Tensor, distributed, nn

from novelty.nn.batchnorm import JointBatchNorm2d
from novelty.nn.processes import average_over_processes

SETTINGS: list[dict[str, Any]] = [
    {},
    {"momentum": None},
    {"affine": False},
    {"track_running_stats": False},
]


def _layer(kind: type[nn.BatchNorm2d], settings: dict[str, Any]) -> nn.BatchNorm2d:
    layer = kind(3, **settings).double()
    if layer.affine:
        with torch.no_grad():
            layer.weight.copy_(torch.tensor([0.5, 1.0, 2.0]))
            layer.bias.copy_(torch.tensor([0.1, -0.2, 0.3]))
    return layer


def _joined() -> Tensor:
    """Two batches of 6 images, whose two halves differ in mean and spread."""
    torch.manual_seed(0)
    x = torch.randn(2, 6, 3, 2, 2, dtype=torch.float64)
    x[:, 3:] = 3 * x[:, 3:] + 100
    return x


def _measure(layer: nn.BatchNorm2d, batches: Tensor, mine: slice) -> dict[str, Tensor]:
    """Output, gradients, gradients of gradients and running statistics after two batches, of one process's images."""
    found: dict[str, Tensor] = {}
    weight = torch.tensor([1.5, -0.5, 1.0], dtype=torch.float64, requires_grad=True)
    for batch in batches:
        x = batch[mine].clone().requires_grad_()
        y = layer(x * weight[:, None, None])
        loss = (y.tanh().flatten(1).sum(1)).square().mean()
        (slope,) = torch.autograd.grad(loss, x, create_graph=True)
        penalty = slope.square().flatten(1).sum(1).mean()
        parameters = [weight, *layer.parameters()]
        first = torch.autograd.grad(loss, parameters, retain_graph=True)
        second = torch.autograd.grad(penalty, parameters, allow_unused=True)
        found |= {"y": y.detach(), "slope": slope.detach()}
        found |= {f"first.{i}": g.clone() for i, g in enumerate(first)}
        found |= {f"second.{i}": g.clone() for i, g in enumerate(second) if g is not None}
    return found | {f"state.{name}": value.clone() for name, value in layer.state_dict().items()}


def _work(rank: int, folder: str) -> None:
    distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    torch.set_num_threads(1)
    everything = []
    for settings in SETTINGS:
        layer = _layer(JointBatchNorm2d, settings)
        found = _measure(layer, _joined(), slice(3 * rank, 3 * rank + 3))
        average_over_processes([value for name, value in found.items() if name.startswith(("first", "second"))])
        found["evaluated"] = layer.eval()(_joined()[0]).detach() if layer.track_running_stats else torch.zeros(0)
        half = JointBatchNorm2d(3)(_joined()[0, :3].bfloat16())
        assert half.dtype == torch.bfloat16
        everything.append(found)
    torch.save(everything, f"{folder}/{rank}.pt")
    distributed.destroy_process_group()


@pytest.fixture(scope="module")
def shares(tmp_path_factory: pytest.TempPathFactory) -> list[list[dict[str, Tensor]]]:
    """What two processes found, by rank and setting."""
    folder: Path = tmp_path_factory.mktemp("batchnorm")
    context: Any = mp.start_processes(_work, (str(folder),), nprocs=2, start_method="fork", join=False)
    while not context.join():
        pass
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in (0, 1)]


@pytest.mark.parametrize("index", range(len(SETTINGS)), ids=[str(s) for s in SETTINGS])
def test_two_processes_normalise_as_one_on_their_joined_batch(
    shares: list[list[dict[str, Tensor]]], index: int
) -> None:
    layer = _layer(nn.BatchNorm2d, SETTINGS[index])
    expected = _measure(layer, _joined(), slice(None))
    expected["evaluated"] = layer.eval()(_joined()[0]).detach() if layer.track_running_stats else torch.zeros(0)
    for rank in (0, 1):
        found = shares[rank][index]
        assert found.keys() == expected.keys()
        for name, value in expected.items():
            own = value[3 * rank : 3 * rank + 3] if name in ("y", "slope") else value
            # By its own images a share has the gradient of both losses, each a mean over half as many images.
            factor = 2 if name == "slope" else 4 if name.startswith("second") else 1
            torch.testing.assert_close(found[name], factor * own)


def test_one_process_runs_torch_itself() -> None:
    ours, torchs = (_layer(kind, {}) for kind in (JointBatchNorm2d, nn.BatchNorm2d))
    x = _joined()[0]
    for _ in range(2):
        assert torch.equal(ours(x), torchs(x))
    states = ours.state_dict(), torchs.state_dict()
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    ours.load_state_dict(states[1])
