"""PIAD against the oracles of its fact sheet (section 7), all but the ninth: networks, losses, gradient weights."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from novelty.errors import NoveltyError
from novelty.methods.piad.losses import absolute_error, relative_error, squared_error
from novelty.methods.piad.networks import PLANS, build_networks
from novelty.methods.piad.weights import relative_weight, smooth
from novelty.nn.backbones import normalise


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize(("arguments", "counts"), [
    ((1, 32, "mnist"), (90_433, 73_280, 91_265, 20_865)),
    ((1, 32, "mnist", "paper", False), (90_433, 73_280, 72_769, 20_865)),
    ((3, 32, "mnist"), (90_499, 73_856, 91_841, 20_865)),
    ((3, 32, "mnist", "paper", False), (90_499, 73_856, 73_345, 20_865)),
    ((3, 32, "cifar10"), (2_897_539, 2_338_304, 571_137, 1_313_793)),
    ((3, 64, "lsun"), (427_011, 373_152, 363_905, 5_249_025)),
    ((3, 64, "celeba"), (435_075, 366_976, 363_905, 82_689)),
    ((3, 32, "cifar10", "repo"), (2_825_219, 3_452_672, 603_905, 1_313_793)),
])  # fmt: skip
def test_oracle_1_parameters_and_shapes(arguments: tuple[Any, ...], counts: tuple[int, ...]) -> None:
    channels, side = arguments[:2]
    built = build_networks(*arguments)
    assert tuple(count(network) for network in built[:4]) == counts
    with torch.no_grad():
        codes = torch.randn(2, *built.code)
        images = built.generator(codes)
        assert images.shape == (2, channels, side, side)
        assert built.encoder(images).shape == codes.shape
        assert built.image_critic(images).shape == built.code_critic(codes).shape == (2,)
    if arguments[2] == "lsun":
        assert built.code == (32, 4, 4)


def test_networks_of_other_sizes() -> None:
    for name in ("auto", *PLANS):
        for side in (4, 8, 16, 128):
            with torch.device("meta"):
                built = build_networks(3, side, name)  # type: ignore[arg-type]
                images = built.generator(torch.randn(2, *built.code))
            assert images.shape == (2, 3, side, side)
            assert built.encoder(images).shape == (2, *built.code)
            assert built.image_critic(images).shape == (2,)
    for channels, side, code in ((1, 32, 32), (3, 32, 256), (3, 64, 64), (1, 64, 64)):
        with torch.device("meta"):
            assert build_networks(channels, side).code == (code, 1, 1)
    for side in (0, 3, 28, 33):
        with pytest.raises(NoveltyError, match=r"data\.image_size"):
            build_networks(1, side)
    with pytest.raises(NoveltyError, match="variant=paper"):
        build_networks(1, 32, "mnist", "repo")


def test_oracle_2_losses_by_hand() -> None:
    x = torch.tensor([[1.0, 2], [0, 3]]).view(1, 2, 1, 2)
    y = torch.tensor([[2.0, 2], [1, 1]]).view(1, 2, 1, 2)
    mean, std = torch.tensor([1, 0.5]), torch.tensor([2, 0.5])
    fx, fy = normalise(x, mean, std), normalise(y, mean, std)
    torch.testing.assert_close(fx.flatten(), torch.tensor([0, 0.5, -1, 5]))
    torch.testing.assert_close(fy.flatten(), torch.tensor([0.5, 0.5, 1, 1]))
    for value, expected in (
        (relative_error(fx, fy), 1.0),
        (relative_error(fy, fx), 6.5 / 3),
        (relative_error(x, y), 4 / 6),
        (squared_error(x, y), 1.5),
        (absolute_error(fx, fy), 1.625),
    ):
        torch.testing.assert_close(value, torch.tensor([expected]))


def test_oracle_3_scale() -> None:
    x, y = torch.rand(3, 4, 2, 2), torch.rand(3, 4, 2, 2)
    assert not relative_error(x, x).any()
    torch.testing.assert_close(relative_error(7 * x, 7 * y), relative_error(x, y))
    torch.testing.assert_close(squared_error(7 * x, 7 * y), 49 * squared_error(x, y))


def test_oracle_7_gradient_weights() -> None:
    adversarial = torch.tensor([[2, 1], [4, 1], [8, 1]], dtype=torch.float64)
    reconstruction = torch.tensor([[1, 4], [1, 2], [1, 2]], dtype=torch.float64)
    assert smooth(adversarial, 0.05)[:, 0].tolist() == pytest.approx([2, 2.1, 2.395])
    assert smooth(reconstruction, 0.05)[:, 1].tolist() == pytest.approx([4, 3.9, 3.805])

    def gamma(**options: Any) -> float:
        return relative_weight(adversarial, reconstruction, **options)

    assert gamma() == pytest.approx(1.21070, abs=1e-5)
    assert gamma(reduce="median") == pytest.approx(1.13141, abs=1e-5)
    assert gamma(last=2) == pytest.approx(1.25356, abs=1e-5)
    assert gamma(last=2, reduce="median") == pytest.approx(1.18141, abs=1e-5)
    assert gamma(last=2, cut="repo") == pytest.approx(2.3)
    assert gamma(last=2, cut="repo", reduce="median") == pytest.approx(2.25)
    constant = torch.ones(5, 3, dtype=torch.float64)
    assert relative_weight(6 * constant, 2 * constant) == pytest.approx(3)


def test_oracle_8_no_normalisation_no_modes() -> None:
    built = build_networks(1, 32, "mnist")
    assert not any(isinstance(m, nn.modules.batchnorm._BatchNorm) for network in built[:4] for m in network.modules())
    codes = torch.randn(2, *built.code)
    for network, x in ((built.generator, codes), (built.encoder, torch.rand(2, 1, 32, 32))):
        assert torch.equal(network.train()(x), network.eval()(x))
