"""Puzzle-AE: novelty detection by solving puzzles (Salehi, Eftekhar, Sadjadi, Rohban, Rabiee, 2020).

A U-Net puts the permuted tiles of normal images in order again, against adversarial noise that spoils shortcuts, with a
discriminator's features as a second opinion of the result. Novel = badly solved.
Marks below: [P] the paper, [C] the authors' code, [D] a decision of our fact sheet.
"""

from __future__ import annotations

from typing import Any, Literal, cast

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.optim.lr_scheduler import ReduceLROnPlateau

from novelty.errors import NoveltyError
from novelty.info import DataInfo, Schedule
from novelty.methods.puzzle_ae import checks, puzzles
from novelty.methods.puzzle_ae.attack import Form, Noise, frozen, noisy
from novelty.methods.puzzle_ae.networks import Discriminator
from novelty.methods.puzzle_ae.puzzles import Grid
from novelty.methods.puzzle_ae.solving import PuzzleScores
from novelty.nn.parts import part
from novelty.nn.processes import average_over_processes, own_share
from novelty.nn.unet import UNet
from novelty.scores import grad_ready

__all__ = ["PuzzleAE"]

PGD_SHARE = 4
"""A step of PGD is this part of epsilon (Madry et al. 2018, CIFAR-10: 2 of 8) [D]."""


