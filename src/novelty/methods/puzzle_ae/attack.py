"""Noise that spoils shortcuts: low-level traces, such as edges of tiles, that would give a puzzle's solution away."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal

import torch
from torch import Tensor, nn

Noise = Literal["fgsm", "pgd", "random", "none"]
Form = Literal["paper", "repo"]
Network = Callable[[Tensor], Tensor]


@contextmanager
def frozen(network: nn.Module) -> Iterator[None]:
    """Inside, graphs through ``network`` reach its input only: nothing is kept or computed for its weights."""
    weights = [weight for weight in network.parameters() if weight.requires_grad]
    for weight in weights:
        weight.requires_grad_(False)
    try:
        yield
    finally:
        for weight in weights:
            weight.requires_grad_(True)


def slope_sign(network: Network, inputs: Tensor, reference: Tensor) -> Tensor:
    """Sign of the gradient of |network(x) - reference|² at x = inputs, both (B, C, S, S); the reference is constant.

    The square has the sign of the norm of eq. 1, and no division by a norm of zero [authors' code].
    """
    inputs = inputs.detach().requires_grad_()
    with torch.enable_grad():
        outputs = network(inputs)
    # Half the square, summed: its gradient at the outputs is the residual, which no float16 is too small for.
    (slope,) = torch.autograd.grad(outputs, inputs, (outputs.detach().float() - reference).to(outputs.dtype))
    return slope.sign()


def ascended(
    network: Network, puzzles: Tensor, reference: Tensor, start: Tensor, epsilon: float, step: float, steps: int = 1
) -> Tensor:
    """Eq. 1, lines 1 to 3: delta, from ``start`` in [-epsilon, epsilon], after ``steps`` of FGSM (more are PGD).

    delta <- clip(delta + step * sign(gradient of |network(puzzles + delta) - reference|²), -epsilon, epsilon).
    A step above 2 epsilon saturates: delta = epsilon * sign wherever the gradient is not zero.
    """
    delta = start
    for _ in range(steps):
        delta = (delta + step * slope_sign(network, puzzles + delta, reference)).clamp(-epsilon, epsilon)
    return delta


def noisy(
    network: Network,
    puzzles: Tensor,
    reference: Tensor | None,
    start: Tensor,
    *,
    epsilon: float,
    step: float,
    steps: int = 1,
    form: Form = "paper",
) -> Tensor:
    """Puzzles (B, C, S, S) with adversarial noise, clamped to [0, 1]; free of graphs.

    reference: what the network's output is driven away from; None is the puzzle itself (eq. 1).
    form: "paper", puzzles + delta. "repo", one step: the start is added (and clamped) before and delta, which contains
    it, once more, up to 2 epsilon in all; the puzzle as a reference holds the start too.
    """
    if form == "repo":
        puzzles = (puzzles + start).clamp(0, 1)
        sign = slope_sign(network, puzzles, puzzles if reference is None else reference)
        return (puzzles + (start + step * sign).clamp(-epsilon, epsilon)).clamp(0, 1)
    reference = puzzles if reference is None else reference
    return (puzzles + ascended(network, puzzles, reference, start, epsilon, step, steps)).clamp(0, 1)
