"""What a method says about images, and how to take gradients while it says it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor


class Scores(NamedTuple):
    """Novelty of a batch of images.

    image: (B,) float32, higher = more novel, finite, raw (never min-max normalised over a test set).
    map:   (B, 1, H, W) float32 at the resolution of the images, higher = more novel; None where a method has none.
    """

    image: Tensor
    map: Tensor | None = None


Objective = Callable[[Tensor], Tensor]
"""Images (B, C, H, W) to one number each, (B,): what an attack raises, or lowers."""

Attack = Callable[[Objective, Tensor], Tensor]
"""Images (B, C, H, W), moved within [0, 1] so that the objective grows: (B, C, H, W) without graph."""

Disturbance = Callable[[Callable[[Tensor, Attack], dict[str, Tensor]], Tensor, Tensor], dict[str, Tensor]]
"""(`Method.attacked`, test images (B, C, H, W), their positions (B,)) to disturbed images by what scores' names gain.

One disturbance may give several: ``{"@fgsm-0.1": ..., "@fgsm-0.1:permuted": ...}``.
"""


@contextmanager
def grad_ready(images: Tensor) -> Iterator[Tensor]:
    """A leaf copy of ``images`` (B, C, H, W) that collects gradients, even inside inference mode.

    Scores are computed in Lightning's inference mode, whose tensors refuse autograd for good: both leaving the mode
    *and* a copy are needed. Inside, use ``torch.autograd.grad``, so that no parameter collects a gradient.
    """
    with torch.inference_mode(False), torch.enable_grad():
        yield images.clone().detach().requires_grad_()
