"""FID (Heusel et al. 2017) by torchmetrics, on the pooled features of an Inception v3 from a local file."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from novelty.errors import NoveltyError

_SIDE = 299
_AUXILIARY = ("AuxLogits.", "fc.")
"""Beginnings of keys that the features do without."""
_WANTED = "a state dict of torchvision's inception_v3 (.pth or .safetensors), such as inception_v3_google-0cc3c7bd.pth"


class InceptionFeatures(nn.Module):
    """Images (B, 1 or 3, H, W) in [0, 1] -> (B, 2048): bilinear to 299 pixels, [-1, 1], up to the last pooling.

    weights: torchvision's file, whose network was converted from the original. FID by its features is not that of the
    original's file to the digit: compare within the project only.
    """

    num_features = 2048

    def __init__(self, weights: str) -> None:
        super().__init__()
        self.body = _empty_inception()
        self.body.load_state_dict(_checked(weights, self.body), assign=True)
        self.requires_grad_(False)
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        x = images.expand(-1, 3, -1, -1).float()
        x = F.interpolate(x, (_SIDE, _SIDE), mode="bilinear", align_corners=False)
        features: Tensor = self.body(x * 2 - 1)
        return features


def check_weights(weights: str) -> None:
    """NoveltyError where ``weights`` is no file of an Inception v3: before hours of training, not after them."""
    _checked(weights, _empty_inception())


def fid(real: Iterable[Tensor], fake: Iterable[Tensor], features: nn.Module, device: torch.device) -> float:
    """The distance between two sets of images (B, C, H, W) in [0, 1], two or more each; moments in float64."""
    from torchmetrics.image.fid import FrechetInceptionDistance

    # Of several processes one alone measures: it must not wait for the others.
    metric = FrechetInceptionDistance(feature=features, normalize=True, sync_on_compute=False).to(device)
    for images in real:
        metric.update(images, real=True)
    for images in fake:
        metric.update(images, real=False)
    return float(metric.compute())


def _empty_inception() -> nn.Module:
    """The network up to its pooling, on the meta device, without the auxiliary head."""
    from torchvision.models import inception_v3

    with torch.device("meta"):
        network: nn.Module = inception_v3(weights=None, transform_input=False, aux_logits=False, init_weights=False)
    network.fc = nn.Identity()
    return network.eval()


def _checked(weights: str, network: nn.Module) -> dict[str, Tensor]:
    """The tensors that ``network`` wants, from the file; NoveltyError where one is missing or has another shape."""
    path = Path(weights).expanduser()
    if not path.is_file():
        raise NoveltyError(f"method.fid_weights={weights} does not exist: give {_WANTED}.")
    found = _read(path)
    wanted = network.state_dict()
    for name, tensor in wanted.items():
        if name not in found or found[name].shape != tensor.shape:
            raise NoveltyError(
                f"method.fid_weights={weights} has no {name} of shape {list(tensor.shape)}: give {_WANTED}."
            )
    strange = sorted(name for name in found.keys() - wanted.keys() if not name.startswith(_AUXILIARY))
    if strange:
        raise NoveltyError(
            f"method.fid_weights={weights} holds {strange[0]}, which Inception v3 has not: give {_WANTED}."
        )
    return {name: found[name] for name in wanted}


def _read(path: Path) -> dict[str, Tensor]:
    """A state dict on the CPU; torch.load and safetensors have a dozen ways to fail, all of which mean the file."""
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        state: Any = torch.load(path, map_location="cpu", weights_only=True)
        return {str(name): tensor for name, tensor in state.items() if isinstance(tensor, Tensor)}
    except Exception as error:
        raise NoveltyError(f"method.fid_weights={path} cannot be read as a file of weights: give {_WANTED}.") from error
