"""Structural similarity maps (Wang et al., 2004), differentiable in both images."""

from __future__ import annotations

from contextlib import nullcontext
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor


def ssim_map(
    x: Tensor,
    y: Tensor,
    window: int = 11,
    sigma: float = 1.5,
    data_range: float = 1.0,
    k1: float = 0.01,
    k2: float = 0.03,
) -> Tensor:
    """SSIM of x and y (B, C, H, W) around each pixel and per channel: (B, C, H, W), at most 1.

    SSIM = (2 mx my + c1)(2 sxy + c2) / ((mx^2 + my^2 + c1)(sx^2 + sy^2 + c2)), c = (k * data_range)^2, with moments
    under a ``window`` x ``window`` Gaussian (``sigma`` pixels, weights summing to 1, biased variances), after
    reflection padding, so that the map covers every pixel. Images smaller than the window get the largest odd window
    that fits (7 for 8x8 pixels).

    >>> ssim_map(torch.full((1, 1, 16, 16), 0.5), torch.full((1, 1, 16, 16), 0.6))[0, 0, 0, 0]
    tensor(0.9836)
    """
    side = min(window, *x.shape[-2:])
    side += side % 2 - 1
    # Blurs are products with a matrix for each axis: on a CPU convolving single channels takes twenty times as long.
    rows, columns = (_blurring(length, side, sigma, x.dtype, x.device) for length in x.shape[-2:])
    # Variances do not change when a constant is taken off; without its mean an image loses far fewer digits in float32.
    shift_x, shift_y = _mean(x), _mean(y)
    x, y = x - shift_x, y - shift_y
    # Differences of such products need every digit, so nothing is cast (and "meta" tensors know no autocast).
    with nullcontext() if x.is_meta else torch.autocast(x.device.type, enabled=False):
        mx, my, xx, yy, xy = rows @ torch.stack([x, y, x * x, y * y, x * y]) @ columns.mT
    vx, vy, vxy = xx - mx * mx, yy - my * my, xy - mx * my
    mx, my = mx + shift_x, my + shift_y
    c1, c2 = (k1 * data_range) ** 2, (k2 * data_range) ** 2
    ssim: Tensor = (2 * mx * my + c1) / (mx * mx + my * my + c1) * (2 * vxy + c2) / (vx + vy + c2)
    return ssim


def dssim_map(x: Tensor, y: Tensor, window: int = 11, sigma: float = 1.5, data_range: float = 1.0) -> Tensor:
    """Structural dissimilarity (1 - SSIM)/2, mean over channels: (B, 1, H, W), 0 where x equals y."""
    return (1 - ssim_map(x, y, window, sigma, data_range)).mean(1, keepdim=True) / 2


def _mean(x: Tensor) -> Tensor:
    return x.detach().mean((-2, -1), keepdim=True)


def _gaussian(size: int, sigma: float) -> Tensor:
    offsets = torch.arange(size, dtype=torch.float64, device="cpu") - (size - 1) / 2
    weights = torch.exp(-(offsets**2) / (2 * sigma**2))
    normed: Tensor = weights / weights.sum()
    return normed


@lru_cache(maxsize=64)
def _blurring(length: int, window: int, sigma: float, dtype: torch.dtype, device: torch.device) -> Tensor:
    """(length, length): the Gaussian mean around each place of an axis, reflected at its ends."""
    with torch.inference_mode(False):  # it outlives the mode in which it is first asked for
        weights, pad = _gaussian(window, sigma), window // 2
        places = F.pad(torch.eye(length, dtype=torch.float64, device="cpu")[None], (pad, pad), mode="reflect")[0]
        return (places.unfold(1, window, 1) @ weights).T.to(device, dtype).contiguous()
