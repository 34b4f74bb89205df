"""What the four autoencoders share, and the two deterministic ones: L2AE and DSAE."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.optim import Adam
from torch.optim.lr_scheduler import StepLR

from novelty.errors import NoveltyError
from novelty.info import DataInfo, Schedule
from novelty.methods.energy_projection.losses import MeanDSSIM, SquaredError, in_full
from novelty.methods.energy_projection.networks import Networks, Output, build_networks
from novelty.methods.reconstruction import Reconstructor
from novelty.nn.ssim import dssim_map
from novelty.scores import Scores


class ConvAutoencoder(Reconstructor):
    """An autoencoder of the paper: encoder and decoder of one architecture, Adam, and a loss of its own.

    latent:        numbers in a code [P: 100; TS: 128].
    width:         channels of the first layer [B, TS: 32].
    epochs:        passes over the training samples [P: 300; TS: 100].
    batch_size:    images in a mini-batch [D, from B: 128; TS: 64].
    learning_rate: of Adam [P, TS: 1e-4], without weight decay [D].
    halve_every:   epochs after which the learning rate is halved, null = never [TS: 40].
    networks:      bergmann: the table for 128 px [P, B]; resnet: that for CelebA [P, TS].
    output:        sigmoid [D], or linear.
    norm_momentum: of the running statistics of resnet's batch normalisation [TS: 0.001, for hundreds of thousands of
                   steps; a short training wants more].

    Scores, each with a map: ``dssim``, (1 - SSIM)/2 between image and reconstruction, the paper's baseline, and
    ``squared_error``. Maps are means over channels, image scores means over the map [D: the paper localises only].
    """

    primary = "dssim"
    maps = True
    compilable = ("encoder", "decoder")

    per_code: ClassVar[int] = 1
    """Numbers that the encoder gives for each of a code."""

    distance_kind: ClassVar[type[nn.Module]]
    """How far a reconstruction is from its image in training."""

    def __init__(
        self,
        *,
        info: DataInfo,
        latent: int = 100,
        width: int = 32,
        epochs: int = 300,
        batch_size: int = 128,
        learning_rate: float = 1e-4,
        halve_every: int | None = None,
        networks: Networks = "bergmann",
        output: Output = "sigmoid",
        norm_momentum: float = 0.001,
    ) -> None:
        super().__init__(info, Schedule(batch_size=batch_size, epochs=epochs))
        for name, value in (("latent", latent), ("width", width), ("halve_every", halve_every)):
            if value is not None and value < 1:
                raise NoveltyError(f"method.{name} is {value}: it must be at least 1.")
        if learning_rate <= 0:
            raise NoveltyError(f"method.learning_rate is {learning_rate}: it must be above 0.")
        self.latent = latent
        self.learning_rate = learning_rate
        self.halve_every = halve_every
        self.networks = networks
        built = build_networks(info, networks, latent, self.per_code, width, output, norm_momentum)
        self.encoder, self.decoder = built
        self.distance = self.distance_kind()

    def losses(self, images: Tensor) -> dict[str, Tensor]:
        """Terms of the training loss, () each, which are summed: means over the images (B, C, H, W)."""
        return {"reconstruction": self._mean_distance(images, self.reconstruct(images))}

    def _mean_distance(self, images: Tensor, rebuilt: Tensor) -> Tensor:
        # SSIM is a difference of moments that half precision cannot tell apart.
        with torch.autocast(self.device.type, enabled=False):
            mean: Tensor = self.distance(images, in_full(rebuilt)).mean()
            return mean

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        losses = self.losses(batch)
        for name, value in losses.items():
            self.log(f"loss/{name}", value.detach(), prog_bar=True)
        return torch.stack(list(losses.values())).sum()

    def configure_optimizers(self) -> Any:
        optimizer = Adam(self.parameters(), self.learning_rate, fused=self.device.type == "cuda")
        if self.halve_every is None:
            return optimizer
        return {"optimizer": optimizer, "lr_scheduler": StepLR(optimizer, self.halve_every, 0.5)}

    def reconstruct(self, images: Tensor) -> Tensor:
        rebuilt: Tensor = self.decoder(self.encoder(images))
        return rebuilt

    def score(self, images: Tensor) -> dict[str, Scores]:
        rebuilt = self.reconstruct(images)
        return {
            "dssim": mapped(dssim_map(images, rebuilt)),
            "squared_error": mapped((images - rebuilt).square().mean(1, keepdim=True)),
        }


def mapped(error: Tensor) -> Scores:
    """A map (B, 1, H, W) with its mean as the image's score."""
    return Scores(error.mean((1, 2, 3)), error)


class AEL2(ConvAutoencoder):
    """L2AE: the loss is ||x - f(x)||^2 (Bergmann et al.)."""

    distance_kind = SquaredError


class AESSIM(ConvAutoencoder):
    """DSAE: the loss is the mean of (1 - SSIM)/2 (Bergmann et al.)."""

    distance_kind = MeanDSSIM

    def energy(self, images: Tensor, rebuilt: Tensor) -> Tensor:
        """L_r: the sum over pixels of the DSSIM map, (B,) [D]."""
        return dssim_map(images, rebuilt).flatten(1).sum(1)
