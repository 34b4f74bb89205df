"""Attacks on images at test time: they move pixels so that a number that is asked of each image grows.

Each image is attacked alone (objectives are added up, so that no image's gradient knows of another), nothing is drawn,
and no parameter collects a gradient; they work in Lightning's inference mode.
"""

from __future__ import annotations

import torch
from torch import Tensor

from novelty.errors import NoveltyError
from novelty.scores import Attack, Objective, grad_ready


def fgsm(objective: Objective, images: Tensor, *, epsilon: float) -> Tensor:
    """x + epsilon sign(gradient), within [0, 1] (Goodfellow, Shlens, Szegedy 2015); images and result (B, C, H, W)."""
    return pgd(objective, images, epsilon=epsilon, steps=1, size=epsilon)


def pgd(objective: Objective, images: Tensor, *, epsilon: float, steps: int, size: float) -> Tensor:
    """``steps`` signed gradient steps of ``size``, each put back into [0, 1] and within ``epsilon`` of the image.

    Projected gradient ascent in the maximum norm (Madry et al. 2018), begun at the image itself rather than at a random
    place [decision: one draw less, so the score of an image follows from the image alone]; the last point is taken.
    images and result (B, C, H, W).
    """
    images = images.detach()
    low, high = (images - epsilon).clamp(min=0), (images + epsilon).clamp(max=1)
    moved = images
    for _ in range(steps):
        moved = torch.clamp(moved + size * _gradient(objective, moved).sign(), low, high)
    return moved


def unmoved(objective: Objective, images: Tensor) -> Tensor:
    """The attack that leaves images as they are and never asks for the objective."""
    return images


def lowering(attack: Attack) -> Attack:
    """``attack``, turned round: it makes the objective fall."""
    return lambda objective, images: attack(lambda moved: -objective(moved), images)


def _gradient(objective: Objective, images: Tensor) -> Tensor:
    """Of each image's objective with respect to it, (B, C, H, W); 0 where there is no number (a root at 0).

    Raises NoveltyError where the objective does not follow from the images by differentiable steps.
    """
    with grad_ready(images) as x:
        values = objective(x)
        found = torch.autograd.grad(values.sum(), x, allow_unused=True)[0] if values.requires_grad else None
    if found is None:
        raise NoveltyError(
            "The score of this method has no gradient with respect to the images, which attacks follow: leave them out "
            "with evaluation.robustness.attacks=[] (corruptions need no gradient)."
        )
    return found.nan_to_num(nan=0.0)
