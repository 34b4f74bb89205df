"""A plain convolutional autoencoder: normal images are rebuilt well, novel ones are not."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Literal

from torch import Tensor, nn
from torch.optim import Adam

from novelty.errors import NoveltyError
from novelty.info import DataInfo, Schedule
from novelty.methods.reconstruction import Reconstructor
from novelty.nn.ssim import dssim_map
from novelty.scores import Scores


def squared_error_map(x: Tensor, y: Tensor) -> Tensor:
    """Squared difference of x and y (B, C, H, W), mean over channels: (B, 1, H, W)."""
    return (x - y).square().mean(1, keepdim=True)


ERROR_MAPS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"mse": squared_error_map, "dssim": dssim_map}
"""How an image and its reconstruction differ, by the name of the score."""


class LeakyClamp(nn.Module):
    """Clamps to [0, 1], with a slope of 0.01 outside, so that no pixel is ever lost.

    A sigmoid saturates on dark images: on MNIST's digit 8, at lr 1e-3, every reconstruction was black from the first
    epoch to the last. A linear output may turn an image into its negative, which SSIM cannot tell from the image.
    """

    def forward(self, x: Tensor) -> Tensor:
        inside = x.clamp(0, 1)
        return inside + 0.01 * (x - inside)


class Autoencoder(Reconstructor):
    """Convolutional autoencoder with a narrow code; the score is the reconstruction error.

    After the autoencoders of Bergmann et al. (LeakyReLU 0.2, no normalisation layers, Adam), but of a depth that
    follows from the image size: the side is halved until it is at most 4 (8 px: once, 28 and 32 px: three times,
    128 px: five times), and with `LeakyClamp` in place of the sigmoid. Not the network of a published table: those
    have their own methods.

    loss:        "mse", mean squared error, or "ssim", mean (1 - SSIM)/2 with an 11x11 Gaussian window.
    latent:      numbers in the code [32: Deep SVDD's code for MNIST; 100 in Bergmann et al. for 128 px].
    width:       channels after the first halving; doubled at each further one up to four times that [32, Bergmann].
    epochs:      passes over the normal training images [decision].
    batch_size:  images per step [decision].
    lr:          of Adam [1e-3: its authors' default].

    Scores, each with a map: ``mse``, mean squared error over pixels and channels; ``dssim``, mean of (1 - SSIM)/2.
    Both are recorded whatever the loss; the primary one is that of the loss.
    """

    maps = True
    compilable = ("encoder", "decoder")

    def __init__(
        self,
        *,
        info: DataInfo,
        loss: Literal["mse", "ssim"] = "mse",
        latent: int = 32,
        width: int = 32,
        epochs: int = 100,
        batch_size: int = 64,
        lr: float = 1e-3,
    ) -> None:
        super().__init__(info, Schedule(batch_size=batch_size, epochs=epochs))
        if latent < 1 or width < 1:
            raise NoveltyError(f"latent is {latent} and width {width}: both must be at least 1.")
        if lr <= 0:
            raise NoveltyError(f"lr is {lr}: the learning rate must be positive.")
        self.primary = {"mse": "mse", "ssim": "dssim"}[loss]
        self.lr = lr
        sides = halvings(info.image_size)
        widths = [info.channels, *(width * min(2**k, 4) for k in range(len(sides) - 1))]
        self.encoder = encoder(sides, widths, latent)
        self.decoder = decoder(sides, widths, latent)

    def reconstruct(self, images: Tensor) -> Tensor:
        """Images (B, C, H, W) as the decoder rebuilds them from their codes: (B, C, H, W), all but within [0, 1]."""
        rebuilt: Tensor = self.decoder(self.encoder(images))
        return rebuilt

    def score(self, images: Tensor) -> dict[str, Scores]:
        rebuilt = self.reconstruct(images)
        maps = {name: error_map(images, rebuilt) for name, error_map in ERROR_MAPS.items()}
        return {name: Scores(error.mean((1, 2, 3)), error) for name, error in maps.items()}

    def loss(self, images: Tensor) -> Tensor:
        """Mean of the primary error map over pixels and images: a number."""
        return ERROR_MAPS[self.primary](images, self.reconstruct(images)).mean()

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        loss = self.loss(batch)
        self.log("loss/reconstruction", loss, prog_bar=True)
        return loss

    def configure_optimizers(self) -> Adam:
        return Adam(self.parameters(), lr=self.lr)


def halvings(side: int) -> list[int]:
    """Sides of the feature maps, from the image's to the first of at most 4, each half the last (rounded up).

    >>> halvings(28)
    [28, 14, 7, 4]
    """
    if side < 2:
        raise NoveltyError(f"Images of {side} px are too small for the autoencoder: it needs at least 2.")
    sides = [side, -(-side // 2)]
    while sides[-1] > 4:
        sides.append(-(-sides[-1] // 2))
    return sides


def encoder(sides: list[int], widths: list[int], latent: int) -> nn.Sequential:
    """Strided 3x3 convolutions, which halve and round up, then one dense layer to (B, latent)."""
    layers: list[nn.Module] = []
    for before, after in pairwise(widths):
        layers += [nn.Conv2d(before, after, 3, stride=2, padding=1), nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(widths[-1] * sides[-1] ** 2, latent))


def decoder(sides: list[int], widths: list[int], latent: int) -> nn.Sequential:
    """The encoder backwards, with nearest upsampling: transposed convolutions of odd kernels leave a checkerboard."""
    layers: list[nn.Module] = [
        nn.Linear(latent, widths[-1] * sides[-1] ** 2),
        nn.LeakyReLU(0.2),
        nn.Unflatten(1, (widths[-1], sides[-1], sides[-1])),
    ]
    for level in range(len(sides) - 1, 0, -1):
        layers += [nn.Upsample(size=sides[level - 1]), nn.Conv2d(widths[level], widths[level - 1], 3, padding=1)]
        layers.append(nn.LeakyReLU(0.2) if level > 1 else LeakyClamp())
    return nn.Sequential(*layers)
