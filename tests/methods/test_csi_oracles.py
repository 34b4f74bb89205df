"""The oracles of the fact sheet `contrasting_synthetic` that concern CSI (section 8: 1, 2, 3, 5, 6, 9, 10)."""

from __future__ import annotations

import math

import pytest
import torch
from small_csi import csi
from torch import Tensor

from novelty.data.sources.cifar100 import CSI_REPO, OFFICIAL
from novelty.info import DataInfo
from novelty.methods.csi import CSI
from novelty.methods.csi.bank import Bank, nearest
from novelty.methods.csi.extractor import Extractor, rotation_loss, views_of
from novelty.nn.augmentations import turned
from novelty.nn.contrastive import nt_xent


def parameters(module: torch.nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def test_oracle_1_sizes_of_the_extractor() -> None:
    with torch.device("meta"):
        small, large = Extractor(3, 32), Extractor(3, 224)
        assert small(torch.rand(2, 3, 32, 32)).projections.shape == (2, 128)
        assert large(torch.rand(2, 3, 224, 224)).logits.shape == (2, 4)
    assert parameters(small.trunk) == 11_168_832
    assert parameters(small.projection) == 328_320
    assert parameters(small.shift) == 2_052
    assert parameters(small) == 11_499_204
    assert parameters(large.trunk) == 11_176_512
    assert parameters(large) == 11_506_884
    with torch.device("meta"):
        assert parameters(CSI(DataInfo(3, 32, 100))) == 11_499_204  # neither a joint layer nor one for ten classes


A, B = (1.0, 0.0), (0.0, 1.0)


@pytest.mark.parametrize(
    ("first", "second", "value"),
    [
        ([A, B], [A, B], math.log(1 + 2 / math.e**2)),
        ([A, B], [B, A], 2.239545),
        ([A, A], [A, A], math.log(3)),
        ([A, A, A, A], [A, A, A, A], math.log(7)),
        ([A, B], [(0.6, 0.8), (-0.8, 0.6)], 0.668040),
        ([A], [(0.6, 0.8)], 0.0),
    ],
)
def test_oracle_2_nt_xent(first: list[Tensor], second: list[Tensor], value: float) -> None:
    features = torch.tensor([*first, *second])
    assert nt_xent(features, 0.5).item() == pytest.approx(value, abs=1e-6)
    assert nt_xent(features * torch.rand(len(features), 1).add(0.1), 0.5).item() == pytest.approx(value, abs=1e-6)


def test_oracle_2_the_first_value_as_printed() -> None:
    assert nt_xent(torch.tensor([A, B, A, B]), 0.5).item() == pytest.approx(0.239545, abs=1e-6)


def test_oracle_3_rotation_loss_of_zero_logits() -> None:
    assert rotation_loss(torch.zeros(8, 4), torch.arange(4).repeat(2)).item() == pytest.approx(1.386294, abs=1e-6)


FEATURES = torch.tensor([[[3.0, 4.0], [0.0, 2.0]]])
NEIGHBOURS = torch.tensor([[[1.0, 0.0], [0.0, 1.0]], [[0.0, 1.0], [1.0, 0.0]]])


def test_oracle_5_one_neighbour_for_all_rotations_or_one_for_each() -> None:
    together, apart = nearest(FEATURES, NEIGHBOURS)
    assert together.tolist() == [5]
    assert apart.sum(1).tolist() == [6]
    for block in (1, 2):
        assert torch.equal(nearest(FEATURES, NEIGHBOURS, block)[0], together)
    assert nearest(FEATURES * 7, NEIGHBOURS)[0].tolist() == [35]


def test_oracle_5_the_length_of_a_neighbour_counts_for_nothing() -> None:
    features, neighbours = torch.randn(3, 4, 6), torch.randn(5, 4, 6)
    found = []
    for factor in (1.0, 10.0):
        bank = Bank(5, 6)
        bank.fill(neighbours * factor, torch.ones(5, 4))
        found.append(bank(features, torch.zeros(3, 4))["joint"])
    torch.testing.assert_close(*found)
    torch.testing.assert_close(bank(features * 3, torch.zeros(3, 4))["joint"], found[0] * 3)


def test_oracle_6_quarter_turns() -> None:
    x = torch.rand(2, 3, 5, 5)
    again = x
    for _ in range(4):
        again = torch.rot90(again, 1, (2, 3))
    assert torch.equal(again, x)
    blocks = turned(x).chunk(4)
    assert torch.equal(blocks[0], x)
    assert torch.equal(torch.rot90(blocks[3], 1, (2, 3)), x)
    assert torch.equal(torch.rot90(blocks[1], 1, (2, 3)), blocks[2])
    assert views_of(2, x.device).tolist() == [0, 0, 1, 1, 2, 2, 3, 3] * 2


def test_oracle_9_superclasses() -> None:
    for table in (OFFICIAL, CSI_REPO):
        assert len(table) == 20
        assert all(len(group) == 5 for group in table.values())
        assert sorted(label for group in table.values() for label in group) == list(range(100))
    same = {name for name in OFFICIAL if set(OFFICIAL[name]) == set(CSI_REPO[name])}
    assert same == {
        "flowers", "fruit and vegetables", "insects", "large carnivores", "trees", "vehicles 1", "vehicles 2"
    }  # fmt: skip


def test_oracle_10_warm_up() -> None:
    method = csi(epochs=1000)
    assert [method.rate_at(epoch) for epoch in (0, 5, 10)] == pytest.approx([0.1, 0.55, 1.0])
    assert method.rate_at(510) == pytest.approx(0.5)  # half a cosine takes 1000 epochs from there
    constant = csi(optimizer="adam")
    assert {constant.rate_at(epoch) for epoch in (0, 5, 999)} == {2e-4}
