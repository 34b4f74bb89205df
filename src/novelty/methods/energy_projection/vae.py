"""The variational autoencoder and the gamma-VAE, and the scores that Table 2 takes from a VAE's gradients."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from novelty.methods.energy_projection.autoencoders import ConvAutoencoder, mapped
from novelty.methods.energy_projection.losses import LearnedGaussian, UnitGaussian, in_full, kl_to_standard_normal
from novelty.nn.processes import own_share
from novelty.scores import Scores, grad_ready


class VAE(ConvAutoencoder):
    """Loss: ||x - f(z)||^2 / 2 + KL(N(mu, s^2) || N(0, I)), one z an image (Kingma and Welling 2013).

    Options as in `ConvAutoencoder`. Beside its scores those of Table 2, from one evaluation of the gradients at the
    mean code, with maps: ``loss_grad`` |grad L|, ``loss_grad_x_error`` |grad L| * (x - f)^2, ``kl_grad`` |grad KL|,
    ``kl_grad_x_error`` |grad KL| * (x - f)^2, where L is the loss above. Products are taken per channel, then the mean
    over channels [D].
    """

    per_code: ClassVar[int] = 2
    distance_kind: ClassVar[type[nn.Module]] = UnitGaussian
    distance: UnitGaussian | LearnedGaussian

    def encode(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of the codes of images (B, C, H, W): (B, latent, 1, 1) each, never half precision."""
        mean, spread = in_full(self.encoder(images)).chunk(2, 1)
        return mean, 2 * spread if self.networks == "resnet" else spread

    def reconstruct(self, images: Tensor) -> Tensor:
        """The decoder at the mean code."""
        rebuilt: Tensor = self.decoder(self.encode(images)[0])
        return rebuilt

    def reconstruct_with(self, images: Tensor, noise: Tensor) -> Tensor:
        """The decoder at mean + deviation * ``noise`` (1 or B, latent, 1, 1)."""
        mean, log_variance = self.encode(images)
        rebuilt: Tensor = self.decoder(mean + noise * (log_variance / 2).exp())
        return rebuilt

    def losses(self, images: Tensor) -> dict[str, Tensor]:
        mean, log_variance = self.encode(images)
        noise = own_share(lambda n: torch.randn(n, self.latent, 1, 1, device=images.device), len(images))
        rebuilt = self.decoder(mean + noise * (log_variance / 2).exp())
        kl = kl_to_standard_normal(mean, log_variance).mean()
        return {"reconstruction": self._mean_distance(images, rebuilt), "kl": kl}

    def score(self, images: Tensor) -> dict[str, Scores]:
        return super().score(images) | {name: mapped(error) for name, error in self.gradient_maps(images).items()}

    def gradient_maps(self, images: Tensor) -> dict[str, Tensor]:
        """The maps of Table 2 that need gradients: (B, 1, H, W) each, without graph."""
        with grad_ready(images) as x:
            mean, log_variance = self.encode(x)
            rebuilt = self.decoder(mean)
            (kl,) = torch.autograd.grad(kl_to_standard_normal(mean, log_variance).sum(), x, retain_graph=True)
            (distance,) = torch.autograd.grad(self.distance(x, rebuilt).sum(), x)
            error = (x - rebuilt).detach().square()
        slopes = {"loss_grad": (kl + distance).abs(), "kl_grad": kl.abs()}
        products = {f"{name}_x_error": slope * error for name, slope in slopes.items()}
        return {name: found.mean(1, keepdim=True) for name, found in (slopes | products).items()}


class GammaVAE(VAE):
    """A VAE whose decoder has a learned standard deviation, gamma, one for all elements (Dai and Wipf 2019).

    Loss: sum of ((x - f(z)) / gamma)^2 / 2 + log gamma + log(2 pi) / 2, + KL; gamma starts at 1 [TS]. Everything else
    as in `VAE`; L of the gradient scores is this loss.
    """

    distance_kind = LearnedGaussian
    distance: LearnedGaussian

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        self.log("weight/gamma", self.distance.log_gamma.detach().exp())
        return super().training_step(batch, batch_idx)
