"""Contrasting Synthetic Images (Yu & Chiu): CSI joined with an adversarial autoencoder whose samples sharpen it.

Marks below: [P] the paper, [D] a decision of our fact sheet; the paper leaves much to CSI and to SN-GAN.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Literal, cast

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.optim import Adam

from novelty.errors import NoveltyError
from novelty.info import DataInfo, WeightsFile
from novelty.methods.contrasting_synthetic.fid import InceptionFeatures, check_weights, fid
from novelty.methods.contrasting_synthetic.losses import (
    discriminator_loss,
    fooling_loss,
    latent_reconstruction_loss,
    reconstruction_loss,
)
from novelty.methods.csi import CSI, OptimizerName, Primary, Rates
from novelty.methods.csi.extractor import Network
from novelty.nn.parts import part
from novelty.nn.processes import own_share
from novelty.nn.resnet import untouched_statistics
from novelty.nn.sngan import CODE, CodeDiscriminator, Discriminator, Encoder, Family, Generator

__all__ = ["ContrastingSynthetic"]

Stage = Literal["csi", "generator", "full"]


class ContrastingSynthetic(CSI):
    """F as in `CSI`, by default with Adam; every few steps G, E, D and D' learn, and F from synthetic images.

    The scores and the arguments of `CSI` are the same (`joint_ensembled` counts [D]); further ones:

    stage:            csi (F alone), generator (+ G and D), full (+ E and D') [P section 3.2].
    joint_every:      N of Algorithm 1, the steps from one round of the other networks to the next, from the first step
                      on [P: 5].
    pixel_weight:     lambda of eq. 8 [P: 100].
    generator_family: resnet or cnn, of SN-GAN [D: resnet].
    generator_size:   pixels of generated images, which are enlarged for F; null = those of the data where these are a
                      power of two up to 64, otherwise 32 or 64 [D: 64 for ImageNet-30].
    generator_width:  channels of G and E, twice those of D [256].
    generator_rate:   learning rate of G, E, D and D', constant [P: 2e-4].
    fid_weights:      a file of torchvision's inception_v3; with it the FID of as many samples as there are training
                      images is measured. It changes no score.

    G, E and D see images of ``generator_size``; F sees those of the data. While others learn, F's batch normalisation
    goes by the batch and remembers nothing.
    """

    scoring = CSI.scoring | {"fid_weights"}
    compilable = ()  # F sees five shapes, with and without gradients: each would be compiled for itself

    def __init__(
        self,
        info: DataInfo,
        *,
        stage: Stage = "full",
        joint_every: int = 5,
        pixel_weight: float = 100.0,
        generator_family: Family = "resnet",
        generator_size: int | None = None,
        generator_width: int = 256,
        generator_rate: float = 2e-4,
        fid_weights: WeightsFile | None = None,
        epochs: int = 1000,
        batch_size: int = 128,
        optimizer: OptimizerName = "adam",
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
        primary: Primary = "joint_ensembled",
    ) -> None:
        super().__init__(
            info,
            epochs=epochs,
            batch_size=batch_size,
            optimizer=optimizer,
            learning_rate=learning_rate,
            warmup_epochs=warmup_epochs,
            rates=rates,
            weight_decay=weight_decay,
            temperature=temperature,
            network=network,
            width=width,
            checkpoint=checkpoint,
            crop=crop,
            jitter=jitter,
            jittered=jittered,
            grey=grey,
            flip=flip,
            blur=blur,
            samples=samples,
            score_crop=score_crop,
            primary=primary,
        )
        for name, value in (("joint_every", joint_every), ("generator_width", generator_width)):
            if value < 1:
                raise NoveltyError(f"method.{name} is {value}: it must be at least 1.")
        self.stage: Stage = stage
        self.joint_every = joint_every
        self.pixel_weight = pixel_weight
        self.generator_rate = generator_rate
        self.fid_weights = fid_weights
        if fid_weights is not None:
            check_weights(fid_weights)
        if stage != "csi":
            size, wide = generator_size or _size_for(info.image_size), generator_width
            self.size = size
            self.generator = Generator(info.channels, size, generator_family, wide)
            self.discriminator = Discriminator(info.channels, size, generator_family, max(1, wide // 2))
            if stage == "full":
                self.encoder = Encoder(info.channels, size, generator_family, wide)
                self.code_discriminator = CodeDiscriminator()

    # --- training -----------------------------------------------------------------------------------------------------

    def configure_optimizers(self) -> Any:
        """Adam [P], of F, of D, of G and E, and of D'.

        G and E share an object, not a state: Adam keeps that by parameter, and leaves out those without a gradient, so
        a loss that knows only one of the two moves only that one.
        """
        extractor = self._extractor_optimizer()
        if self.stage == "csi":
            return extractor
        groups = [list(self.generator.parameters())]
        judges = [list(self.discriminator.parameters())]
        if self.stage == "full":
            groups.append(list(self.encoder.parameters()))
            judges.append(list(self.code_discriminator.parameters()))
        fused = self.device.type == "cuda"
        made = [Adam([{"params": some} for some in groups], self.generator_rate, (0.9, 0.999), fused=fused)]
        made += [Adam(some, self.generator_rate, (0.9, 0.999), fused=fused) for some in judges]
        return [extractor, *made]

    def training_step(self, batch: Tensor, batch_idx: int) -> None:
        """Algorithm 1 for one batch (B, C, S, S) in [0, 1], with the signs of eq. 7 and 9 put right."""
        found: Any = self.optimizers()
        extractor, *others = found if isinstance(found, list) else [found]
        self._set_rate(extractor)
        losses = self._contrast_step(extractor, batch)
        if self.stage == "csi" or self.iteration % self.joint_every:
            self._report(losses)
        else:
            self._report(losses, **self._joint_round(batch, extractor, *others))
        self.iteration += 1

    def _joint_round(
        self, images: Tensor, extractor: Any, autoencoder: Any, judge: Any, code_judge: Any = None
    ) -> dict[str, Tensor]:
        """The seven sub-steps, each a step of its own optimisers; their losses by name."""
        real = self._small(images)
        codes = own_share(lambda n: torch.randn(n, CODE, device=images.device), len(images))
        with part("discriminator and generator"):
            losses = self._adversarial_step(real, codes, autoencoder, judge)
        with part("generator by contrast"):
            with untouched_statistics(self.extractor):
                contrast, rotation = self.csi_loss(self._large(self.generator(codes)))
            losses["synthetic"] = contrast + rotation
            self.learn(autoencoder, losses["synthetic"])
        if self.stage == "full":
            with part("encoder"):
                losses |= self._code_step(real, codes, autoencoder, code_judge)
                losses["reconstruction"] = self._reconstruction_step(images, real, autoencoder)
        with torch.no_grad():
            synthetic = self.generator(codes)
        if self.stage == "full":
            with part("encoder"):
                losses["latent"] = latent_reconstruction_loss(codes, self.encoder(synthetic))
                self.learn(autoencoder, losses["latent"])
        with part("joint"):
            # G has not moved since: the same synthetic images serve.
            losses["joint"] = torch.stack(self._contrast_step(extractor, images, self._large(synthetic))).sum()
        return losses

    def _adversarial_step(self, real: Tensor, codes: Tensor, autoencoder: Any, judge: Any) -> dict[str, Tensor]:
        """D on L_D, then G and E against it: with the same images, which D's step does not touch."""
        fakes = [self.generator(codes)]
        if self.stage == "full":
            fakes.append(self.generator(self.encoder(real)))
        seen = self.discriminator(torch.cat([real, *(fake.detach() for fake in fakes)])).chunk(1 + len(fakes))
        judged = discriminator_loss(*seen)
        self.learn(judge, judged)
        fooled = fooling_loss(*self.discriminator(torch.cat(fakes)).chunk(len(fakes)))
        self.learn(autoencoder, fooled)
        return {"discriminator": judged, "adversarial": fooled}

    def _code_step(self, real: Tensor, codes: Tensor, autoencoder: Any, judge: Any) -> dict[str, Tensor]:
        """D' on L_LD, then E against it."""
        found = self.encoder(real)
        judged = discriminator_loss(*self.code_discriminator(torch.cat([codes, found.detach()])).float().chunk(2))
        self.learn(judge, judged)
        fooled = fooling_loss(self.code_discriminator(found).float())
        self.learn(autoencoder, fooled)
        return {"code_discriminator": judged, "code_adversarial": fooled}

    def _reconstruction_step(self, images: Tensor, real: Tensor, autoencoder: Any) -> Tensor:
        """G and E on L_REC (eq. 8), through the reconstruction alone; F stands still and sees both batches apart."""
        rebuilt = self.generator(self.encoder(real))
        with untouched_statistics(self.extractor):
            with torch.no_grad():
                wanted = self._transformed_projection(images)
            found = self._transformed_projection(self._large(rebuilt))
        loss = reconstruction_loss(real, rebuilt, wanted, found, self.pixel_weight)
        self.learn(autoencoder, loss)
        return loss

    def _transformed_projection(self, images: Tensor) -> Tensor:
        """F's projection of T(images), with fresh draws and no rotation: (B, d)."""
        count = len(images)
        upright = torch.zeros(count, dtype=torch.long, device=images.device)
        transformed = self.transform(images, self.transform.draw(count, 1, images.device), upright)
        return cast(Tensor, self.extractor(transformed).projections)

    def _small(self, images: Tensor) -> Tensor:
        """Images of the data at the size of the generator's."""
        return _resized(images, self.size)

    def _large(self, images: Tensor) -> Tensor:
        """Images of the generator at the size of the data's."""
        return _resized(images, self.info.image_size)

    # --- what the autoencoder makes -----------------------------------------------------------------------------------

    def reconstruct(self, images: Tensor) -> Tensor:
        """G(E(images)), (B, C, S, S) in [0, 1]; stage=full alone has an encoder."""
        return self._large(self.generator(self.encoder(self._small(images))))

    def synthesise(self, count: int, number: int = 0) -> Tensor:
        """``count`` images G(h), (count, C, S, S) in [0, 1]; h is drawn from (seed, number), alike on every device."""
        draw = torch.Generator().manual_seed((self.seed * 1_000_003 + number) % 2**63)
        return self._large(self.generator(torch.randn(count, CODE, generator=draw, device="cpu").to(self.device)))

    def pictures(self, images: Tensor) -> dict[str, Tensor]:
        """``reconstruction`` (stage=full) and ``synthetic``, which has nothing to do with the images."""
        shown = {"reconstruction": self.reconstruct(images)} if self.stage == "full" else {}
        return shown if self.stage == "csi" else shown | {"synthetic": self.synthesise(len(images))}

    def measure(self, batches: Iterable[Tensor]) -> dict[str, float]:
        """``fid`` of G(h) against the training images, as many of them as these; nothing without ``fid_weights``."""
        if self.fid_weights is None or self.stage == "csi":
            return {}
        features = InceptionFeatures(self.fid_weights).to(self.device)
        counts: list[int] = []

        def real() -> Iterator[Tensor]:
            for images in batches:
                counts.append(len(images))
                yield images.to(self.device)

        with torch.no_grad():
            fake = (self.synthesise(count, number) for number, count in enumerate(counts, 1))
            return {"fid": fid(real(), fake, features, self.device)}


def _size_for(side: int) -> int:
    """The generator's size for images of ``side`` pixels."""
    if side > 64:
        return 64
    return side if side >= 8 and side & (side - 1) == 0 else 32 if side < 48 else 64


def _resized(images: Tensor, side: int) -> Tensor:
    """(B, C, S, S) -> (B, C, side, side), bilinear, without aliasing where it becomes smaller."""
    if images.shape[-1] == side:
        return images
    return F.interpolate(images.float(), (side, side), mode="bilinear", antialias=images.shape[-1] > side)
