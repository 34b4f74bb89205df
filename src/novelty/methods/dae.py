"""A denoising autoencoder: it rebuilds normal images from disturbed ones; novel = badly rebuilt.

After Vincent, Larochelle, Bengio, Manzagol (2008), whom Puzzle-AE's Figure 8 cites for its line "DAE" without a word on
network, noise or length. Marks: [P] Puzzle-AE, [C] its authors' code, [A] the code of ARAE, by the same group,
[D] a decision of our fact sheet.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.lr_scheduler import ReduceLROnPlateau

from novelty.errors import NoveltyError
from novelty.info import DataInfo, Schedule
from novelty.methods.autoencoder import squared_error_map
from novelty.methods.puzzle_ae import checks
from novelty.methods.reconstruction import Reconstructor
from novelty.nn.processes import average_over_processes, own_share
from novelty.nn.unet import UNet
from novelty.scores import Scores

HIDDEN = (512, 256, 128, 256, 512)
"""Widths of the MLP between image and image [A]."""

EPSILON = {"unet": 1e-8, "mlp": 1e-7}
"""Adam's: the MLP is a Keras model, whose Adam has another one than PyTorch's [A]."""


class DAE(Reconstructor):
    """Score ``mse``, the mean squared error of a clean image's reconstruction, with its map; the loss is that of a
    disturbed image's reconstruction against the clean image.

    network:       unet, Puzzle-AE's own [D]; its skip connections let it learn the identity, so that it sees little of
                   what is novel. mlp: 512-256-128-256-512 units, a sigmoid after every layer and at the end [A].
    noise:         gaussian, then clamped to [0, 1], or masking, values that become 0; of each value alone [D].
    deviation:     of the Gaussian noise [D]; 0 makes it a plain autoencoder.
    masked:        probability of a value to be masked [D].
    epochs, batch_size: 600 and 128 of the U-Net [C, P]; 400 and 256 of the MLP [D].
    learning_rate, weight_decay: of Adam [P, C]; the MLP has no decay [A].
    plateau_factor, plateau_patience: the rate is multiplied by the first where the epoch's loss did not fall for so
                   many epochs [P]; a patience of null keeps it [A].
    width:         channels of the U-Net's first layers.
    """

    primary = "mse"
    maps = True
    compilable = ("network",)

    epoch_error: Tensor

    def __init__(
        self,
        info: DataInfo,
        *,
        network: Literal["unet", "mlp"] = "unet",
        noise: Literal["gaussian", "masking"] = "gaussian",
        deviation: float = 0.2,
        masked: float = 0.25,
        epochs: int = 600,
        batch_size: int = 128,
        learning_rate: float = 1e-3,
        weight_decay: float = 1e-5,
        plateau_factor: float = 0.8,
        plateau_patience: int | None = 50,
        width: int = 64,
    ) -> None:
        super().__init__(info, Schedule(batch_size, epochs=epochs))
        self.automatic_optimization = False
        if not 0 <= masked <= 1:
            raise NoveltyError(f"method.masked is {masked}: it is a probability, in [0, 1].")
        checks.above_zero(learning_rate=learning_rate, width=width)
        checks.not_negative(deviation=deviation, weight_decay=weight_decay)
        checks.plateau(plateau_factor, plateau_patience)
        self.noise, self.deviation, self.masked = noise, deviation, masked
        self.learning_rate, self.weight_decay, self.epsilon = learning_rate, weight_decay, EPSILON[network]
        self.plateau_factor, self.plateau_patience = plateau_factor, plateau_patience
        side, channels = info.image_size, info.channels
        self.network = UNet(channels, side, width) if network == "unet" else MLP((channels, side, side))
        self.register_buffer("epoch_error", torch.zeros(()))

    def reconstruct(self, images: Tensor) -> Tensor:
        """Images (B, C, S, S) as the network gives them back, of that shape; the U-Net's are not clamped."""
        return cast(Tensor, self.network(images))

    def score(self, images: Tensor) -> dict[str, Scores]:
        errors = squared_error_map(images, self.reconstruct(images))
        return {"mse": Scores(errors.mean((1, 2, 3)), errors)}

    def disturbed(self, images: Tensor) -> Tensor:
        """Images (B, C, S, S) in [0, 1] with noise drawn for each value, in [0, 1]."""
        shape, device = images.shape[1:], images.device
        if self.noise == "masking":
            drawn = own_share(lambda count: torch.rand(count, *shape, device=device), len(images))
            return images * (drawn >= self.masked)
        drawn = own_share(lambda count: torch.randn(count, *shape, device=device), len(images))
        return (images + self.deviation * drawn).clamp(0, 1)

    def training_pictures(self, images: Tensor) -> dict[str, Tensor]:
        """Images with noise, and what the network makes of them, clamped."""
        with self.seeded():
            disturbed = self.disturbed(images)
        return {"disturbed": disturbed, "reconstruction": self.reconstruct(disturbed).clamp(0, 1)}

    def configure_optimizers(self) -> Any:
        """Adam, and the schedule of its rate where there is one."""
        weights = self.network.parameters()
        optimizer = torch.optim.Adam(
            weights, self.learning_rate, eps=self.epsilon, weight_decay=self.weight_decay, fused=True
        )
        if self.plateau_patience is None:
            return optimizer
        plateau = ReduceLROnPlateau(optimizer, factor=self.plateau_factor, patience=self.plateau_patience)
        return [optimizer], [plateau]

    def training_step(self, batch: Tensor, batch_idx: int) -> None:
        """One step on images (B, C, S, S) in [0, 1]."""
        loss = F.mse_loss(self.network(self.disturbed(batch)).float(), batch)
        self.learn(self.optimizers(), loss)
        measured = loss.detach().clone()
        average_over_processes([measured])
        self.epoch_error += measured
        self.log("loss/reconstruction", measured, prog_bar=True)

    def on_train_epoch_end(self) -> None:
        """The learning rate follows the epoch's sum of losses, as Puzzle-AE's does. Waits for the device."""
        if self.plateau_patience is not None:
            cast(ReduceLROnPlateau, self.lr_schedulers()).step(float(self.epoch_error))
        self.epoch_error.zero_()


class MLP(nn.Sequential):
    """(B, C, S, S) -> (B, C, S, S) in [0, 1]; ``shape`` is (C, S, S). 1,132,944 parameters for 784 values, 3,478,144
    for 3,072. Weights begin as Glorot's normal ones, biases at 0 [A]."""

    def __init__(self, shape: tuple[int, int, int]) -> None:
        values = shape[0] * shape[1] * shape[2]
        layers: list[nn.Module] = [nn.Flatten()]
        for before, after in pairwise((values, *HIDDEN, values)):
            dense = nn.Linear(before, after)
            nn.init.xavier_normal_(dense.weight)
            nn.init.zeros_(dense.bias)
            layers += [dense, nn.Sigmoid()]
        super().__init__(*layers, nn.Unflatten(1, shape))
