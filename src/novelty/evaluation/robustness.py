"""Test images as an attacker or a bad camera would deliver them, each kind scored in one further pass."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from novelty.errors import NoveltyError
from novelty.evaluation.attacks import fgsm, lowering, pgd, unmoved
from novelty.evaluation.corruptions import SEVERITIES, Kind, corrupt
from novelty.scores import Attack, Disturbance

Which = Literal["normal", "novel", "all"]
"""Which test images are disturbed; the others go through as they are."""


class Robustness:
    """Disturbances of the test images, for any method; images by which thresholds are set stay undisturbed.

    attacks:     "fgsm", "pgd"; each at every epsilon. None for a method whose score has no gradient.
    epsilon:     how far a pixel may be moved, of [0, 1] [Puzzle-AE, Fig. 9: 0.05, 0.1, 0.2].
    steps:       of PGD [decision: 10].
    reach:       what PGD's steps add up to, in epsilons [2.5, as in Madry et al. 2018].
    attacked:    which images are attacked [Puzzle-AE: normal ones]: normal ones so that their score grows (a false
                 alarm), novel ones so that it falls (a miss).
    corruptions: see `novelty.evaluation.corruptions`.
    severities:  of 1 .. 5; "grey" knows none and is done once.
    corrupted:   which images are corrupted [decision: all, since a bad camera does not know what is novel].
    seed:        of the noise in corruptions; attacks draw nothing.
    """

    def __init__(
        self,
        *,
        attacks: Sequence[Literal["fgsm", "pgd"]] = ("fgsm",),
        epsilon: Sequence[float] = (0.05, 0.1, 0.2),
        steps: int = 10,
        reach: float = 2.5,
        attacked: Which = "normal",
        corruptions: Sequence[Kind] = (),
        severities: Sequence[int] = (1, 2, 3, 4, 5),
        corrupted: Which = "all",
        seed: int = 0,
    ) -> None:
        for value in epsilon:
            if not 0 < value <= 1:
                raise NoveltyError(f"evaluation.robustness.epsilon holds {value}: it must lie in (0, 1].")
        for value in severities:
            if not 1 <= value <= SEVERITIES:
                raise NoveltyError(f"evaluation.robustness.severities holds {value}: they are 1 to {SEVERITIES}.")
        if steps < 1 or reach <= 0:
            raise NoveltyError(
                f"evaluation.robustness.steps is {steps}, reach {reach}: give at least one step, and a reach above 0."
            )
        if seed < 0:
            raise NoveltyError(f"evaluation.robustness.seed is {seed}: it must be 0 or above.")
        self.attacks, self.epsilon, self.steps, self.reach, self.attacked = attacks, epsilon, steps, reach, attacked
        self.corruptions, self.severities, self.corrupted, self.seed = corruptions, severities, corrupted, seed

    def disturbances(self, novel: np.ndarray) -> dict[str, Disturbance]:
        """The disturbances by name, such as "fgsm-0.1", "gaussian_noise-3", "grey".

        novel: (n,) bool, of the test images; positions that a `Disturbance` is given lie in 0 .. n - 1.
        """
        flags = torch.from_numpy(np.asarray(novel, dtype=bool))
        found: dict[str, Disturbance] = {}
        for kind in self.attacks:
            for epsilon in self.epsilon:
                name = f"{kind}-{epsilon:g}"
                raised, lowered = ~flags & (self.attacked != "novel"), flags & (self.attacked != "normal")
                found[name] = partial(_attack, name, self._attack(kind, epsilon), raised, lowered)
        chosen = torch.ones_like(flags) if self.corrupted == "all" else flags == (self.corrupted == "novel")
        for corruption in self.corruptions:
            for severity in self.severities if corruption != "grey" else (1,):
                name = corruption if corruption == "grey" else f"{corruption}-{severity}"
                change = partial(corrupt, corruption, severity=severity, seed=self.seed)
                found[name] = partial(_corrupt, name, change, chosen)
        return found

    def _attack(self, kind: str, epsilon: float) -> Attack:
        if kind == "fgsm":
            return partial(fgsm, epsilon=epsilon)
        return partial(pgd, epsilon=epsilon, steps=self.steps, size=self.reach * epsilon / self.steps)


def _attack(
    name: str,
    attack: Attack,
    raised: Tensor,
    lowered: Tensor,
    attacked: Callable[[Tensor, Attack], dict[str, Tensor]],
    images: Tensor,
    positions: Tensor,
) -> dict[str, Tensor]:
    """The batch with its ``raised`` images moved by ``attack`` and its ``lowered`` ones against it, by "@name<way>"."""
    # A batch may have nothing to attack, and the ways are known only to the method: one image that stays where it is.
    ways = {way: images.clone() for way in attacked(images[:1], unmoved)}
    for chosen, direction in ((raised, attack), (lowered, lowering(attack))):
        rows = chosen[positions.cpu()].nonzero().flatten().to(images.device)
        if len(rows):
            for way, moved in attacked(images[rows], direction).items():
                ways[way][rows] = moved
    return {f"@{name}{way}": disturbed for way, disturbed in ways.items()}


def _corrupt(
    name: str,
    change: Callable[[Tensor, Tensor], Tensor],
    chosen: Tensor,
    attacked: Callable[[Tensor, Attack], dict[str, Tensor]],
    images: Tensor,
    positions: Tensor,
) -> dict[str, Tensor]:
    """The batch with its ``chosen`` images corrupted; what a method does about attacks has no part in it."""
    rows = chosen[positions.cpu()].nonzero().flatten().to(images.device)
    disturbed = images.clone()
    if len(rows):
        disturbed[rows] = change(images[rows], positions[rows.to(positions.device)])
    return {f"@{name}": disturbed}
