"""CSI and Contrasting Synthetic Images small enough to train by hand, without a trainer."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from novelty.info import DataInfo
from novelty.methods.contrasting_synthetic import ContrastingSynthetic
from novelty.methods.csi import CSI

SIDE = 16


def csi(**options: Any) -> CSI:
    torch.manual_seed(0)
    return CSI(DataInfo(3, SIDE, 6), **{"epochs": 10, "batch_size": 4, "width": 4, "samples": 2, **options})


def joint(**options: Any) -> ContrastingSynthetic:
    torch.manual_seed(0)
    small = {"epochs": 10, "batch_size": 4, "width": 4, "samples": 2, "generator_width": 8, "joint_every": 2}
    return ContrastingSynthetic(DataInfo(3, SIDE, 6), **{**small, **options})


def images(count: int = 4, side: int = SIDE, seed: int = 1) -> Tensor:
    """Smooth pictures (count, 3, side, side) in [0, 1]."""
    rough = torch.rand(count, 3, 4, 4, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.interpolate(rough, (side, side), mode="bilinear")


def train(method: CSI, batches: list[Tensor], plain: float | None = None) -> list[dict[str, float]]:
    """One step on each batch, seeded by its number; what was logged.

    plain: the rate of gradient descent in place of the method's optimisers.
    """
    steps: list[dict[str, float]] = []
    made = method.configure_optimizers()
    made = made if isinstance(made, list) else [made]
    if plain is not None:
        made = [torch.optim.SGD([p for g in one.param_groups for p in g["params"]], plain) for one in made]
        method._set_rate = lambda optimizer: None  # type: ignore[method-assign]
    method.optimizers = lambda: made if len(made) > 1 else made[0]  # type: ignore[method-assign]
    method.log = lambda name, value, **_: steps[-1].__setitem__(name, float(value))  # type: ignore[method-assign]
    method._trainer = SimpleNamespace(num_training_batches=len(batches), precision_plugin=None)  # type: ignore[assignment]
    method.train()
    for number, batch in enumerate(batches):
        torch.manual_seed(number)
        steps.append({})
        method.training_step(batch, number)
    return steps
