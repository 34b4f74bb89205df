"""Energy projection as a method around another: L2AE-grad, DSAE-grad, VAE-grad, gamma-VAE-grad and further ones."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Literal

import torch
from torch import Tensor

from novelty.errors import NoveltyError
from novelty.info import DataInfo
from novelty.methods.base import Method
from novelty.methods.energy_projection.autoencoders import mapped
from novelty.methods.energy_projection.descent import Projection, Rebuild, Rule, Watch, descend
from novelty.methods.energy_projection.vae import VAE
from novelty.methods.reconstruction import Reconstructor
from novelty.nn.ssim import dssim_map
from novelty.scores import Scores

REMEMBERED = 20_000
"""The threshold rests on so many training images, the first: on all 10,000 samples of the MVTec experiments [D]."""


class EnergyProjection(Method):
    """Score: how an image differs from its projection onto what ``autoencoder`` has learned, DSSIM(x_0, x_T).

    autoencoder: any method with a reconstruction, chosen with ``method@method.autoencoder=NAME`` [P: four of them].
    update:      tuned, eq. 8 [P, Table 1], or standard, eq. 5.
    alpha:       step size [P: 0.5].
    l1:          lambda, the weight of ||x_t - x_0||_1 [P: 0.05].
    optimizer:   descent by the equations [D], or adam on the multiplied gradient, of rate ``adam_rate`` [D: 0.01].
    quantile:    of L_r over the training images, below which an image stops [P: 0, their minimum].
    iterations:  no image is moved more often [D: 100].
    energy:      L_r as a sum, alike for all autoencoders [D], or, of a VAE, weighted as in its likelihood (nll).
    code:        f(x) at the mean code [D], or at one sample of it in each iteration, drawn alike for every image.

    The autoencoder alone is trained, in runs that it shares with method=NAME; all else only scores. Scores:
    ``projection``, and of the autoencoder alone ``dssim``, both with maps (image scores are their means [D]);
    ``iterations``, how often an image was moved.
    """

    primary = "projection"
    maps = True
    wraps: ClassVar[str | None] = "autoencoder"
    input_gradient: ClassVar[bool] = False  # x_T is detached from x_0: a hundred steps that stop where they like
    scoring: ClassVar[frozenset[str]] = frozenset(
        {"update", "alpha", "l1", "optimizer", "adam_rate", "quantile", "iterations", "energy", "code"}
    )

    training_energies: Tensor
    """(n,) L_r of training images, in their order; zeros, below which nothing is, until `calibrate`."""

    def __init__(
        self,
        *,
        info: DataInfo,
        autoencoder: Reconstructor,
        update: Literal["tuned", "standard"] = "tuned",
        alpha: float = 0.5,
        l1: float = 0.05,
        optimizer: Literal["descent", "adam"] = "descent",
        adam_rate: float = 0.01,
        quantile: float = 0.0,
        iterations: int = 100,
        energy: Literal["sum", "nll"] = "sum",
        code: Literal["mean", "sample"] = "mean",
    ) -> None:
        super().__init__(info, autoencoder.schedule)
        if not 0 <= quantile <= 1:
            raise NoveltyError(f"method.quantile is {quantile}: it must lie in [0, 1].")
        for name, value, default in (("energy", energy, "sum"), ("code", code, "mean")):
            if value != default and not isinstance(autoencoder, VAE):
                raise NoveltyError(
                    f"method.{name}={value} is for variational autoencoders: set method.{name}={default}, or choose "
                    "one with method@method.autoencoder=vae or gamma_vae."
                )
        self.autoencoder = autoencoder
        self.rule = Rule(update == "tuned", alpha, l1, adam_rate if optimizer == "adam" else None, iterations)
        self.quantile = quantile
        self.energy = energy
        self.code = code
        self.register_buffer("training_energies", torch.zeros(min(info.train_size, REMEMBERED)))

    def calibrate(self, batches: Iterable[Tensor]) -> None:
        """Keeps L_r of the training images, or of the first 20,000."""
        room, found = len(self.training_energies), []
        for images in batches:
            x = images[:room].to(self.device)
            found.append(self.autoencoder.energy(x, self.autoencoder.reconstruct(x)))
            room -= len(x)
            if not room:
                break
        self.training_energies[: len(self.training_energies) - room] = torch.cat(found)

    def measure(self, batches: Iterable[Tensor]) -> dict[str, float]:
        """``stop_below``: the threshold of L_r."""
        return {"stop_below": float(self.threshold())}

    def provenance(self) -> dict[str, str]:
        return self.autoencoder.provenance()

    def score(self, images: Tensor) -> dict[str, Scores]:
        projection = self.project(images)
        return {
            "projection": mapped(dssim_map(images, projection.images)),
            "dssim": mapped(dssim_map(images, self.autoencoder.reconstruct(images))),
            "iterations": Scores(projection.iterations.float()),
        }

    def project(
        self, images: Tensor, mask: Tensor | None = None, watch: Watch | None = None, rule: Rule | None = None
    ) -> Projection:
        """Images (B, C, H, W) projected, see `descend`; ``rule`` in place of the method's own.

        The maps of a curve over iterations are ``dssim_map(images, x)`` of what ``watch`` is shown.
        """
        weight: Tensor | float = 1.0
        if self.energy == "nll":
            assert isinstance(self.autoencoder, VAE)
            weight = self.autoencoder.distance.weight()
        return descend(images, self._rebuild(), rule or self.rule, self.threshold(), mask, weight, watch)

    def threshold(self) -> Tensor:
        """L_r below which an image is taken for normal, ()."""
        known = self.training_energies
        return known.min() if self.quantile == 0 else known.quantile(self.quantile)

    def pictures(self, images: Tensor) -> dict[str, Tensor]:
        return self.autoencoder.pictures(images) | {"projection": self.project(images).images.clamp(0, 1)}

    def _rebuild(self) -> Rebuild:
        """f and L_r for one descent; where codes are sampled, the noise of an iteration is that of all images."""
        autoencoder, generator = self.autoencoder, None if self.code == "mean" else self.seeded_generator()

        def rebuild(x: Tensor) -> tuple[Tensor, Tensor]:
            if generator is None:
                rebuilt = autoencoder.reconstruct(x)
            else:
                assert isinstance(autoencoder, VAE)
                noise = torch.randn(1, autoencoder.latent, 1, 1, device=x.device, generator=generator)
                rebuilt = autoencoder.reconstruct_with(x, noise)
            return rebuilt, autoencoder.energy(x, rebuilt)

        return rebuild
