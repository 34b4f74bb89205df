"""Options that Puzzle-AE and the denoising autoencoder beside it refuse: one sentence each, before anything runs."""

from __future__ import annotations

from collections.abc import Sequence

from novelty.errors import NoveltyError

STAYS = "null for a rate that stays"


def above_zero(**options: float) -> None:
    """NoveltyError for the first of these options of the method that is not above 0."""
    for name, value in options.items():
        if not value > 0:
            raise NoveltyError(f"method.{name} is {value}: it must be above 0.")


def not_negative(**options: float) -> None:
    """NoveltyError for the first of these options of the method that is below 0."""
    for name, value in options.items():
        if not value >= 0:
            raise NoveltyError(f"method.{name} is {value}: it must be 0 or above.")


def adam_betas(**options: Sequence[float]) -> None:
    """NoveltyError for the first of these options that is not two numbers in [0, 1)."""
    for name, values in options.items():
        if len(values) != 2 or not all(0 <= value < 1 for value in values):
            raise NoveltyError(f"method.{name} is {list(values)}: give two numbers from 0 up to, not including, 1.")


def plateau(factor: float, patience: int | None) -> None:
    """NoveltyError for a schedule that would not lower the rate; without a patience there is none to check."""
    if patience is None:
        return
    if patience < 0:
        raise NoveltyError(f"method.plateau_patience is {patience}: it must be 0 or above, or {STAYS}.")
    if not 0 < factor < 1:
        raise NoveltyError(
            f"method.plateau_factor is {factor}: it must lie between 0 and 1, or method.plateau_patience be {STAYS}."
        )
