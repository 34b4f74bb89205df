"""VGG trunks up to relu4_2 as fixed feature extractors: their weights, and the statistics of their responses."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from importlib import resources
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from novelty.errors import NoveltyError

Backbone = Literal["vgg19", "vgg16"]

LAYER = "relu4_2"
"""After the ReLU of the second convolution of the fourth block."""

_WIDTHS = {
    "vgg16": (64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512),
    "vgg19": (64, 64, 0, 128, 128, 0, 256, 256, 256, 256, 0, 512, 512),
}
"""Filters of each 3x3 convolution; 0 = 2x2 max pooling."""

_URL = "https://download.pytorch.org/models/"
_FILES = {"vgg16": "vgg16-397923af.pth", "vgg19": "vgg19-dcbb9e9d.pth"}
"""torchvision's IMAGENET1K_V1 files; the name ends with the first 8 digits of the sha256."""

DIGITS = {backbone: name.removesuffix(".pth")[-8:] for backbone, name in _FILES.items()}
"""The first digits of these files' sha256."""

_SHIPPED = "vgg19_relu4_2_imagenet_stats.json"

STATS_COMMAND = "python -m novelty.data stats backbone={backbone} weights={weights} images=FOLDER out=stats.json"


class _FixedConv(nn.Conv2d):
    """A convolution that is no part of what is learned: it follows `.to`, and checkpoints leave it out."""

    def reset_parameters(self) -> None:
        """Left empty: the weights come from elsewhere, and the run's random numbers stay untouched."""

    def _save_to_state_dict(self, *_: Any) -> None:
        pass

    def _load_from_state_dict(self, *_: Any) -> None:
        pass


class VGGTrunk(nn.Module):
    """relu4_2 of VGG-16 or VGG-19 (Simonyan & Zisserman 2015), layers numbered as in torchvision's ``features``.

    Images (B, 1 or 3, H, W) in [0, 1] -> responses (B, 512, H // 8, W // 8). Grey is repeated over the three channels;
    ImageNet's mean and deviation are taken off inside. Without gradients of its own, and kept out of `state_dict`:
    23 MB that are read again from ``weights``. Build it with `load_trunk`.

    backbone: its name.  digest: sha256 of the weights file ("dcbb9e9d", the first digits, where torchvision's own file
    was downloaded; "random" for random weights).  source: "imagenet" for that file, "random", or another file's name.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, backbone: Backbone, digest: str, source: str) -> None:
        super().__init__()
        self.backbone = backbone
        self.digest = digest
        self.source = source
        layers: list[nn.Module] = []
        channels = 3
        for width in _WIDTHS[backbone]:
            if width:
                layers += [_FixedConv(channels, width, 3, padding=1), nn.ReLU(inplace=True)]
                channels = width
            else:
                layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        self.channels = channels
        self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1), persistent=False)
        self.requires_grad_(False)

    def forward(self, images: Tensor) -> Tensor:
        return self.features((images - self.mean) / self.std)


class Statistics(NamedTuple):
    """Per-filter mean and standard deviation (512,) of a trunk's responses, and where they come from."""

    mean: Tensor
    std: Tensor
    source: str


def load_trunk(backbone: Backbone, weights: str) -> VGGTrunk:
    """A trunk with its weights.

    weights: "imagenet" = torchvision's file, downloaded into `torch.hub.get_dir` on first use; "random" = He
    initialisation from a fixed seed; otherwise a .pth or .safetensors file with keys ``features.N.weight`` and
    ``.bias`` (all of torchvision's file, or the trunk alone; float16 is allowed). Nothing is read on the meta device.
    NoveltyError where the file is missing, broken, or of another architecture.
    """
    meta = torch.get_default_device().type == "meta"
    if weights == "random":
        trunk = VGGTrunk(backbone, "random", "random")
        return trunk if meta else _randomise(trunk)
    if weights == "imagenet":
        name = _FILES[backbone]
        trunk = VGGTrunk(backbone, DIGITS[backbone], "imagenet")
        return trunk if meta else _fill(trunk, _download(name), name)
    path = Path(weights).expanduser()
    if not path.is_file():
        raise NoveltyError(
            f"The weights file {weights} does not exist: give the path of a {backbone} file (.pth or .safetensors), "
            "imagenet, or random."
        )
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    trunk = VGGTrunk(backbone, digest, "imagenet" if digest.startswith(DIGITS[backbone]) else path.name)
    return trunk if meta else _fill(trunk, _read(path), str(path))


def _randomise(trunk: VGGTrunk) -> VGGTrunk:
    generator = torch.Generator().manual_seed(0)
    for parameter in trunk.parameters():
        if parameter.dim() == 1:
            nn.init.zeros_(parameter)
        else:
            nn.init.kaiming_normal_(parameter, nonlinearity="relu", generator=generator)
    return trunk


def _download(name: str) -> dict[str, Tensor]:
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    try:
        return torch.hub.load_state_dict_from_url(_URL + name, map_location="cpu", check_hash=True, weights_only=True)
    except OSError as error:  # URLError and HTTPError are OSErrors
        raise NoveltyError(
            f"{_URL}{name} could not be downloaded ({error}): put the file into {folder}, or set method.weights to a "
            "local copy."
        ) from error
    except Exception as error:
        raise NoveltyError(
            f"{folder / name} is broken or incomplete ({_first_line(error)}): delete it and run again, or set "
            "method.weights to a local copy."
        ) from error


