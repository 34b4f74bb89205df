"""CRBND: Connective Reconstruction-Based Novelty Detection (Hashemi, Aliniya, Razzaghi, 2022).

A reconstructor A learns to restore corrupted normal images; then a classifier C learns to tell positives, images mixed
with their reconstructions, from negatives, images mixed with degraded reconstructions. Marks below: [P] the paper,
[D] a decision of our fact sheet: the paper gives neither networks nor strengths nor lengths, and there is no code.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from novelty.errors import NoveltyError
from novelty.info import DataInfo, Schedule
from novelty.methods.crbnd.images import (
    Degradation,
    Operation,
    Source,
    add_noise,
    charbonnier,
    coarse_dropout,
    connect,
    cropped,
    padded,
    to_degrade,
)
from novelty.methods.crbnd.networks import Classifier, ReconstructionNetwork
from novelty.methods.reconstruction import Reconstructor
from novelty.nn.parts import part
from novelty.nn.processes import average_over_processes
from novelty.scores import Scores

__all__ = ["CRBND"]


class CRBND(Reconstructor):
    """Scores: ``classifier``, minus the logit of C(lambda x + (1 - lambda) A(x)) [P eq. 6], so that 0 is probability
    0.5; ``reconstruction``, the Charbonnier error of A with its map, to see what the negatives add to it.

    reconstructor_epochs, classifier_epochs: the two phases, one after the other in one training [D; Caltech-256: 200].
    batch_size:        images a step of A [P]. C takes two steps on them, each on a half: a positive and a negative of
                       64 images are a batch of 128 [D]. A half is every other image, so that processes that share an
                       even number of images each see the halves that one would.
    lr:                of both Adams [D].
    widths:            channels of A from the image to the bottleneck [D].
    classifier_widths: channels of C [D].
    corrupt_std:       Gaussian noise on what A is given [P eq. 1; D].
    dropout, dropout_grid, dropout_per_channel: coarse dropout on top [P eq. 2; D]: probability of a cell, cells along a
                       side as a share of its pixels, and whether each channel has its own mask.
    eps:               of the Charbonnier loss [P eq. 3; D].
    connective_weight: lambda, the share of the image itself in positives, negatives and scored images [P].
    negative_source:   what is degraded: the reconstruction [D: Fig. 2, introduction], the input (section 3.1), or one
                       of both at random (section 3).
    operation:         motion blur or Gaussian noise, either for half of the negatives [P], or one of them alone.
    blur:              least and greatest k at 32 pixels, growing with the side; the blur is 2k + 1 pixels long [D].
    noise:             least and greatest standard deviation [D].

    Images stay in [0, 1]. Zeros around them make their side a multiple of 16 (28 becomes 32), for both networks and in
    both losses; reconstructions and maps are cut out again.
    """

    primary = "classifier"
    compilable = ("reconstructor", "classifier")

    def __init__(
        self,
        info: DataInfo,
        *,
        reconstructor_epochs: int = 50,
        classifier_epochs: int = 20,
        batch_size: int = 128,
        lr: float = 1e-3,
        widths: tuple[int, ...] = (32, 64, 128, 256),
        classifier_widths: tuple[int, ...] = (32, 64, 128, 128),
        corrupt_std: float = 0.1,
        dropout: float = 0.1,
        dropout_grid: float = 0.25,
        dropout_per_channel: bool = False,
        eps: float = 1e-3,
        connective_weight: float = 0.5,
        negative_source: Source = "recon",
        operation: Operation = "either",
        blur: tuple[int, int] = (3, 7),
        noise: tuple[float, float] = (0.2, 0.5),
    ) -> None:
        for name, epochs in (("reconstructor", reconstructor_epochs), ("classifier", classifier_epochs)):
            if epochs < 1:
                raise NoveltyError(f"method.{name}_epochs is {epochs}: it must be at least 1.")
        super().__init__(info, Schedule(batch_size, epochs=reconstructor_epochs + classifier_epochs))
        self.automatic_optimization = False
        for name, kept in (("widths", widths), ("classifier_widths", classifier_widths)):
            if not kept or min(kept) < 1:
                raise NoveltyError(f"method.{name} is {list(kept)}: give at least one number of channels.")
        for name, share in (
            ("dropout", dropout),
            ("dropout_grid", dropout_grid),
            ("connective_weight", connective_weight),
        ):
            if not 0 <= share <= 1:
                raise NoveltyError(f"method.{name} is {share}: it must lie in [0, 1].")
        if lr <= 0:
            raise NoveltyError(f"method.lr is {lr}: the learning rate must be positive.")
        self.reconstructor_epochs = reconstructor_epochs
        self.lr = lr
        self.corrupt_std = corrupt_std
        self.dropout, self.dropout_per_channel = dropout, dropout_per_channel
        self.eps = eps
        self.connective_weight = connective_weight
        self.negative_source = negative_source
        self.multiple: int = 2 ** max(len(widths) - 1, len(classifier_widths))
        side = info.image_size + -info.image_size % self.multiple
        self.dropout_cells = max(1, round(dropout_grid * side))
        self.degradation = Degradation(operation, _scaled_blur(blur, side), _checked_noise(noise))
        self.reconstructor = ReconstructionNetwork(info.channels, widths)
        self.classifier = Classifier(info.channels, classifier_widths)

    # --- training -----------------------------------------------------------------------------------------------------

    @property
    def phase(self) -> int:
        """1 while the reconstructor learns, 2 while the classifier does: the epoch tells, a resume needs no flag."""
        return 1 if self.current_epoch < self.reconstructor_epochs else 2

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        """One Adam for A, one for C."""
        fused = self.device.type == "cuda"
        return [
            torch.optim.Adam(network.parameters(), self.lr, fused=fused)
            for network in (self.reconstructor, self.classifier)
        ]

    def training_step(self, batch: Tensor, batch_idx: int) -> None:
        """A step of A, or two of C, on images (B, C, S, S) in [0, 1]."""
        images = padded(batch, self.multiple)
        to_reconstruct, to_classify = cast(list[Any], self.optimizers())
        self.reconstructor.train(self.phase == 1)  # frozen later: its running statistics stay as they are
        if self.phase == 1:
            with part("reconstructor"):
                name, loss = "loss/reconstruction", self._reconstruction_loss(images)
                self.learn(to_reconstruct, loss)
        else:
            halves = [half for half in (images[0::2], images[1::2]) if len(half)]
            name, loss = "loss/classifier", torch.stack([self._classify(half, to_classify) for half in halves]).mean()
        loss = loss.detach().clone()
        average_over_processes([loss])
        self.log(name, loss, prog_bar=True)
        self.log("phase", float(self.phase), prog_bar=True)

    def _reconstruction_loss(self, images: Tensor) -> Tensor:
        """Charbonnier loss between clean images and what A makes of corrupted ones [P eq. 1-3]."""
        noisy = add_noise(images, self.corrupt_std)
        corrupted = coarse_dropout(noisy, self.dropout, self.dropout_cells, self.dropout_per_channel)
        return charbonnier(images, self.reconstructor(corrupted).float(), self.eps).mean()

    def _classify(self, images: Tensor, optimizer: Any) -> Tensor:
        """One step of C on a positive and a negative of each image; its cross-entropy."""
        with part("connective images"):
            positives, negatives = self._pairs(images)
        with part("classifier"):
            logits = self.classifier(torch.cat([positives, negatives])).float()
            labels = (torch.arange(len(logits), device=logits.device) < len(positives)).float()
            loss = F.binary_cross_entropy_with_logits(logits, labels)
            self.learn(optimizer, loss)
        return loss.detach()

    @torch.no_grad()
    def _pairs(self, images: Tensor, generator: Generator | None = None) -> tuple[Tensor, Tensor]:
        """x_CP and x_CN [P eq. 4-5] of padded images; A sees the clean ones, as it will at test."""
        rebuilt = self.reconstructor(images).float()
        with torch.autocast(self.device.type, enabled=False):
            source = to_degrade(images, rebuilt, self.negative_source, generator)
            degraded = self.degradation(source, generator)
        return connect(images, rebuilt, self.connective_weight), connect(images, degraded, self.connective_weight)

    # --- scoring ------------------------------------------------------------------------------------------------------

    def score(self, images: Tensor) -> dict[str, Scores]:
        x = padded(images, self.multiple)
        rebuilt = self.reconstructor(x)
        logits = self.classifier(connect(x, rebuilt, self.connective_weight))
        error = charbonnier(images, cropped(rebuilt, images.shape[-1]), self.eps).mean(1, keepdim=True)
        return {"classifier": Scores(-logits), "reconstruction": Scores(error.mean((1, 2, 3)), error)}

    def reconstruct(self, images: Tensor) -> Tensor:
        """A(images): (B, C, S, S) in [0, 1], both ways."""
        return cropped(self.reconstructor(padded(images, self.multiple)), images.shape[-1])

    def embed(self, images: Tensor) -> dict[str, Tensor]:
        """What C's last layer sees of images' positives and of their negatives: (B, 128) each, by default."""
        positives, negatives = self._pairs(padded(images, self.multiple), self.seeded_generator())
        return {"positive": self.classifier.features(positives), "negative": self.classifier.features(negatives)}

    def pictures(self, images: Tensor) -> dict[str, Tensor]:
        connective, negative = self._pairs(padded(images, self.multiple), self.seeded_generator())
        side = images.shape[-1]
        return {
            **super().pictures(images),
            "connective": cropped(connective, side),
            "negative": cropped(negative, side),
        }


def _scaled_blur(blur: tuple[int, int], side: int) -> tuple[int, int]:
    """Least and greatest k for images of ``side`` pixels from those for 32."""
    if len(blur) != 2 or not 1 <= blur[0] <= blur[1]:
        raise NoveltyError(f"method.blur is {list(blur)}: give the least and the greatest k, from 1 on.")
    low, high = (max(1, round(k * side / 32)) for k in blur)
    if high >= side:
        raise NoveltyError(
            f"method.blur is {list(blur)}: a blur of k = {blur[1]} at 32 pixels is wider than the image."
        )
    return low, high


def _checked_noise(noise: tuple[float, float]) -> tuple[float, float]:
    if len(noise) != 2 or not 0 <= noise[0] <= noise[1]:
        raise NoveltyError(f"method.noise is {list(noise)}: give the least and the greatest deviation, from 0 on.")
    return noise[0], noise[1]
