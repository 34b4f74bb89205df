"""LARS (You et al. 2017): gradient descent with momentum whose steps are measured by the size of the weights."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer


class LARS(Optimizer):
    """g <- (g + w p) * t |p| / (|g| + w |p| + e), then momentum as in SGD: v <- m v + g, p <- p - lr v.

    w weight decay, t trust coefficient, m momentum; where a norm is 0 the gradient keeps its size. Every parameter is
    treated alike, biases included, as in the code of CSI.
    """

    def __init__(
        self,
        params: Iterable[Tensor],
        lr: float,
        momentum: float = 0.9,
        weight_decay: float = 1e-6,
        trust: float = 1e-3,
        eps: float = 1e-8,
    ) -> None:
        rule = {"momentum": momentum, "weight_decay": weight_decay, "trust": trust, "eps": eps}
        super().__init__(params, {"lr": lr, **rule})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step on every parameter that has a gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            parameters = [p for p in group["params"] if p.grad is not None]
            if not parameters:
                continue
            velocities = [self.state[p].setdefault("velocity", torch.zeros_like(p)) for p in parameters]
            gradients = [p.grad for p in parameters]
            size = torch.stack(torch._foreach_norm(parameters))
            slope = torch.stack(torch._foreach_norm(gradients))
            decay = group["weight_decay"]
            scaled = group["trust"] * size / (slope + decay * size + group["eps"])
            ratios = torch.where((size > 0) & (slope > 0), scaled, 1.0).unbind()
            steps = torch._foreach_add(gradients, parameters, alpha=decay)
            torch._foreach_mul_(steps, ratios)
            torch._foreach_mul_(velocities, group["momentum"])
            torch._foreach_add_(velocities, steps)
            torch._foreach_add_(parameters, velocities, alpha=-group["lr"])
        return loss