class PuzzleAE(PuzzleScores):
    """Scores `min`, `max`, `avg`: over all puzzles of an image, how badly each is solved, relative to normal images.

    epochs:           passes over the training images [C: 600 MNIST, Fashion-MNIST; 2,000 CIFAR-10; 3,000 MVTec].
    batch_size:       images in a mini-batch [P: 128; 8 for MVTec and medical]; the last one may be smaller [C].
    grid:             tiles along a side: 2, or 3 with six of the nine permuted; 28 px get a border [P note 2].
    permutations:     all (K = 23), transpositions (K = 6: just two tiles exchanged), or auto: the latter for images
                      with the trait "texture" under a grid of 2 [P].
    test_permutations: same, or all for scoring whatever the training had [P: same; C: all].
    hidden_tile:      one tile goes black, or grey in colour images, while training [P].
    per_batch:        one permutation and tile for all images of a batch [C], not one each [P].
    attack:           noise while training: fgsm with random start [P eq. 1], pgd, random (the start alone), or none.
    attack_form:      paper, or repo: the start added twice [C].
    attack_target:    what the attack drives the output away from: the puzzled image [P, C], or the original one.
    epsilon:          largest noise of a pixel [C: 0.1 MNIST; 0.07 Fashion-MNIST, medical; 10/255 CIFAR-10, COIL-100;
                      0.01 MVTec].
    alpha:            step of FGSM; 2 saturates it [C].
    pgd_steps, pgd_alpha: steps of PGD and their size, null for epsilon / 4 [D].
    discriminator:    whether there is one; without, the loss is the reconstruction's alone.
    feature_weight:   lambda of the feature matching loss [C].
    width, discriminator_width: channels of the first layers; 32 for the halved U-Net [C; P appendix F].
    learning_rate, weight_decay: Adam of the U-Net [P; C].
    discriminator_learning_rate, discriminator_betas: Adam of the discriminator [P; C].
    plateau_factor, plateau_patience: the U-Net's rate is multiplied by the first where the epoch's reconstruction loss
                      did not fall for so many epochs [P; C has 0.5 and 30 for MNIST]; a patience of null keeps it.
    error:            of a solved puzzle: mse [C], or l2 [P eq. 5]; they rank differently once normalised.
    aggregate:        the score that counts: max for toy data, avg for real images [P]. avg comes with a map.

    Images stay in [0, 1]; solutions are neither squashed nor clamped [C].
    """

    epoch_error: Tensor

    def __init__(
        self,
        info: DataInfo,
        *,
        epochs: int = 600,
        batch_size: int = 128,
        grid: Grid = 2,
        permutations: Literal["auto", "all", "transpositions"] = "auto",
        test_permutations: Literal["same", "all"] = "same",
        hidden_tile: bool = True,
        per_batch: bool = False,
        attack: Noise = "fgsm",
        attack_form: Form = "paper",
        attack_target: Literal["puzzled", "original"] = "puzzled",
        epsilon: float = 0.1,
        alpha: float = 2.0,
        pgd_steps: int = 7,
        pgd_alpha: float | None = None,
        discriminator: bool = True,
        feature_weight: float = 0.02,
        width: int = 64,
        discriminator_width: int = 64,
        learning_rate: float = 1e-3,
        weight_decay: float = 1e-5,
        discriminator_learning_rate: float = 2e-4,
        discriminator_betas: tuple[float, float] = (0.5, 0.999),
        plateau_factor: float = 0.8,
        plateau_patience: int | None = 50,
        error: Literal["mse", "l2"] = "mse",
        aggregate: Literal["min", "max", "avg"] = "avg",
    ) -> None:
        super().__init__(info, Schedule(batch_size, epochs=epochs))
        self.automatic_optimization = False
        pgd_alpha = epsilon / PGD_SHARE if pgd_alpha is None else pgd_alpha
        checks.above_zero(
            epsilon=epsilon,
            **({"alpha": alpha} if attack == "fgsm" else {}),
            pgd_steps=pgd_steps,
            pgd_alpha=pgd_alpha,
            width=width,
            discriminator_width=discriminator_width,
            learning_rate=learning_rate,
            discriminator_learning_rate=discriminator_learning_rate,
        )
        checks.not_negative(feature_weight=feature_weight, weight_decay=weight_decay)
        checks.adam_betas(discriminator_betas=discriminator_betas)
        checks.plateau(plateau_factor, plateau_patience)
        if attack != "fgsm" and attack_form == "repo":
            raise NoveltyError(f"method.attack_form=repo is a form of fgsm: attack={attack} has the form paper alone.")
        self.hidden_tile = hidden_tile
        self.per_batch = per_batch
        self.attack, self.attack_form, self.attack_target = attack, attack_form, attack_target
        self.epsilon = epsilon
        self.step, self.steps = (alpha, 1) if attack == "fgsm" else (pgd_alpha, pgd_steps)
        self.feature_weight = feature_weight
        self.rates = (learning_rate, discriminator_learning_rate)
        self.weight_decay, self.discriminator_betas = weight_decay, discriminator_betas
        self.plateau_factor, self.plateau_patience = plateau_factor, plateau_patience

        if permutations == "auto":
            permutations = "transpositions" if "texture" in info.traits and grid == 2 else "all"
        self._prepare_scores(
            grid, permutations, "all" if test_permutations == "all" else permutations, error, aggregate
        )
        side = info.image_size + -info.image_size % grid
        self.unet = UNet(info.channels, side, width)
        self.discriminator = Discriminator(info.channels, side, discriminator_width) if discriminator else None
        self.register_buffer("epoch_error", torch.zeros(()))

    # --- training -----------------------------------------------------------------------------------------------------

    def configure_optimizers(self) -> Any:
        """Adam for the U-Net, whose rate may fall where its loss stops falling, and one for the discriminator."""
        rate, discriminator_rate = self.rates
        optimizer = torch.optim.Adam(self.unet.parameters(), rate, weight_decay=self.weight_decay, fused=True)
        optimizers = [optimizer]
        if self.discriminator is not None:
            weights = self.discriminator.parameters()
            optimizers.append(torch.optim.Adam(weights, discriminator_rate, self.discriminator_betas, fused=True))
        if self.plateau_patience is None:
            return optimizers
        plateau = ReduceLROnPlateau(optimizer, factor=self.plateau_factor, patience=self.plateau_patience)
        return optimizers, [plateau]

    def training_step(self, batch: Tensor, batch_idx: int) -> None:
        """One iteration on images (B, C, S, S) in [0, 1]: the U-Net, then the discriminator on the same solutions."""
        optimizers = self.optimizers()
        unet_optimizer, *others = cast(list[Any], optimizers if isinstance(optimizers, list) else [optimizers])
        images = puzzles.extend(batch, self.grid)
        puzzled = self._puzzled(images)
        with part("attack"):
            inputs = self._spoiled(puzzled, images)
        with part("U-Net"):
            solved = self.unet(inputs).float()
        if self.discriminator is None:
            reconstruction = F.mse_loss(solved, images)
            with part("U-Net"):
                self.learn(unet_optimizer, reconstruction)
            losses = {"reconstruction": reconstruction}
        else:
            losses = self._learn_together(self.discriminator, solved, images, unet_optimizer, others[0])

        measured = {f"loss/{name}": loss.detach() for name, loss in losses.items()}
        average_over_processes(list(measured.values()))
        self.epoch_error += measured["loss/reconstruction"]
        for name, value in measured.items():
            self.log(name, value, prog_bar=name == "loss/reconstruction")

    def _puzzled(self, images: Tensor) -> Tensor:
        """Puzzles of images, one tile hidden: permutation and tile drawn for each of them, or once for the batch."""
        device = images.device

        def draw(count: int) -> Tensor:
            """(count, P + 1): a permutation, and the tile to hide."""
            if self.grid == 2:
                orders = self.trained[torch.randint(len(self.trained), (count,), device=device)]
            else:
                orders = puzzles.draw_of_nine(count, device)
            return torch.cat([orders, torch.randint(orders.shape[1], (count, 1), device=device)], 1)

        drawn = draw(1).expand(len(images), -1) if self.per_batch else own_share(draw, len(images))
        tiles = puzzles.split(images, self.grid)
        if self.hidden_tile:
            tiles = puzzles.hide(tiles, drawn[:, -1])
        return puzzles.join(puzzles.rearranged(tiles, drawn[:, :-1]))

    def _spoiled(self, puzzled: Tensor, images: Tensor) -> Tensor:
        """Puzzles with the noise of `attack`, in [0, 1]."""
        if self.attack == "none":
            return puzzled

        def draw(count: int) -> Tensor:
            return torch.empty(count, *images.shape[1:], device=images.device).uniform_(-self.epsilon, self.epsilon)

        start = own_share(draw, len(images))
        if self.attack == "random":
            return (puzzled + start).clamp(0, 1)
        reference = images if self.attack_target == "original" else None
        rule: dict[str, Any] = {
            "epsilon": self.epsilon,
            "step": self.step,
            "steps": self.steps,
            "form": self.attack_form,
        }
        with frozen(self.unet):
            return noisy(self.unet, puzzled, reference, start, **rule)

    def training_pictures(self, images: Tensor) -> dict[str, Tensor]:
        """A puzzle of each image with its hidden tile, the noise of `attack` on it, and the solution, clamped.

        Noise from the largest decrease to the largest increase is drawn from black to white: none is grey. Values that
        it would move out of [0, 1] have less of it.
        """
        with grad_ready(images) as own, self.seeded():
            extended = puzzles.extend(own.detach(), self.grid)
            puzzled = self._puzzled(extended)
            spoiled = self._spoiled(puzzled, extended)
        with torch.no_grad():
            solved = self.unet(spoiled).clamp(0, 1)
        reach = self.epsilon * (2 if self.attack_form == "repo" else 1)
        noise = {} if self.attack == "none" else {"noise": (0.5 + (spoiled - puzzled) / (2 * reach)).clamp(0, 1)}
        found = {"puzzle": puzzled, **noise, "solved": solved}
        return {name: puzzles.trim(shown, images.shape[-1]) for name, shown in found.items()}

    def _learn_together(
        self, discriminator: Discriminator, solved: Tensor, images: Tensor, unet_optimizer: Any, optimizer: Any
    ) -> dict[str, Tensor]:
        """A step of the U-Net (eq. 4), then one of the discriminator. One forward pass of the latter serves both:
        it does not change in between, and its step takes the solutions from before the U-Net's [C].

        Real and solved images pass apart: each has batch statistics of its own [C].
        """
        leaf = solved.detach().requires_grad_()
        with part("discriminator"):
            real, fake = discriminator.features(images), discriminator.features(leaf)
            # Sums, divided afterwards: the gradient of a mean over so many is too small for float16.
            matching = F.mse_loss(fake.float(), real.detach().float(), reduction="sum")
            (slope,) = torch.autograd.grad(matching, leaf, retain_graph=True)
        residual = leaf.detach() - images
        with part("U-Net"):
            gradient = 2 * residual / residual.numel() + self.feature_weight * slope / fake.numel()
            self.learn(unet_optimizer, (solved * gradient).sum())
        with part("discriminator"):
            judged = discriminator_loss(discriminator.judge(real), discriminator.judge(fake))
            self.learn(optimizer, judged)
        losses = {"reconstruction": residual.square().mean(), "feature_matching": matching / fake.numel()}
        return losses | {"discriminator": judged}

    def on_train_epoch_end(self) -> None:
        """The learning rate follows the epoch's sum of reconstruction losses. Waits for the device."""
        error = float(self.epoch_error)
        if not abs(error) < float("inf"):
            raise NoveltyError(
                f"Puzzle-AE diverged: its loss is {error:g} in epoch {self.current_epoch + 1} of "
                f"{self.schedule.epochs}; try another seed, a lower method.learning_rate, or full precision."
            )
        if self.plateau_patience is not None:
            cast(ReduceLROnPlateau, self.lr_schedulers()).step(error)
        self.epoch_error.zero_()


def discriminator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """(BCE(D(x), 1) + BCE(D(U), 0)) / 2 of logits (B,): ln 2 where every probability is 0.5."""
    return (F.softplus(-real.float()).mean() + F.softplus(fake.float()).mean()) / 2
