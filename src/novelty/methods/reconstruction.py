"""Methods that rebuild an image the way it would look if it were normal."""

from __future__ import annotations

from abc import abstractmethod

from torch import Tensor

from novelty.methods.base import Method


class Reconstructor(Method):
    """A method with a reconstruction f(x), so that images can be projected onto what it has learned."""

    @abstractmethod
    def reconstruct(self, images: Tensor) -> Tensor:
        """f(x) of images (B, C, H, W) in [0, 1]: of that shape and scale, differentiable, each without the others."""

    def energy(self, images: Tensor, rebuilt: Tensor) -> Tensor:
        """L_r of images (B, C, H, W) and f(images): the sum of squared errors, (B,). A sum, not a mean (VAE-grad)."""
        return (images - rebuilt).square().flatten(1).sum(1)

    def pictures(self, images: Tensor) -> dict[str, Tensor]:
        return {"reconstruction": self.reconstruct(images).clamp(0, 1)}