def _read(path: Path) -> dict[str, Tensor]:
    """A state dict on the CPU; torch.load and safetensors have a dozen ways to fail, all of which mean the file."""
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise NoveltyError(
            f"The weights file {path} cannot be read ({_first_line(error)}): it is broken, incomplete or no "
            ".pth/.safetensors state dict; fetch it again."
        ) from error


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")[:200]


def _fill(trunk: VGGTrunk, state: Any, name: str) -> VGGTrunk:
    """Copies the weights into place; NoveltyError where one is missing or has another shape."""
    if not isinstance(state, dict):
        raise NoveltyError(
            f"The weights file {name} holds no state dict: save `model.state_dict()` of a {trunk.backbone}."
        )
    with torch.no_grad():
        for key, parameter in trunk.named_parameters():
            value = state.get(key)
            if not isinstance(value, Tensor) or value.shape != parameter.shape:
                found = f"is {tuple(value.shape)}" if isinstance(value, Tensor) else "is missing"
                raise NoveltyError(
                    f"The weights file {name} does not fit {trunk.backbone}: {key} {found}, where "
                    f"{tuple(parameter.shape)} is needed; give a {trunk.backbone} file or set method.backbone."
                )
            parameter.copy_(value)
    return trunk


def feature_statistics(trunk: VGGTrunk, batches: Iterable[Tensor]) -> Statistics:
    """Mean and standard deviation (biased) of every filter over all images and positions, summed in float64.

    batches: images (B, 1 or 3, H, W) in [0, 1], any batch sizes, on any device. NoveltyError where there is no image.
    """
    device = next(trunk.parameters()).device
    total = torch.zeros(trunk.channels, dtype=torch.float64, device=device)
    squares = torch.zeros_like(total)
    count = images = 0
    with torch.no_grad():
        for batch in batches:
            responses = trunk(batch.to(device)).double()
            total += responses.sum((0, 2, 3))
            squares += responses.square().sum((0, 2, 3))
            count += responses.numel() // trunk.channels
            images += len(batch)
    if not count:
        raise NoveltyError("No image was given to measure the trunk's responses on: name a folder that holds some.")
    mean = total / count
    std = (squares / count - mean.square()).clamp_min(0).sqrt()
    return Statistics(mean.cpu(), std.cpu(), f"measured on {images} images")


def save_statistics(path: Path, trunk: VGGTrunk, statistics: Statistics) -> None:
    """A JSON file that `load_statistics` reads, bound to the trunk's weights."""
    content = {
        "layer": LAYER,
        "backbone": trunk.backbone,
        "weights_sha256": trunk.digest,
        "source": statistics.source,
        "mean": statistics.mean.tolist(),
        "std": statistics.std.tolist(),
    }
    path.write_text(json.dumps(content), encoding="utf-8")


def load_statistics(statistics: str, trunk: VGGTrunk, weights: str) -> Statistics:
    """The statistics that belong to ``trunk``, which was loaded from ``weights``.

    statistics: "auto" = the published ones for VGG-19 with ImageNet weights, mean 0 and deviation 1 for random weights;
    "none" = mean 0 and deviation 1; otherwise a JSON file as `save_statistics` writes it. NoveltyError where nothing is
    known of these weights, or the file was measured on others.
    """
    auto = statistics == "auto"
    if statistics == "none" or (auto and trunk.digest == "random"):
        return Statistics(torch.zeros(trunk.channels), torch.ones(trunk.channels), "none (mean 0, deviation 1)")
    if auto and (trunk.backbone, trunk.source) != ("vgg19", "imagenet"):
        raise NoveltyError(
            f"No feature statistics are known for {trunk.backbone} with weights={weights}: measure them with `"
            + STATS_COMMAND.format(backbone=trunk.backbone, weights=weights)
            + "` and set method.statistics=stats.json, or set method.statistics=none."
        )
    name = _SHIPPED if auto else statistics
    try:
        path = resources.files(__package__) / _SHIPPED if auto else Path(statistics).expanduser()
        content = json.loads(path.read_text(encoding="utf-8"))
        mean, std = (torch.tensor(content[key], dtype=torch.float32) for key in ("mean", "std"))
        backbone, digest, source = (str(content[key]) for key in ("backbone", "weights_sha256", "source"))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise NoveltyError(
            f"The statistics file {name} cannot be used ({type(error).__name__}: {_first_line(error)}): it must be a "
            "JSON file with layer, backbone, weights_sha256, source, mean and std, as `python -m novelty.data stats` "
            "writes it."
        ) from error
    same = bool(digest) and (digest.startswith(trunk.digest) or trunk.digest.startswith(digest))
    if backbone != trunk.backbone or not same or mean.shape != std.shape or len(mean) != trunk.channels:
        raise NoveltyError(
            f"The statistics file {name} was measured on {backbone} with weights {digest[:8]}, but method.weights is "
            f"{trunk.backbone} {trunk.digest[:8]}: give the file that belongs to these weights."
        )
    return Statistics(mean, std, source)


def normalise(features: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """(f - mean) / std per filter: features (B, C, ...), mean and std (C,). Constant filters (std 0) stay unscaled."""
    shape = (1, -1, *[1] * (features.dim() - 2))
    return (features - mean.view(shape)) / torch.where(std > 0, std, 1.0).view(shape)
