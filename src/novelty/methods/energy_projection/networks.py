"""The autoencoder of Bergmann et al. for 128 px, and which network a method is given."""

from __future__ import annotations

from typing import Literal

from torch import nn

from novelty.errors import NoveltyError
from novelty.info import DataInfo
from novelty.methods.energy_projection import resnet

Networks = Literal["bergmann", "resnet"]
Output = Literal["sigmoid", "linear"]

SLOPE = 0.2
"""Negative slope of every leaky ReLU [B]."""


def build_networks(
    info: DataInfo,
    networks: Networks = "bergmann",
    latent: int = 100,
    per_code: int = 1,
    width: int = 32,
    output: Output = "sigmoid",
    norm_momentum: float = 0.001,
) -> tuple[nn.Module, nn.Module]:
    """Encoder, images (B, C, S, S) -> (B, per_code * latent, 1, 1), and decoder, (B, latent, 1, 1) -> images.

    Raises NoveltyError for sizes of images that a network cannot take.
    """
    if networks == "bergmann":
        check_side(info.image_size)
        coder: nn.Module = encoder(info, per_code * latent, width)
        back: nn.Module = decoder(info, latent, width)
    else:
        resnet.check_side(info.image_size)
        coder = resnet.Encoder(info, per_code * latent, width, norm_momentum)
        back = resnet.decoder(info, latent, width, norm_momentum)
    return coder, nn.Sequential(back, nn.Sigmoid()) if output == "sigmoid" else back


def check_side(side: int) -> None:
    """NoveltyError where four halvings do not leave at least 2 pixels."""
    if side < 32 or side % 16:
        raise NoveltyError(
            f"The networks of Bergmann et al. halve an image four times down to an even rest, which {side} pixels do "
            "not allow: set data.image_size to 128 (as the paper does), 64, 32, or another multiple of 16 from 32 on."
        )


def encoder(info: DataInfo, outputs: int, width: int = 32) -> nn.Sequential:
    """(B, C, S, S) -> (B, outputs, 1, 1), linear at the end. The table of the sheet (1a) at S = 128 and width 32.

    At other sizes the last kernel covers what four halvings leave, S/16 pixels instead of 8 [D].
    """
    w = width
    layers: list[nn.Module] = [
        nn.Conv2d(info.channels, w, 4, 2, 1),
        nn.Conv2d(w, w, 4, 2, 1),
        nn.Conv2d(w, w, 3, 1, 1),
        nn.Conv2d(w, 2 * w, 4, 2, 1),
        nn.Conv2d(2 * w, 2 * w, 3, 1, 1),
        nn.Conv2d(2 * w, 4 * w, 4, 2, 1),
        nn.Conv2d(4 * w, 2 * w, 3, 1, 1),
        nn.Conv2d(2 * w, w, 3, 1, 1),
        nn.Conv2d(w, outputs, info.image_size // 16),
    ]
    return _with_activations(layers)


def decoder(info: DataInfo, latent: int, width: int = 32) -> nn.Sequential:
    """(B, latent, 1, 1) -> (B, C, S, S), the encoder mirrored, linear at the end."""
    w = width
    layers: list[nn.Module] = [
        nn.ConvTranspose2d(latent, w, info.image_size // 16),
        nn.Conv2d(w, 2 * w, 3, 1, 1),
        nn.Conv2d(2 * w, 4 * w, 3, 1, 1),
        nn.ConvTranspose2d(4 * w, 2 * w, 4, 2, 1),
        nn.Conv2d(2 * w, 2 * w, 3, 1, 1),
        nn.ConvTranspose2d(2 * w, w, 4, 2, 1),
        nn.Conv2d(w, w, 3, 1, 1),
        nn.ConvTranspose2d(w, w, 4, 2, 1),
        nn.ConvTranspose2d(w, info.channels, 4, 2, 1),
    ]
    return _with_activations(layers)


def _with_activations(layers: list[nn.Module]) -> nn.Sequential:
    """A leaky ReLU after every layer but the last."""
    between = [part for layer in layers[:-1] for part in (layer, nn.LeakyReLU(SLOPE))]
    return nn.Sequential(*between, layers[-1])
