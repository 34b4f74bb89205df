"""The oracles of the fact sheet `contrasting_synthetic` that concern the joint method (section 8: 1, 3, 4, 7, 8)."""

from __future__ import annotations

import math

import pytest
import torch
from small_csi import images, joint
from torch import nn

from novelty.info import DataInfo
from novelty.methods.contrasting_synthetic import ContrastingSynthetic
from novelty.methods.contrasting_synthetic.losses import (
    discriminator_loss,
    fooling_loss,
    latent_reconstruction_loss,
    reconstruction_loss,
)
from novelty.nn.resnet import untouched_statistics
from novelty.nn.sngan import CODE, CodeDiscriminator, Discriminator, Encoder, Generator


def parameters(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize(
    ("size", "family", "counts"),
    [
        (32, "resnet", (4_276_739, 1_053_824, 4_273_024)),
        (64, "resnet", (5_523_715, 1_365_504, 5_520_000)),
        (32, "cnn", (3_813_379, 2_935_873, 3_805_824)),
    ],
)
def test_oracle_1_sizes(size: int, family: str, counts: tuple[int, int, int]) -> None:
    with torch.device("meta"):
        networks = [network(3, size, family) for network in (Generator, Discriminator, Encoder)]
    assert tuple(map(parameters, networks)) == counts


def test_oracle_1_the_method_has_these_networks() -> None:
    with torch.device("meta"):
        method = ContrastingSynthetic(DataInfo(3, 32, 100))
        photographs = ContrastingSynthetic(DataInfo(3, 224, 100))
    assert parameters(method) == 11_499_204 + 4_276_739 + 1_053_824 + 4_273_024 + 329_217
    assert parameters(photographs) == 11_506_884 + 5_523_715 + 1_365_504 + 5_520_000 + 329_217
    assert parameters(CodeDiscriminator()) == 329_217


@pytest.mark.parametrize("family", ["resnet", "cnn"])
def test_oracle_1_shapes(family: str) -> None:
    generator = Generator(3, 32, family, 16)
    made = generator(torch.randn(2, CODE) * 10)
    assert made.shape == (2, 3, 32, 32)
    assert made.min() >= 0
    assert made.max() <= 1
    assert Encoder(3, 32, family, 16)(made).shape == (2, CODE)
    assert Discriminator(3, 32, family, 8)(made).shape == (2,)


def test_oracle_3_adversarial_losses_of_zero_logits() -> None:
    zeros = torch.zeros(4)
    assert discriminator_loss(zeros, zeros, zeros).item() == pytest.approx(2.079442, abs=1e-6)
    assert discriminator_loss(zeros, zeros).item() == pytest.approx(1.386294, abs=1e-6)
    assert fooling_loss(zeros, zeros).item() == pytest.approx(2 * math.log(2), abs=1e-6)


def test_the_signs_are_put_right() -> None:
    sure = torch.full((4,), 5.0)
    assert discriminator_loss(sure, -sure, -sure) < discriminator_loss(-sure, sure, sure)
    assert fooling_loss(sure) < fooling_loss(-sure)


def test_oracle_4_reconstruction() -> None:
    x, one = torch.full((2, 3, 4, 4), 0.5), torch.ones(2, 8)
    assert reconstruction_loss(x, x + 0.1, one, one * 3).item() == pytest.approx(0, abs=1e-5)
    assert reconstruction_loss(x, x, one, one).item() == pytest.approx(-1)
    assert latent_reconstruction_loss(torch.zeros(2, 128), torch.full((2, 128), 2.0)).item() == 4


def test_oracle_7_spectral_norm() -> None:
    discriminator = Discriminator(3, 8, width=2)
    layer = discriminator.body[1].conv1
    with torch.no_grad():
        layer.parametrizations.weight.original.zero_()
        layer.parametrizations.weight.original[:, :, 1, 1] = torch.diag(torch.tensor([2.0, 1.0]))
        discriminator.train()
        for _ in range(40):
            discriminator(torch.rand(1, 3, 8, 8))
    torch.testing.assert_close(layer.weight[:, :, 1, 1], torch.diag(torch.tensor([1.0, 0.5])))
    layers = [m for m in discriminator.modules() if isinstance(m, (nn.Conv2d, nn.Linear))]
    assert len(layers) == 11  # two convolutions in each of four blocks, two skips, the last layer
    for one in layers:
        assert torch.linalg.matrix_norm(one.weight.flatten(1), 2).item() == pytest.approx(1, abs=1e-2)


def test_oracle_8_contrast_reaches_the_generator_and_leaves_the_extractor_alone() -> None:
    method = joint().train()
    before = {name: value.clone() for name, value in method.extractor.state_dict().items()}
    optimizer = torch.optim.SGD([*method.generator.parameters(), *method.encoder.parameters()], 0.1)
    with untouched_statistics(method.extractor):
        loss = sum(method.csi_loss(method.generator(torch.randn(4, CODE))))
    method.learn(optimizer, loss)
    first = method.generator.start.weight.grad
    assert first is not None
    assert first.abs().sum() > 0
    assert all(p.grad is None for p in method.encoder.parameters())
    assert all(p.grad is None for p in method.extractor.parameters())
    assert all(torch.equal(value, before[name]) for name, value in method.extractor.state_dict().items())


def test_oracle_8_latent_reconstruction_gives_the_generator_nothing() -> None:
    method = joint().train()
    codes = torch.randn(4, CODE)
    with torch.no_grad():
        synthetic = method.generator(codes)
    loss = latent_reconstruction_loss(codes, method.encoder(synthetic))
    optimizer = torch.optim.SGD([*method.generator.parameters(), *method.encoder.parameters()], 0.1)
    method.learn(optimizer, loss)
    assert all(p.grad is None for p in method.generator.parameters())
    assert all(p.grad is not None for p in method.encoder.parameters())


def test_oracle_8_reconstruction_reaches_both_through_the_image_alone() -> None:
    method = joint().train()
    kept = {name: value.clone() for name, value in method.extractor.state_dict().items()}
    optimizer = torch.optim.SGD([*method.generator.parameters(), *method.encoder.parameters()], 0.0)
    method._reconstruction_step(images(), images(), optimizer)
    assert all(p.grad is not None for network in (method.generator, method.encoder) for p in network.parameters())
    assert all(p.grad is None for p in method.extractor.parameters())
    assert all(torch.equal(value, kept[name]) for name, value in method.extractor.state_dict().items())
