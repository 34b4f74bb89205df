"""How well a trained U-Net solves every puzzle of an image: scores, statistics of normal images, attacks, pictures."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Literal

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from novelty.methods.base import Method
from novelty.methods.puzzle_ae import puzzles
from novelty.methods.puzzle_ae.puzzles import Grid, Kind
from novelty.nn.unet import UNet
from novelty.scores import Attack, Scores

CHUNK_PIXELS = {"cpu": 2**17}
"""Pixels of puzzles that are solved at once, at least all of one image; the U-Net takes 1.5 kB for each."""
ELSEWHERE = 2**20

GUARD = 1e-12
"""Smallest error of normal images that others are divided by [decision]: a perfect solver's is 0."""


class PuzzleScores(Method):
    """What Puzzle-AE does with a trained U-Net; `_prepare_scores` before anything else."""

    calibrates_on = "validation"
    scoring: ClassVar[frozenset[str]] = frozenset({"test_permutations", "error", "aggregate"})
    compilable = ("unet",)

    unet: UNet
    trained: Tensor
    tested: Tensor
    listed: Tensor
    normal_errors: Tensor

    def _prepare_scores(
        self, grid: Grid, trained: Kind, tested: Kind, error: Literal["mse", "l2"], primary: str
    ) -> None:
        """Buffers: ``listed`` (K, P), the permutations that errors of normal images are measured for; ``tested``, the
        numbers of those that count; ``trained``, those to draw from; ``normal_errors`` (2, K), mse and l2."""
        self.grid, self.error = grid, error
        self.primary, self.maps = primary, primary == "avg"
        listed = torch.tensor(puzzles.permutations_of(grid))
        self.register_buffer("listed", listed, persistent=False)
        self.register_buffer("tested", torch.tensor(puzzles.chosen(grid, tested)), persistent=False)
        self.register_buffer("trained", listed[torch.tensor(puzzles.chosen(grid, trained))], persistent=False)
        self.register_buffer("normal_errors", torch.ones(2, len(listed)))

    def calibrate(self, batches: Iterable[Tensor]) -> None:
        """Mean error of normal images under each permutation (eq. 6), all of them whichever are tested."""
        total, count = torch.zeros(2, len(self.listed), dtype=torch.float64, device=self.device), 0
        for images in batches:
            (errors,) = self._solve(images, self.listed)
            size = self._extended(images)[0].numel()
            total += torch.stack([errors, (errors * size).sqrt()]).double().sum(1)
            count += len(images)
        self.normal_errors.copy_(total / max(count, 1))

    def score(self, images: Tensor) -> dict[str, Scores]:
        """Least, largest and mean error over the tested permutations, each divided by that of normal images (eq. 7).

        The map of `avg`: squared errors of the pixels, divided alike, averaged over channels and permutations.
        """
        mse, l2 = self.normal_errors[:, self.tested].clamp_min(GUARD)
        errors, *maps = self._solve(images, self.listed[self.tested], 1 / mse if self.maps else None)
        if self.error == "mse":
            relative = errors / mse
        else:
            relative = (errors * self._extended(images)[0].numel()).clamp_min(GUARD**2).sqrt() / l2
        return {
            "min": Scores(relative.amin(1)),
            "max": Scores(relative.amax(1)),
            "avg": Scores(relative.mean(1), *maps),
        }

    def attacked(self, images: Tensor, attack: Attack) -> dict[str, Tensor]:
        """By "", the attack on the image, before any permutation, through the score; by ":permuted", on each of its
        puzzles, against that puzzle's error, put in order again and averaged over all (Fig. 9).
        """
        across = images.shape[-1] // self.info.image_size  # larger images are scored tile by tile
        parts = puzzles.split(images, across).flatten(0, 1)
        chunks = self._chunks(parts, len(self.tested))
        moved = torch.cat([self._attacked_permuted(some, attack) for some in chunks])
        whole = puzzles.join(moved.view(len(images), across**2, *moved.shape[1:]))
        return super().attacked(images, attack) | {":permuted": whole}

    def pictures(self, images: Tensor) -> dict[str, Tensor]:
        """One drawn puzzle of each image, and its solution, clamped."""
        side = images.shape[-1]
        order = torch.randint(len(self.tested), (len(images),), generator=self.seeded_generator(), device=self.device)
        puzzled = puzzles.puzzles(self._extended(images), self.listed[self.tested[order]])
        solved = self.unet(puzzled).clamp(0, 1)
        return {"puzzle": puzzles.trim(puzzled, side), "solved": puzzles.trim(solved, side)}

    def _extended(self, images: Tensor) -> Tensor:
        return puzzles.extend(images, self.grid)

    def _chunks(self, images: Tensor, permutations: int) -> tuple[Tensor, ...]:
        """Images, so many at once that their puzzles, ``permutations`` of each, take no more memory than `CHUNK_PIXELS`
        says."""
        pixels = CHUNK_PIXELS.get(images.device.type, ELSEWHERE)
        return torch.split(images, max(1, pixels // (permutations * images.shape[-1] ** 2)))

    def _solve(self, images: Tensor, permutations: Tensor, weights: Tensor | None = None) -> list[Tensor]:
        """Mean squared errors (B, K) of the puzzles of images (B, C, S, S); with ``weights`` (K,) of the permutations
        also the maps (B, 1, S, S) of squared errors, weighted.

        All permutations of a chunk of images are one batch. Where gradients are asked for, chunks are solved once more
        on the way back, so that memory stays that of one.
        """
        chunks = self._chunks(images, len(permutations))
        again = len(chunks) > 1 and torch.is_grad_enabled() and images.requires_grad
        found = [
            checkpoint(self._solve_chunk, some, permutations, weights, use_reentrant=False, preserve_rng_state=False)
            if again
            else self._solve_chunk(some, permutations, weights)
            for some in chunks
        ]
        return [torch.cat(parts) for parts in zip(*found, strict=True)]

    def _solve_chunk(self, images: Tensor, permutations: Tensor, weights: Tensor | None) -> tuple[Tensor, ...]:
        originals = self._extended(images)
        solved = self.unet(puzzles.all_puzzles(originals, permutations)).float()
        squares = (_by_image(solved, len(images)) - originals.unsqueeze(1)).square()
        errors = squares.mean((2, 3, 4))
        if weights is None:
            return (errors,)
        maps = (squares.mean(2) * weights[:, None, None]).mean(1, keepdim=True)
        return errors, puzzles.trim(maps, images.shape[-1])

    def _attacked_permuted(self, images: Tensor, attack: Attack) -> Tensor:
        permutations, originals = self.listed[self.tested], self._extended(images)
        targets = originals.repeat_interleave(len(permutations), 0)

        def error(moved: Tensor) -> Tensor:
            return (self.unet(moved).float() - targets).square().mean((1, 2, 3))

        found = attack(error, puzzles.all_puzzles(originals, permutations))
        ordered = puzzles.puzzles(found, puzzles.inverse(permutations).repeat(len(images), 1))
        return puzzles.trim(_by_image(ordered, len(images)).mean(1), images.shape[-1])


def _by_image(solved: Tensor, count: int) -> Tensor:
    """(B K, C, S, S) of ``count`` images -> (B, K, C, S, S)."""
    return solved.reshape(count, -1, *solved.shape[1:])
