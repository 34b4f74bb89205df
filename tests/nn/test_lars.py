"""LARS: one step by hand, momentum, and what has no length."""

from __future__ import annotations

import copy

import pytest
import torch

from novelty.nn.lars import LARS


def parameter(values: list[float], gradient: list[float]) -> torch.nn.Parameter:
    made = torch.nn.Parameter(torch.tensor(values))
    made.grad = torch.tensor(gradient)
    return made


def test_a_step_by_hand() -> None:
    weight = parameter([3.0, 4.0], [0.0, 2.0])
    LARS([weight], lr=1.0, weight_decay=0.1, trust=0.5, eps=0.0).step()
    # 0.5 * 5 / (2 + 0.1 * 5) = 1; the gradient with decay is (0.3, 2.4).
    assert weight.tolist() == pytest.approx([2.7, 1.6])


def test_where_a_length_is_0_the_gradient_keeps_its_size() -> None:
    bias, still = parameter([0.0], [2.0]), parameter([5.0], [0.0])
    LARS([bias, still], lr=0.1, weight_decay=0.0).step()
    assert bias.tolist() == pytest.approx([-0.2])
    assert still.tolist() == [5.0]


def test_momentum_and_state() -> None:
    weight = parameter([0.0], [1.0])
    optimizer = LARS([weight], lr=1.0, momentum=0.9, weight_decay=0.0, trust=1.0)
    optimizer.step()
    assert weight.tolist() == [-1.0]
    again = torch.nn.Parameter(weight.detach().clone())
    other = LARS([again], lr=1.0, momentum=0.9, weight_decay=0.0, trust=1.0)
    other.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for one, by in ((weight, optimizer), (again, other)):
        one.grad = torch.tensor([0.0])
        by.step()
    assert weight.tolist() == again.tolist() == pytest.approx([-1.9])


def test_what_has_no_gradient_stays() -> None:
    weight = torch.nn.Parameter(torch.ones(2))
    assert LARS([weight], lr=1.0).step(lambda: 7) == 7
    assert weight.tolist() == [1, 1]
