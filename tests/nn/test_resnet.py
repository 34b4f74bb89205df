"""ResNet-18: torchvision's in the large, memory for time, and statistics that stay as they were."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor

from novelty.nn.resnet import ResNet18, Stem, untouched_statistics


def state(network: torch.nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in network.state_dict().items()}


def test_it_is_torchvisions_where_the_stem_is() -> None:
    from torchvision.models import resnet18

    torch.manual_seed(0)
    theirs = resnet18(weights=None)
    theirs.fc = torch.nn.Identity()
    ours = ResNet18(stem="imagenet")
    ours.load_state_dict(theirs.state_dict())
    x = torch.rand(2, 3, 64, 64)
    torch.testing.assert_close(ours.train()(x), theirs.train()(x))
    torch.testing.assert_close(ours.eval()(x), theirs.eval()(x))


@pytest.mark.parametrize(("stem", "side"), [("cifar", 16), ("imagenet", 64)])
def test_checkpointing_changes_nothing_but_memory(stem: Stem, side: int) -> None:
    torch.manual_seed(0)
    plain = ResNet18(3, stem, 4)
    frugal = copy.deepcopy(plain)
    frugal.checkpoint = True
    x = torch.rand(4, 3, side, side)
    found = []
    for network in (plain, frugal):
        image = x.clone().requires_grad_()
        network(image).square().sum().backward()
        found.append([image.grad, *(p.grad for p in network.parameters()), *state(network).values()])
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("checkpoint", [False, True])
def test_statistics_are_untouched_and_the_batch_counts_all_the_same(checkpoint: bool) -> None:
    torch.manual_seed(0)
    network = ResNet18(width=4, checkpoint=checkpoint).train()
    before, buffers = state(network), dict(network.named_buffers())
    x = torch.rand(4, 3, 8, 8)
    with untouched_statistics(network):
        inside = network(x)
    inside.sum().backward()
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert all(buffer is buffers[name] for name, buffer in network.named_buffers())
    torch.testing.assert_close(inside, network(x))
    assert any(not torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_statistics_are_put_back_after_an_error() -> None:
    network = ResNet18(width=4)
    before = state(network)
    with pytest.raises(RuntimeError), untouched_statistics(network):
        network(torch.rand(2, 5, 8, 8))
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
