"""SSIM maps: oracles 2 and 3 of the fact sheet "energy_projection", section 7."""

from __future__ import annotations

import pytest
import torch

from novelty.nn.ssim import dssim_map, ssim_map

DTYPES = [(torch.float64, 1e-6), (torch.float32, 2e-6)]


@pytest.mark.parametrize(("dtype", "tolerance"), DTYPES)
@pytest.mark.parametrize(("a", "b", "ssim", "dssim"), [
    (0.0, 1.0, 9.9990e-5, 0.499950), (0.5, 0.6, 0.983609, 0.00819538), (0.25, 0.75, 0.600064, 0.199968),
])  # fmt: skip
def test_constant_images(a: float, b: float, ssim: float, dssim: float, dtype: torch.dtype, tolerance: float) -> None:
    x, y = (torch.full((1, 1, 16, 16), value, dtype=dtype) for value in (a, b))
    assert ssim_map(x, y).sub(ssim).abs().max() < tolerance
    assert dssim_map(x, y).sub(dssim).abs().max() < tolerance


@pytest.mark.parametrize(("dtype", "tolerance"), DTYPES)
def test_ramp(dtype: torch.dtype, tolerance: float) -> None:
    i = torch.arange(16, dtype=dtype)
    x = ((i[:, None] + i) / 30)[None, None]
    ssim = ssim_map(x, 1 - x)[0, 0]
    assert ssim[8, 8].item() == pytest.approx(-0.827040, abs=tolerance)
    assert dssim_map(x, 1 - x)[0, 0, 8, 8].item() == pytest.approx(0.913520, abs=tolerance)
    assert ssim[5:11, 5:11].mean().item() == pytest.approx(-0.793622, abs=tolerance)


@pytest.mark.parametrize("size", [2, 7, 8, 11, 13, 28])
def test_any_size_and_identity(size: int) -> None:
    x = torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(0))
    assert ssim_map(x, x).shape == x.shape
    assert ssim_map(x, x).sub(1).abs().max() < 1e-6
    assert dssim_map(x, 1 - x).shape == (2, 1, size, size)


def test_symmetric_differentiable_and_alike_in_any_batch() -> None:
    x, y = torch.rand(2, 3, 2, 16, 16, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert torch.equal(ssim_map(x, y), ssim_map(y, x))
    torch.testing.assert_close(ssim_map(x, y)[:1], ssim_map(x[:1], y[:1]))
    x, y = (image[:1, :1, :6, :6].clone().requires_grad_() for image in (x, y))
    assert torch.autograd.gradcheck(lambda a, b: ssim_map(a, b), (x, y))
