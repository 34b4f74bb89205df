"""The denoising autoencoder: its networks, its noise, what its loss compares, how it trains."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

from novelty.data.datamodule import TrainingBatches
from novelty.errors import NoveltyError
from novelty.evaluation.metrics import auroc
from novelty.info import DataInfo
from novelty.methods.dae import DAE, MLP
from novelty.training.callbacks import StepSeed
from novelty.training.trainer import quiet

SIDE = 16
CONSTANT = {"weight_decay": 0.0, "plateau_patience": None}
"""What conf/method/dae_mlp.yaml says of the MLP's optimiser."""


def dae(channels: int = 1, side: int = SIDE, **options: Any) -> DAE:
    torch.manual_seed(0)
    return DAE(DataInfo(channels, side, 100), **{"epochs": 2, "batch_size": 4, "width": 4, **options})


class Watch(L.Callback):
    """The loss of each step, and the learning rate after each epoch."""

    def __init__(self) -> None:
        self.losses, self.rates = list[float](), list[float]()

    def on_train_batch_end(self, trainer: L.Trainer, *_: Any) -> None:
        self.losses.append(float(trainer.callback_metrics["loss/reconstruction"]))

    def on_train_epoch_end(self, trainer: L.Trainer, *_: Any) -> None:
        self.rates.append(trainer.optimizers[0].param_groups[0]["lr"])


def fit(method: DAE, pixels: Tensor | None = None, seed: int = 3, watch: Watch | None = None, **options: Any) -> Watch:
    """Trained in place; what was seen of it."""
    watch = watch or Watch()
    if pixels is None:
        shape = (10, method.info.channels, method.info.image_size, method.info.image_size)
        pixels = torch.randint(256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    with quiet():
        trainer = L.Trainer(
            max_epochs=method.schedule.epochs,
            accelerator="cpu",
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            use_distributed_sampler=False,
            callbacks=[StepSeed(seed), watch],
            **{"devices": 1, **options},
        )
        trainer.fit(method, TrainingBatches(pixels, method.schedule, seed=3))
    return watch


# --- networks ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("network", "channels", "side", "count"), [
    ("unet", 1, 28, 17_257_409), ("unet", 3, 32, 17_258_691), ("mlp", 1, 28, 1_132_944), ("mlp", 3, 32, 3_478_144),
])  # fmt: skip
def test_sizes_of_the_fact_sheets(network: str, channels: int, side: int, count: int) -> None:
    with torch.device("meta"):
        built = dae(channels, side, network=network, width=64)
    assert sum(p.numel() for p in built.parameters()) == count


def test_the_mlp_ends_every_layer_in_a_sigmoid() -> None:
    network = MLP((3, 8, 8))
    dense = [layer for layer in network if isinstance(layer, nn.Linear)]
    assert [layer.out_features for layer in dense] == [512, 256, 128, 256, 512, 192]
    assert sum(isinstance(layer, nn.Sigmoid) for layer in network) == len(dense)
    assert not any(layer.bias.any() for layer in dense)
    # Glorot's normal: a variance of 2 / (inputs + outputs), here of 98,304 weights.
    assert dense[0].weight.std().item() == pytest.approx(math.sqrt(2 / (192 + 512)), rel=0.02)
    out = network(torch.rand(2, 3, 8, 8))
    assert out.shape == (2, 3, 8, 8)
    assert 0 < out.min() < out.max() < 1


@pytest.mark.parametrize(("network", "epsilon"), [("unet", 1e-8), ("mlp", 1e-7)])
def test_optimisers(network: str, epsilon: float) -> None:
    (optimizer,), (plateau,) = dae(network=network).configure_optimizers()
    assert optimizer.defaults["eps"] == epsilon
    assert optimizer.defaults["lr"] == 1e-3
    assert optimizer.defaults["weight_decay"] == 1e-5
    assert (plateau.factor, plateau.patience) == (0.8, 50)
    assert isinstance(dae(network=network, **CONSTANT).configure_optimizers(), torch.optim.Adam)


# --- noise ------------------------------------------------------------------------------------------------------------


def test_gaussian_noise() -> None:
    grey = torch.full((400, 3, SIDE, SIDE), 0.5)
    torch.manual_seed(0)
    noisy = dae(3, deviation=0.1).disturbed(grey)  # five deviations away from black and white
    assert noisy.mean().item() == pytest.approx(0.5, abs=1e-3)
    assert noisy.std().item() == pytest.approx(0.1, abs=1e-3)
    assert abs(torch.corrcoef(noisy.transpose(0, 1).flatten(1))[0, 1].item()) < 0.01  # channels have their own
    black = dae().disturbed(torch.zeros(400, 1, SIDE, SIDE))
    assert black.min() == 0
    assert (black == 0).float().mean().item() == pytest.approx(0.5, abs=0.01)
    assert black[black > 0].square().mean().sqrt().item() == pytest.approx(0.2, abs=0.003)
    assert dae().disturbed(torch.ones(50, 1, SIDE, SIDE)).max() == 1


