"""Gradient descent on images towards what a method rebuilds without error: eq. 4, 5, 7, 8 of the paper."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from novelty.errors import NoveltyError
from novelty.scores import grad_ready

Rebuild = Callable[[Tensor], tuple[Tensor, Tensor]]
"""Images x (B, C, H, W) to f(x), of that shape, and L_r(x), (B,): differentiable, each image without the others."""

Watch = Callable[[int, Tensor], None]
"""Called after each iteration, counted from 1, with all images (B, C, H, W) as they are then, to look at only."""

BETAS, EPS = (0.9, 0.999), 1e-8
"""Of Adam: its authors' defaults."""


@dataclass(frozen=True)
class Rule:
    """How an image moves down E(x_t) = L_r(x_t) + lambda * ||x_t - x_0||_1.

    tuned:      gradients are multiplied by (x - f(x))^2, element by element (eq. 8); otherwise not (eq. 5).
    alpha:      step size of plain descent [P: 0.5].
    l1:         lambda [P: 0.05].
    adam:       learning rate of Adam on the multiplied gradient in place of plain descent; None: plain descent.
    iterations: no image is moved more often [D: 100].
    """

    tuned: bool = True
    alpha: float = 0.5
    l1: float = 0.05
    adam: float | None = None
    iterations: int = 100

    def __post_init__(self) -> None:
        for name, value in (("alpha", self.alpha), ("adam_rate", self.adam), ("iterations", self.iterations)):
            if value is not None and value <= 0:
                raise NoveltyError(f"method.{name} is {value}: it must be above 0.")
        if self.l1 < 0:
            raise NoveltyError(f"method.l1 is {self.l1}: it must not be negative.")


class Projection(NamedTuple):
    """images: (B, C, H, W), x_T, not clamped.  iterations: (B,) int64, how often each was moved."""

    images: Tensor
    iterations: Tensor


def descend(
    images: Tensor,
    rebuild: Rebuild,
    rule: Rule,
    threshold: Tensor | float | None = None,
    mask: Tensor | None = None,
    weight: Tensor | float = 1.0,
    watch: Watch | None = None,
) -> Projection:
    """Images (B, C, H, W) after the descent.

    threshold: an image with L_r below it is not moved any more, and leaves the batch. None: all go to the end.
    mask:      (B, 1 or C, H, W), what gradients are multiplied by: 1 on the elements that may change (eq. 7).
    weight:    of L_r within E.

    Works within inference mode. No graph outlives its iteration, and no parameter collects a gradient.
    """
    with torch.inference_mode(False), torch.no_grad():
        moving = _Moving(images.clone(), None if mask is None else mask.expand_as(images))
        projected, iterations = moving.x.clone(), torch.zeros(len(images), dtype=torch.long, device=images.device)
        for number in range(1, rule.iterations + 1):
            rebuilt, energy, slope = _slope(moving.x, rebuild)
            going = _going(energy, threshold)
            if going is not None:
                moving, slope, rebuilt = moving.only(going), slope[going], rebuilt[going]
            if not len(moving.x):
                break
            moving.step(weight * slope, rebuilt, rule, number)
            projected[moving.place], iterations[moving.place] = moving.x, number
            if watch is not None:
                watch(number, projected)
    return Projection(projected, iterations)


def _slope(x: Tensor, rebuild: Rebuild) -> tuple[Tensor, Tensor, Tensor]:
    """f(x), L_r(x) and its gradient, without graph."""
    with grad_ready(x) as leaf:
        rebuilt, energy = rebuild(leaf)
        (slope,) = torch.autograd.grad(energy.sum(), leaf)
    return rebuilt.detach(), energy.detach(), slope


def _going(energy: Tensor, threshold: Tensor | float | None) -> Tensor | None:
    """Where in the batch the images stand that go on; None for all of them."""
    if threshold is None or energy.is_meta:  # there are no values there, only shapes
        return None
    done = energy < threshold
    return (~done).nonzero().flatten() if bool(done.any()) else None


class _Moving:
    """The images that still move, with all that belongs to them.

    x, origin: (n, C, H, W), now and at the start.  mask: of that shape, or None.  place: (n,), where in the batch.
    """

    def __init__(self, images: Tensor, mask: Tensor | None) -> None:
        self.x = self.origin = images
        self.mask = mask
        self.place = torch.arange(len(images), device=images.device)
        self.first: Tensor | None = None
        self.second: Tensor | None = None

    def only(self, going: Tensor) -> _Moving:
        """Those at the places ``going`` (m,)."""
        kept = _Moving(self.x[going], None if self.mask is None else self.mask[going])
        kept.origin, kept.place = self.origin[going], self.place[going]
        if self.first is not None and self.second is not None:
            kept.first, kept.second = self.first[going], self.second[going]
        return kept

    def step(self, slope: Tensor, rebuilt: Tensor, rule: Rule, number: int) -> None:
        """One iteration, given the gradient of L_r and f(x), both (n, C, H, W)."""
        gradient = slope + rule.l1 * (self.x - self.origin).sign()  # 0 at 0, so that the first step is L_r's alone
        if rule.tuned:
            gradient = gradient * (self.x - rebuilt).square()
        if self.mask is not None:
            gradient = gradient * self.mask
        if rule.adam is None:
            self.x = self.x - rule.alpha * gradient
        else:
            self.x = self.x - rule.adam * self._adam(gradient, number)

    def _adam(self, gradient: Tensor, number: int) -> Tensor:
        if self.first is None or self.second is None:
            self.first, self.second = torch.zeros_like(gradient), torch.zeros_like(gradient)
        self.first = self.first.lerp(gradient, 1 - BETAS[0])
        self.second = self.second.lerp(gradient.square(), 1 - BETAS[1])
        mean, square = self.first / (1 - BETAS[0] ** number), self.second / (1 - BETAS[1] ** number)
        return mean / (square.sqrt() + EPS)
