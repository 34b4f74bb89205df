"""Changes of images: known pictures, one image at a time as in a batch, and nothing where nothing is to change."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from novelty.data.reading import to_float, windows
from novelty.data.transforms import rotate_shift, sampled, zoom

SIZES = st.sampled_from([1, 2, 7, 28, 33, 64])


def _images(count: int, side: int, channels: int = 3, seed: int = 0) -> Tensor:
    return torch.rand(count, channels, side, side, generator=torch.Generator().manual_seed(seed))


def _none(count: int) -> tuple[Tensor, Tensor]:
    return torch.zeros(count), torch.zeros(count, 2)


@given(SIZES, st.sampled_from([1, 3]), st.integers(1, 4))
def test_parameters_that_change_nothing_give_the_image_back(side: int, channels: int, count: int) -> None:
    images = _images(count, side, channels)
    assert torch.equal(zoom(images, torch.ones(count)), images)
    assert torch.equal(rotate_shift(images, *_none(count)), images)


@settings(deadline=None)
@given(SIZES, st.integers(2, 9), st.integers(0, 99))
def test_an_image_is_changed_alike_whatever_shares_its_batch(side: int, count: int, seed: int) -> None:
    images, draw = _images(count, side, seed=seed), torch.Generator().manual_seed(seed)
    scale = (0.5 + torch.rand(count, generator=draw)).where(torch.arange(count) != 1, 1.0)
    degrees, shift = 360 * torch.rand(count, generator=draw), torch.rand(count, 2, generator=draw) - 0.5
    zoomed, turned = zoom(images, scale), rotate_shift(images, degrees, shift)
    assert torch.equal(zoomed[1], images[1])
    for i in range(count):
        one = slice(i, i + 1)
        assert torch.equal(zoom(images[one], scale[one]), zoomed[one])
        assert torch.equal(rotate_shift(images[one], degrees[one], shift[one]), turned[one])
    for changed in (zoomed, turned):
        assert changed.shape == images.shape
        assert changed.min() >= 0
        assert changed.max() <= 1 + 1e-6


def test_every_image_of_a_batch_has_its_own_parameters() -> None:
    images = _images(1, 16).expand(3, -1, -1, -1)
    zoomed = zoom(images, torch.tensor([1.05, 1.1, 1.2]))
    turned = rotate_shift(images, torch.tensor([1.0, 2.0, 2.0]), torch.tensor([[0.0, 0], [0, 0], [0.01, 0]]))
    for changed in (zoomed, turned):
        assert not torch.equal(changed[0], changed[1])
        assert not torch.equal(changed[1], changed[2])


def test_zoom_magnifies_about_the_middle() -> None:
    """A ramp from -1 to 1 through the middle becomes flatter by the scale."""
    ramp = (2 * torch.arange(20) + 1) / 20 - 1
    images = ramp.expand(2, 1, 20, 20)
    zoomed = zoom(images, torch.tensor([1.25, 2.0]))
    torch.testing.assert_close(zoomed[0, 0], (ramp / 1.25).expand(20, 20))
    torch.testing.assert_close(zoomed[1, 0], (ramp / 2).expand(20, 20))


@pytest.mark.parametrize("quarter", [1, 2, 3])
def test_a_quarter_turn_is_counter_clockwise(quarter: int) -> None:
    images = _images(2, 9)
    turned = rotate_shift(images, torch.full((2,), 90.0 * quarter), torch.zeros(2, 2))
    torch.testing.assert_close(turned, images.rot90(quarter, (-2, -1)), atol=1e-5, rtol=0)


def test_a_shift_is_a_share_of_the_side_to_the_right_and_downwards_mirrored_at_the_border() -> None:
    images = _images(1, 10)
    moved = rotate_shift(images, torch.zeros(1), torch.tensor([[0.2, -0.3]]))
    columns, rows = torch.arange(10) - 2, torch.arange(10) + 3
    columns = torch.where(columns < 0, -1 - columns, columns)
    rows = torch.where(rows > 9, 19 - rows, rows)
    wanted = images[:, :, rows][..., columns]
    torch.testing.assert_close(moved, wanted, atol=1e-5, rtol=0)


def test_an_image_is_turned_before_it_is_moved() -> None:
    images = torch.zeros(1, 1, 10, 10)
    images[0, 0, 5, 9] = 1  # at the right border; a quarter turn puts it on top, the move two pixels to the right
    moved = rotate_shift(images, torch.tensor([90.0]), torch.tensor([[0.2, 0.0]]))
    assert moved[0, 0].flatten().argmax() == 0 * 10 + 5 + 2
    torch.testing.assert_close(moved[0, 0, 0, 7], torch.tensor(1.0), atol=1e-4, rtol=0)


def test_kornia_gives_the_same_images() -> None:
    from kornia.geometry.transform import get_affine_matrix2d, warp_affine

    count, side, draw = 5, 30, torch.Generator().manual_seed(0)
    images, middle = _images(count, side), torch.full((5, 2), (side - 1) / 2)
    scale, degrees = 0.8 + torch.rand(count, generator=draw), 90 * torch.rand(count, generator=draw)
    shift = torch.rand(count, 2, generator=draw) - 0.5
    ones, still, level = torch.ones(count, 2), torch.zeros(count, 2), torch.zeros(count)
    for ours, matrix in (
        (zoom(images, scale), get_affine_matrix2d(still, middle, scale[:, None].expand(-1, 2), level)),
        (rotate_shift(images, degrees, shift), get_affine_matrix2d(shift * side, middle, ones, -degrees)),
    ):
        theirs = warp_affine(images, matrix[:, :2], (side, side), padding_mode="reflection", align_corners=False)
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=0)


def test_a_matrix_says_where_a_pixel_is_taken_from() -> None:
    images = _images(1, 4)
    flipped = sampled(images, torch.tensor([[[-1.0, 0, 0], [0, 1, 0]]], dtype=torch.float64))
    torch.testing.assert_close(flipped, images.flip(-1), atol=1e-5, rtol=0)


def test_windows_are_exact_crops() -> None:
    pixels = torch.randint(0, 256, (5, 3, 12, 12), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    corners = torch.tensor([[0, 0], [8, 8], [3, 5]])
    cut = windows(pixels, torch.tensor([4, 0, 4]), corners, 4)
    for one, image, (top, left) in zip(cut, (4, 0, 4), corners.tolist(), strict=True):
        assert torch.equal(one, pixels[image, :, top : top + 4, left : left + 4])


@pytest.mark.parametrize("last", [False, True])
def test_floats_keep_their_values_and_take_the_layout(last: bool) -> None:
    layout = torch.channels_last if last else torch.contiguous_format
    images = _images(2, 5)
    assert torch.equal(to_float(images, last), images)
    assert to_float(images, last).is_contiguous(memory_format=layout)
    pixels = torch.tensor([0, 51, 255], dtype=torch.uint8).view(1, 3, 1, 1)
    assert torch.equal(to_float(pixels, last).flatten(), torch.tensor([0, 0.2, 1.0]))