def test_masking_noise() -> None:
    images = torch.rand(400, 3, SIDE, SIDE) * 0.9 + 0.1
    masked = dae(3, noise="masking").disturbed(images)
    gone = masked == 0
    assert gone.float().mean().item() == pytest.approx(0.25, abs=0.003)
    assert torch.equal(masked[~gone], images[~gone])
    assert (gone.sum(1) == 1).any()  # a value, not a pixel
    assert dae(masked=1.0, noise="masking").disturbed(images).max() == 0


def test_no_noise_is_a_plain_autoencoder() -> None:
    images = torch.rand(3, 1, SIDE, SIDE)
    assert torch.equal(dae(deviation=0.0).disturbed(images), images)
    assert torch.equal(dae(noise="masking", masked=0.0).disturbed(images), images)


def test_noise_is_drawn_anew_for_each_step_and_alike_for_a_seed() -> None:
    def seen(seed: int) -> list[Tensor]:
        method, given = dae(), list[Tensor]()
        method.network.register_forward_pre_hook(lambda module, inputs: given.append(inputs[0].clone()))
        fit(method, seed=seed)
        return given

    first, again, other = seen(3), seen(3), seen(4)
    assert len(first) == 6
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(first, other, strict=True))
    flat = torch.cat(first)
    assert len({tuple(image.flatten().tolist()) for image in flat}) == len(flat)


# --- training ---------------------------------------------------------------------------------------------------------


class Deaf(nn.Module):
    """In the network's place: gives back ``answer`` whatever it is shown."""

    def __init__(self, answer: Tensor) -> None:
        super().__init__()
        self.answer = nn.Parameter(answer)

    def forward(self, x: Tensor) -> Tensor:
        return self.answer.expand_as(x)


@pytest.mark.parametrize("noise", ["gaussian", "masking"])
def test_the_loss_is_to_the_clean_image(noise: str) -> None:
    pixels = torch.full((4, 1, SIDE, SIDE), 204, dtype=torch.uint8)
    for answer, loss in ((0.8, 0.0), (0.5, 0.09)):  # of the disturbed image it would be 0.04, or more
        method = dae(noise=noise, epochs=1)
        method.network = Deaf(torch.tensor(answer))  # type: ignore[assignment]
        assert fit(method, pixels).losses == pytest.approx([loss], abs=1e-6)


def test_the_rate_falls_where_the_loss_does_not() -> None:
    falls = fit(dae(epochs=8, plateau_patience=0, plateau_factor=0.5, learning_rate=0.1))
    assert len(set(falls.rates)) > 1
    assert falls.rates == sorted(falls.rates, reverse=True)
    stays = fit(dae(epochs=8, network="mlp", learning_rate=0.1, **CONSTANT))
    assert set(stays.rates) == {0.1}


def test_the_rate_follows_the_sum_of_the_epoch() -> None:
    sums: list[float] = []

    class Sum(Watch):
        def on_train_epoch_end(self, trainer: L.Trainer, method: Any) -> None:  # type: ignore[override]
            sums.append(float(method.epoch_error))  # callbacks come before the method

    losses = fit(dae(), watch=Sum()).losses
    assert sums == pytest.approx([sum(losses[:3]), sum(losses[3:])], rel=1e-6)


@pytest.mark.parametrize(("network", "noise"), [("unet", "gaussian"), ("mlp", "masking")])
def test_two_processes_compute_what_one_does_on_the_joined_batch(network: str, noise: str, tmp_path: Path) -> None:
    class Half(Watch):
        def on_train_start(self, trainer: L.Trainer, method: Any) -> None:
            whole: Any = trainer.train_dataloader
            share = TrainingBatches(whole.pixels, whole.schedule, whole.seed, trainer.global_rank, 2)
            whole.__dict__.update(share.__dict__)

        def on_train_end(self, trainer: L.Trainer, method: Any) -> None:
            torch.save((self.losses, self.rates, method.state_dict()), tmp_path / f"{trainer.global_rank}.pt")

    options = {"network": network, "noise": noise, "plateau_patience": 0, "channels": 3}
    one = dae(**options)
    joined = fit(one)
    fit(dae(**options), watch=Half(), devices=2, strategy="ddp_fork")
    for rank in (0, 1):
        losses, rates, state = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        assert losses == pytest.approx(joined.losses, rel=1e-4)
        assert rates == joined.rates
        for name, value in one.state_dict().items():
            torch.testing.assert_close(state[name], value, rtol=1e-3, atol=1e-4, msg=name)


