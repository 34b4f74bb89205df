"""PIAD: Perceptual Image Anomaly Detection (Tuluptceva, Bakker, Fedulova, Konushin, ACPR 2019).

An adversarial autoencoder, G from codes to images and E back, with a critic on either side (WGAN-GP). Its
reconstruction loss compares VGG-19 features, relative to how much there is in the image, and is also the score.
Marks below: [P] the paper, [S] its supplement, [C] the authors' later code, [D] a decision of our fact sheet.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal, cast

import torch
from torch import Tensor, nn

from novelty.errors import NoveltyError
from novelty.info import DataInfo, Schedule, WeightsFile
from novelty.methods.piad.losses import Kind, ReconstructionLoss, Remembered
from novelty.methods.piad.networks import Critic, NetworkSet, Variant, build_networks
from novelty.methods.piad.weights import Cut, GradientWeight, Reduce
from novelty.methods.reconstruction import Reconstructor
from novelty.nn.adversarial import drift, gradient_penalty, scale_gradient, wasserstein_loss
from novelty.nn.backbones import DIGITS, Backbone, load_statistics, load_trunk
from novelty.nn.parts import part
from novelty.nn.processes import average_over_processes, own_share
from novelty.scores import Scores

__all__ = ["PIAD"]

_IMAGENET = WeightsFile("imagenet")
_AUTO = WeightsFile("auto")

DIVERGED = 1e6
"""Training stops where a loss exceeds this [C]."""

HALF_SCALE = 128.0
"""What multiplies the critic inside the gradient penalty in float16, whose smallest numbers are near the slopes."""


class PIAD(Reconstructor):
    """Score: the reconstruction loss between an image and G(E(image)), under the loss's own name; one forward pass.

    iterations:       G/E steps [S: 50k MNIST and fMNIST, 100k CIFAR-10, 20k COIL-100, 200k LSUN and CelebA].
    batch_size:       images in a mini-batch [S].
    critic_rounds:    critic steps before each G/E step, each on fresh images and codes [S: 2; 3 for LSUN and CelebA].
    networks:         the table of the supplement; auto goes by channels and size (see `build_networks`).
    variant:          networks of the supplement, or `residual9` of the authors' code. It changes nothing else.
    dx_extra_block:   the fourth row of D_X in Table 1, as a Pre-act Block [D, ambiguity A1].
    reconstruction:   rel_perc_l1 [P eq. 3-4], or the ablation's perc_l1, perc (eq. 2), mse.
    weight_policy:    gamma from gradient norms [P Alg. 2-3], or fixed to ``gamma`` for both networks.
    gamma:            the fixed weight of the reconstruction loss [D: 1, 10, 100 for the ablation's baseline].
    weight_every:     iterations between updates of gamma, the first before iteration 0 [P Alg. 1; n_weight from S].
    weight_alpha:     exponential smoothing of gradient norms [C].
    weight_last:      entries of the smoothed histories that count [C].
    weight_reduce:    mean over entries and layers [P], or the median of all ratios [C].
    weight_cut:       histories are cut after smoothing (paper) or before (repo).
    learning_rate, critic_learning_rate, betas: Adam for G and E, for D_X and D_Z [S].
    gp_weight, drift_weight: of the gradient penalty and of the drift term [S].
    drift_on:         drift of real samples [S], or of both [C; D].
    backbone, weights: the feature network [S: VGG-19, ImageNet]; imagenet, random, or a file (see `load_trunk`).
    statistics:       mean and deviation of its filters: auto, none, or a JSON file (see `load_statistics`).

    Images pass in [-1, 1]; reconstructions are neither squashed nor clamped [S tables][C].
    """

    known_weights: ClassVar[dict[str, str]] = dict.fromkeys(DIGITS.values(), "imagenet")

    compilable = ("image_generator", "encoder", "reconstruction_loss.trunk")  # the critics are differentiated twice

    def __init__(
        self,
        info: DataInfo,
        *,
        iterations: int = 50_000,
        batch_size: int = 32,
        critic_rounds: int = 2,
        networks: NetworkSet = "auto",
        variant: Variant = "paper",
        dx_extra_block: bool = True,
        reconstruction: Kind = "rel_perc_l1",
        weight_policy: Literal["gradient_norm", "fixed"] = "gradient_norm",
        gamma: float = 1.0,
        weight_every: int = 100,
        weight_alpha: float = 0.05,
        weight_last: int = 200,
        weight_reduce: Reduce = "mean",
        weight_cut: Cut = "paper",
        learning_rate: float = 2e-4,
        critic_learning_rate: float = 5e-4,
        betas: tuple[float, float] = (0.5, 0.99),
        gp_weight: float = 10.0,
        drift_weight: float = 1e-3,
        drift_on: Literal["real", "both"] = "both",
        backbone: Backbone = "vgg19",
        weights: WeightsFile = _IMAGENET,
        statistics: WeightsFile = _AUTO,
    ) -> None:
        schedule = Schedule(batch_size, iterations=iterations, batches_per_step=critic_rounds + 1, drop_last=True)
        super().__init__(info, schedule)
        self.automatic_optimization = False
        for name, value in (("gamma", gamma), ("weight_every", weight_every), ("weight_last", weight_last)):
            if value <= 0:
                raise NoveltyError(f"method.{name} is {value}: it must be above 0.")
        self.primary = reconstruction
        self.maps = reconstruction == "mse"
        self.critic_rounds = critic_rounds
        self.weight_policy = weight_policy
        self.weight_every = weight_every
        self.learning_rate = learning_rate
        self.critic_learning_rate = critic_learning_rate
        self.betas = betas
        self.gp_weight = gp_weight
        self.drift_weight = drift_weight
        self.drift_on = drift_on
        self.iteration = 0

        built = build_networks(info.channels, info.image_size, networks, variant, dx_extra_block)
        self.image_generator, self.encoder, self.image_critic, self.code_critic, self.code = built
        rule = (gamma, weight_alpha, weight_last, weight_reduce, weight_cut)
        self.generator_weight = GradientWeight(*rule)
        self.encoder_weight = GradientWeight(*rule)
        self.reconstruction_loss = self._reconstruction_loss(reconstruction, backbone, weights, statistics)
        self._remembered = Remembered(info.train_size)

    def _reconstruction_loss(self, kind: Kind, backbone: Backbone, weights: str, statistics: str) -> ReconstructionLoss:
        """Reads weights and statistics only where the loss needs them, and remembers where they come from."""
        self._provenance: dict[str, str] = {}
        if kind == "mse":
            return ReconstructionLoss(kind)
        if self.info.image_size < 8:
            raise NoveltyError(
                f"relu4_2 sees nothing in {self.info.image_size} pixels: set data.image_size to 8 or more."
            )
        trunk = load_trunk(backbone, weights)
        self._provenance = {"backbone": f"{backbone} {trunk.source}", "weights_sha256": trunk.digest}
        if kind == "perc":
            return ReconstructionLoss(kind, trunk)
        found = load_statistics(statistics, trunk, weights)
        self._provenance["statistics"] = found.source
        return ReconstructionLoss(kind, trunk, found)

    # --- training -----------------------------------------------------------------------------------------------------

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        """One Adam for both critics, one for generator and encoder: the rates differ, the steps do not."""
        fused = self.device.type == "cuda"
        critics = [*self.image_critic.parameters(), *self.code_critic.parameters()]
        autoencoder = [*self.image_generator.parameters(), *self.encoder.parameters()]
        return [
            torch.optim.Adam(critics, self.critic_learning_rate, self.betas, fused=fused),
            torch.optim.Adam(autoencoder, self.learning_rate, self.betas, fused=fused),
        ]

    def training_step(self, batch: Tensor, batch_idx: int) -> None:
        """One iteration: images (n, C, S, S) in [0, 1] hold a mini-batch for every critic round and one for G and E."""
        *rounds, real = (batch * 2 - 1).chunk(self.critic_rounds + 1)
        critic_optimizer, optimizer = cast(list[Any], self.optimizers())

        with part("critics"):
            image_loss, code_loss = self._critic_steps(rounds, critic_optimizer)

        noise = self._prior(real)
        update = self.iteration % self.weight_every == 0
        if update and self.weight_policy == "gradient_norm":
            with part("loss weights"):
                self._update_weights(real, noise)
        # One backward pass for all: E's share of the reconstruction is scaled where it leaves G.
        with part("generator and encoder"):
            to_generator, to_encoder = self.generator_weight.gamma, self.encoder_weight.gamma
            losses = self._losses(real, noise, to_encoder / to_generator, self._features(real))
            reconstruction, generator_loss, encoder_loss = losses
            total = to_generator * reconstruction + generator_loss + encoder_loss
            self.learn(optimizer, total)

        measured = {
            "loss/reconstruction": reconstruction.detach(),
            "loss/critic_image": image_loss,
            "loss/critic_code": code_loss,
            "loss/generator": generator_loss.detach(),
            "loss/encoder": encoder_loss.detach(),
        }
        average_over_processes(list(measured.values()))
        logged = measured | {"gamma/generator": to_generator, "gamma/encoder": to_encoder}
        if update or self.iteration + 1 == self.schedule.iterations:
            self._stop_if_diverged(logged)
        for name, value in logged.items():
            # A copy: gamma changes in place, and Lightning averages over an epoch.
            self.log(name, value.clone(), prog_bar=name in ("loss/reconstruction", "loss/critic_image"))
        self.iteration += 1

    def _critic_steps(self, rounds: list[Tensor], optimizer: Any) -> tuple[Tensor, Tensor]:
        """Trains both critics once a round; the losses of the last round (eq. 5, with penalty and drift)."""
        image_loss = code_loss = torch.zeros((), device=self.device)
        if not rounds:
            return image_loss, code_loss
        with torch.no_grad():  # G and E stand still meanwhile: all rounds in one pass
            images, noise = torch.cat(rounds), torch.cat([self._prior(real) for real in rounds])
            fakes, codes = self.image_generator(noise), self.encoder(images).float()
        sizes = [len(real) for real in rounds]
        for real, fake, prior, code in zip(
            rounds, torch.split(fakes, sizes), torch.split(noise, sizes), torch.split(codes, sizes), strict=True
        ):
            image_loss = self._critic_loss(self.image_critic, real, fake)
            code_loss = self._critic_loss(self.code_critic, prior, code)
            self.learn(optimizer, image_loss + code_loss)
        return image_loss.detach(), code_loss.detach()

    def _critic_loss(self, critic: Critic, real: Tensor, fake: Tensor) -> Tensor:
        on_fake, on_real = critic(torch.cat([fake.to(real.dtype), real]), parts=2).float().chunk(2)
        penalty = gradient_penalty(critic, real, fake, HALF_SCALE if self.scaler else 1.0)
        kept = drift(on_real, on_fake, self.drift_on)
        return wasserstein_loss(on_real, on_fake) + self.gp_weight * penalty + self.drift_weight * kept

    def _losses(
        self, real: Tensor, noise: Tensor, balance: Tensor, responses: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """L_rec, L_adv(G), L_adv(E), scalars; what L_rec sends to E is multiplied by ``balance``.

        responses: of the trunk to ``real``, where they are known.
        """
        codes = self.encoder(real).float()
        images = self.image_generator(torch.cat([scale_gradient(codes, balance), noise]))
        reconstructions, fakes = torch.split(images, [len(codes), len(noise)])
        return (
            self.reconstruction_loss(real, reconstructions, responses).mean(),
            -self.image_critic(fakes).float().mean(),
            -self.code_critic(codes).float().mean(),
        )

    def _features(self, real: Tensor) -> Tensor | None:
        """The trunk's responses to the mini-batch of G and E, computed in the first pass over the data."""
        trunk, positions = self.reconstruction_loss.trunk, self.positions
        if trunk is None or positions is None:
            return None
        return self._remembered(positions[-len(real) :], lambda: self.reconstruction_loss.responses(real))

    def _update_weights(self, real: Tensor, noise: Tensor) -> None:
        """gamma of both networks from the gradients of each loss alone (Alg. 2), by layer, biases left out.

        In full precision: float16 has no room for gradients that no scaler has lifted.
        """
        generator, encoder = _weights_of(self.image_generator), _weights_of(self.encoder)
        balance = torch.ones((), device=self.device)
        with torch.autocast(self.device.type, enabled=False):
            reconstruction, generator_loss, encoder_loss = self._losses(real, noise, balance)
        by_reconstruction = torch.autograd.grad(reconstruction, [*generator, *encoder], retain_graph=True)
        by_generator = torch.autograd.grad(generator_loss, generator, retain_graph=True)
        by_encoder = torch.autograd.grad(encoder_loss, encoder)
        average_over_processes([*by_reconstruction, *by_generator, *by_encoder])
        self.generator_weight.update(by_generator, by_reconstruction[: len(generator)])
        self.encoder_weight.update(by_encoder, by_reconstruction[len(generator) :])

    def _prior(self, images: Tensor) -> Tensor:
        """Codes of as many images that never were, from N(0, 1) [C]: (n, *code)."""
        return own_share(lambda count: torch.randn(count, *self.code, device=images.device), len(images))

    def _stop_if_diverged(self, logged: dict[str, Tensor]) -> None:
        """NoveltyError where a loss or weight is no number or beyond 1e6. Waits for the device: now and then only."""
        values = torch.stack([value.float() for value in logged.values()]).tolist()
        for name, value in zip(logged, values, strict=True):
            if not abs(value) <= DIVERGED:
                raise NoveltyError(
                    f"PIAD diverged: {name} is {value:g} at iteration {self.iteration} of {self.schedule.iterations}; "
                    "try another seed, lower learning rates, or full precision."
                )

    def get_extra_state(self) -> dict[str, int]:
        """The iteration: Lightning's `global_step` counts steps of optimisers."""
        return {"iteration": self.iteration}

    def set_extra_state(self, state: dict[str, int]) -> None:
        self.iteration = state["iteration"]

    # --- scoring ------------------------------------------------------------------------------------------------------

    def score(self, images: Tensor) -> dict[str, Scores]:
        x = images * 2 - 1
        y = self.image_generator(self.encoder(x))
        error_map = (x - y).square().mean(1, keepdim=True) if self.maps else None
        return {self.primary: Scores(self.reconstruction_loss(x, y), error_map)}

    def reconstruct(self, images: Tensor) -> Tensor:
        """G(E(images)) for the eye: (B, C, S, S) in [0, 1], both ways."""
        return ((self.image_generator(self.encoder(images * 2 - 1)) + 1) / 2).clamp(0, 1)

    def provenance(self) -> dict[str, str]:
        return dict(self._provenance)


def _weights_of(network: nn.Module) -> list[Tensor]:
    """The kernels of all convolutions, the 1x1 skips included [C]."""
    return [layer.weight for layer in network.modules() if isinstance(layer, nn.Conv2d)]
