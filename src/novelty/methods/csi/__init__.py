"""CSI: Contrasting Shifted Instances (Tack, Mo, Jeong, Shin, NeurIPS 2020), one class.

A SimCLR in which an image turned by 90 degrees is another image, and a classifier of the turns beside it. Novel is what
lies far from every normal image in the space of projections. Marks below: [CSI] its code, [P] Contrasting Synthetic
Images (Yu & Chiu), [D] a decision of that paper's fact sheet.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor
from torch.optim import Adam, Optimizer

from novelty.errors import NoveltyError
from novelty.info import DataInfo, Schedule
from novelty.methods.base import Method
from novelty.methods.csi.bank import Bank
from novelty.methods.csi.extractor import Extractor, Network, shifted_loss, views_of
from novelty.nn.augmentations import TURNS, Transformation, turned
from novelty.nn.lars import LARS
from novelty.nn.parts import part
from novelty.nn.processes import average_over_processes
from novelty.scores import Scores

__all__ = ["CSI"]

Primary = Literal["csi", "csi_ensembled", "joint", "joint_ensembled"]
OptimizerName = Literal["adam", "lars"]
Rates = Literal["constant", "cosine"]

VIEWS = 2 * TURNS
"""Of every image in a batch: two of each rotation."""
_PIXELS = 2**24
"""Pixels that pass the extractor at once when scoring; no influence on the scores."""


class CSI(Method):
    """Scores, higher = more novel; ``ensembled``: of projections that are means over transformed images.

    ``csi``: minus the mean over rotations of similarity to the nearest normal image and of the rotation's logit, each
    over its mean on normal images.  ``joint``: -M of [P] eq. 11, one neighbour for all rotations, nothing else.

    epochs, batch_size: [CSI: 1000, 128 images in all; every image makes eight samples].
    optimizer:     lars [CSI: momentum 0.9, trust coefficient 0.001], or adam [P].
    learning_rate: null = the paper's: 0.1 with lars, 2e-4 with adam.
    warmup_epochs: lars alone: the rate grows to ten times itself meanwhile [CSI: 10 epochs].
    rates:         cosine after the warm-up [CSI], or constant [D, with adam]; null = that of the optimiser.
    weight_decay:  [CSI: 1e-6].
    temperature:   of NT-Xent [CSI: 0.5].
    network:       stem of the ResNet-18: cifar, imagenet, or auto by the size of images.
    width:         of its first stage [64]; for trials.
    checkpoint:    spend a third more time to save most of the memory of training.
    crop, jitter, jittered, grey, flip, blur: the transformations (see `Transformation`) [CSI; blur D: 0.5 for
                   ImageNet-30, none for CIFAR].
    samples:       draws R of the ensembled scores, the same for every image [CSI: 10].
    score_crop:    share of the area that a crop has in these [CSI: 0.54]; no blur there.
    primary:       the score that counts where none is named.
    """

    scoring: ClassVar[frozenset[str]] = frozenset({"primary"})
    compilable: ClassVar[tuple[str, ...]] = ("extractor.trunk",)

    def __init__(
        self,
        info: DataInfo,
        *,
        epochs: int = 1000,
        batch_size: int = 128,
        optimizer: OptimizerName = "lars",
        learning_rate: float | None = None,
        warmup_epochs: int = 10,
        rates: Rates | None = None,
        weight_decay: float = 1e-6,
        temperature: float = 0.5,
        network: Network = "auto",
        width: int = 64,
        checkpoint: bool = False,
        crop: tuple[float, float] = (0.08, 1.0),
        jitter: tuple[float, float, float, float] = (0.4, 0.4, 0.4, 0.1),
        jittered: float = 0.8,
        grey: float = 0.2,
        flip: float = 0.5,
        blur: float = 0.0,
        samples: int = 10,
        score_crop: float = 0.54,
        primary: Primary = "csi_ensembled",
    ) -> None:
        super().__init__(info, Schedule(batch_size, epochs=epochs))
        self.automatic_optimization = False
        for name, value in (("width", width), ("samples", samples), ("temperature", temperature)):
            if value <= 0:
                raise NoveltyError(f"method.{name} is {value}: it must be above 0.")
        self.primary: str = primary
        self.optimizer = optimizer
        self.learning_rate = learning_rate or {"lars": 0.1, "adam": 2e-4}[optimizer]
        self.warmup_epochs = warmup_epochs if optimizer == "lars" else 0
        self.rates = rates or {"lars": "cosine", "adam": "constant"}[optimizer]
        self.weight_decay = weight_decay
        self.temperature = temperature
        self.samples = samples
        self.iteration = 0
        self.transform = _transformation(crop, jitter, jittered, grey, flip, blur)
        self.score_transform = replace(self.transform, scale=(score_crop, score_crop), blur=0.0)
        self.extractor = Extractor(info.channels, info.image_size, network, width, checkpoint=checkpoint)
        self.bank = Bank(info.train_size, self.extractor.features)
        self.ensembled_bank = Bank(info.train_size, self.extractor.features)

    # --- training -----------------------------------------------------------------------------------------------------

    def configure_optimizers(self) -> Any:
        return self._extractor_optimizer()

    def _extractor_optimizer(self) -> Optimizer:
        weights = self.extractor.parameters()
        if self.optimizer == "lars":
            return LARS(weights, self.learning_rate, weight_decay=self.weight_decay)
        fused = self.device.type == "cuda"
        return Adam(weights, self.learning_rate, (0.9, 0.999), weight_decay=self.weight_decay, fused=fused)

    def training_step(self, batch: Tensor, batch_idx: int) -> None:
        """One step on L_CSI of images (B, C, S, S) in [0, 1]."""
        optimizer: Any = self.optimizers()
        self._set_rate(optimizer)
        self._report(self._contrast_step(optimizer, batch))
        self.iteration += 1

    def _contrast_step(self, optimizer: Any, *images: Tensor) -> tuple[Tensor, Tensor]:
        """F learns by L_CSI of the union of mini-batches; both terms, for the log."""
        contrast, shift = self.csi_loss(*images)
        with part("learning"):
            self.learn(optimizer, contrast + shift)
        return contrast.detach(), shift.detach()

    def csi_loss(self, *images: Tensor) -> tuple[Tensor, Tensor]:
        """L_con-SI and L_cls-SI (eq. 2 and 3) of the union of mini-batches (B, C, S, S), two scalars.

        Each mini-batch has draws of its own for the joined batch of all processes.
        """
        with part("augmentation"):
            made = [self._views(some) for some in images]
            # The first views of all mini-batches, then the second ones.
            halves = [torch.cat(parts) for parts in zip(*(views.chunk(2) for views, _ in made), strict=True)]
            labels = [torch.cat(parts) for parts in zip(*(turns.chunk(2) for _, turns in made), strict=True)]
            views, turns = torch.cat(halves), torch.cat(labels)
        with part("extractor"):
            seen = self.extractor(views)
        return shifted_loss(seen, turns, self.temperature)

    def _views(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Both views of images in all rotations (8B, C, S, S): views, then rotations, then images; with turns (8B,)."""
        turns = views_of(len(images), images.device)
        numbers = self.transform.draw(len(images), VIEWS, images.device)
        return self.transform(images.repeat(VIEWS, 1, 1, 1), numbers, turns), turns

    def rate_at(self, epoch: float) -> float:
        """The learning rate of F after so many epochs. [CSI]: 0.1 at 0, 0.55 at 5, 1.0 at 10, then along a cosine."""
        peak = self.learning_rate * (10 if self.warmup_epochs else 1)
        if epoch < self.warmup_epochs:
            return self.learning_rate + (peak - self.learning_rate) * epoch / self.warmup_epochs
        if self.rates == "constant":
            return peak
        assert self.schedule.epochs is not None
        return peak * (1 + math.cos(math.pi * (epoch - self.warmup_epochs) / self.schedule.epochs)) / 2

    def _set_rate(self, optimizer: Any) -> None:
        rate = self.rate_at(self.iteration / self.trainer.num_training_batches)
        for group in optimizer.param_groups:
            group["lr"] = rate

    def _report(self, losses: tuple[Tensor, Tensor], **more: Tensor) -> None:
        """Logs the mean over processes of the two terms of L_CSI and of further losses."""
        measured = {"loss/contrast": losses[0].clone(), "loss/rotation": losses[1].clone()}
        measured |= {f"loss/{name}": value.detach().float().clone() for name, value in more.items()}
        average_over_processes(list(measured.values()))
        for name, value in measured.items():
            self.log(name, value, prog_bar=name == "loss/contrast")

    def get_extra_state(self) -> dict[str, int]:
        """The iteration: Lightning's `global_step` counts steps of optimisers."""
        return {"iteration": self.iteration}

    def set_extra_state(self, state: dict[str, int]) -> None:
        self.iteration = state["iteration"]

    # --- scoring ------------------------------------------------------------------------------------------------------

    @torch.inference_mode(False)  # tensors made in inference mode would refuse gradients of the scores later
    @torch.no_grad()
    def calibrate(self, batches: Iterable[Tensor]) -> None:
        """Keeps the projections of all normal images, plain and ensembled."""
        plain, ensembled = [], []
        for images in (batch.to(self.device) for batch in batches):
            plain.append(self._project(images))
            ensembled.append(self._project_ensembled(images))
        for bank, found in ((self.bank, plain), (self.ensembled_bank, ensembled)):
            bank.fill(*(torch.cat(parts) for parts in zip(*found, strict=True)))

    def score(self, images: Tensor) -> dict[str, Scores]:
        normality = self.bank(*self._project(images))
        ensembled = self.ensembled_bank(*self._project_ensembled(images))
        normality |= {f"{name}_ensembled": value for name, value in ensembled.items()}
        return {name: Scores(-value) for name, value in normality.items()}

    def _project(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Projections (B, 4, d) of images in all rotations, and logits (B, 4) of the true rotation."""
        return self._seen(turned(images), len(images))

    def _project_ensembled(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """As `_project`, means over the draws; a draw is of its rotation and number, not of the image."""
        projections = logits = torch.zeros((), device=images.device)
        turns = torch.arange(TURNS, device=images.device).repeat_interleave(len(images))
        for numbers in self._draws().to(images.device):
            transformed = self.score_transform(
                images.repeat(TURNS, 1, 1, 1), numbers.repeat_interleave(len(images), 0), turns
            )
            found = self._seen(transformed, len(images))
            projections, logits = projections + found[0], logits + found[1]
        return projections / self.samples, logits / self.samples

    def _draws(self) -> Tensor:
        """The numbers of all draws, (R, 4, numbers), made on the CPU: the same on every device."""
        generator = torch.Generator().manual_seed(self.seed)
        return torch.rand(self.samples, TURNS, self.transform.numbers, generator=generator, device="cpu")

    def _seen(self, images: Tensor, count: int) -> tuple[Tensor, Tensor]:
        """What the extractor makes of (4 * count, C, S, S), some at a time, by image and rotation."""
        most = max(1, _PIXELS // images[0, 0].numel())
        found = [self.extractor(some) for some in torch.split(images, most)]
        projections = torch.cat([seen.projections for seen in found]).view(TURNS, count, -1)
        logits = torch.cat([seen.logits for seen in found]).view(TURNS, count, TURNS)
        true = logits.diagonal(dim1=0, dim2=2)  # (count, 4): of rotation k the k-th
        return projections.transpose(0, 1), true


def _transformation(
    crop: tuple[float, float],
    jitter: tuple[float, float, float, float],
    jittered: float,
    grey: float,
    flip: float,
    blur: float,
) -> Transformation:
    """The transformations as configured; NoveltyError for shares and probabilities that are none."""
    for name, value in (("jittered", jittered), ("grey", grey), ("flip", flip), ("blur", blur)):
        if not 0 <= value <= 1:
            raise NoveltyError(f"method.{name} is {value}: a probability lies between 0 and 1.")
    if len(crop) != 2 or not 0 < crop[0] <= crop[1] <= 1:
        raise NoveltyError(
            f"method.crop is {list(crop)}: give the smallest and the largest share of the area, up to 1."
        )
    if len(jitter) != 4 or min(jitter) < 0:
        raise NoveltyError(
            f"method.jitter is {list(jitter)}: give brightness, contrast, saturation and hue, all from 0."
        )
    low, high = crop
    brightness, contrast, saturation, hue = jitter
    changes = (brightness, contrast, saturation, hue)
    return Transformation(scale=(low, high), flip=flip, jitter=changes, jittered=jittered, grey=grey, blur=blur)