# --- scores -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("network", ["unet", "mlp"])
def test_the_score_is_the_error_of_the_clean_image_whatever_shares_its_batch(network: str) -> None:
    method, images = dae(3, network=network), torch.rand(5, 3, SIDE, SIDE)
    with torch.inference_mode():
        found = method.score(images)["mse"]
        apart = torch.cat([method.score(image[None])["mse"].image for image in images])
        rebuilt = method.reconstruct(images)
    torch.testing.assert_close(found.image, (images - rebuilt).square().mean((1, 2, 3)))
    torch.testing.assert_close(found.image, apart, rtol=1e-5, atol=1e-6)
    assert found.map is not None
    assert found.map.shape == (5, 1, SIDE, SIDE)
    torch.testing.assert_close(found.map.mean((1, 2, 3)), found.image)
    with torch.inference_mode():
        shown = method.pictures(images)["reconstruction"]
    torch.testing.assert_close(shown, rebuilt.clamp(0, 1))


def test_pictures_of_the_training_have_noise() -> None:
    method, images = dae(3), torch.rand(3, 3, SIDE, SIDE)
    with torch.inference_mode():
        found, again = method.training_pictures(images), method.training_pictures(images)
        torch.testing.assert_close(method.reconstruct(found["disturbed"]).clamp(0, 1), found["reconstruction"])
    assert torch.equal(found["disturbed"], again["disturbed"])
    assert 0.1 < (found["disturbed"] - images).abs().mean() < 0.2


def test_the_mlp_learns_digits() -> None:
    """Digit 0 of the real 8x8 digits, three quarters for training: 100 epochs of five steps, seconds."""
    data = load_digits()
    x = torch.from_numpy((data.images / 16).astype(np.float32))[:, None]
    zeros = np.flatnonzero(data.target == 0)
    test = np.r_[zeros[134:], np.flatnonzero(data.target != 0)]
    method = dae(side=8, network="mlp", epochs=100, batch_size=32, **CONSTANT)
    losses = fit(method, (x[zeros[:134]] * 255).round().byte()).losses
    assert np.mean(losses[-5:]) < np.mean(losses[:5]) / 3
    with torch.inference_mode():
        scores = method.score(x[test])["mse"].image.numpy()
    assert auroc(scores, data.target[test] != 0) >= 0.99


def test_the_unet_learns_to_remove_noise() -> None:
    pixels = torch.zeros(16, 1, SIDE, SIDE, dtype=torch.uint8)
    for place, image in enumerate(pixels):
        image[0, 4:12, place % 8 : place % 8 + 6] = 255
    method = dae(width=8, epochs=40, batch_size=8, learning_rate=3e-3)
    fit(method, pixels)
    clean = pixels / 255
    torch.manual_seed(1)
    noisy = method.disturbed(clean)
    with torch.inference_mode():
        left = (method.reconstruct(noisy) - clean).square().mean()
    assert left < (noisy - clean).square().mean() / 3


@pytest.mark.parametrize(("options", "words"), [
    ({"side": 8}, r"data\.image_size to 16"),
    ({"deviation": -0.1}, r"method\.deviation is -0\.1"),
    ({"masked": 1.5}, r"method\.masked is 1\.5"),
    ({"learning_rate": 0.0}, r"method\.learning_rate is 0"),
    ({"width": 0}, r"method\.width is 0"),
    ({"weight_decay": -1e-5}, r"method\.weight_decay is -1e-05: it must be 0 or above\."),
    ({"plateau_factor": 1.0}, r"method\.plateau_factor is 1\.0: it must lie between 0 and 1, or"),
    ({"plateau_factor": 0.0}, r"method\.plateau_factor is 0\.0: .* method\.plateau_patience be null"),
    ({"plateau_patience": -1}, r"method\.plateau_patience is -1: it must be 0 or above, or null"),
    ({"epochs": 0}, "epochs is 0"),
])  # fmt: skip
def test_choices_that_make_no_sense(options: dict[str, Any], words: str) -> None:
    with pytest.raises(NoveltyError, match=words):
        dae(**options)


def test_without_a_schedule_its_factor_is_no_matter() -> None:
    assert isinstance(dae(plateau_patience=None, plateau_factor=1.0).configure_optimizers(), torch.optim.Adam)
    (_,), (plateau,) = dae(plateau_patience=0, weight_decay=0.0).configure_optimizers()
    assert plateau.patience == 0
