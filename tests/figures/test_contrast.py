"""Contrast, shifting and the losses of a pair: PIAD's Figure 1, on small numbers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from figures.measuring import measured
from hypothesis import given
from hypothesis import strategies as st

from novelty.errors import NoveltyError
from novelty.figures.contrast import (
    LOSSES,
    ContrastPairs,
    losses,
    reduce_contrast,
    relative,
    shift_right,
    signed,
)
from novelty.methods.piad.losses import ReconstructionLoss
from novelty.nn.backbones import Statistics, load_trunk

IMAGES = torch.rand(3, 3, 16, 16, generator=torch.Generator().manual_seed(0))


def test_the_range_of_an_image_is_narrowed_around_its_middle() -> None:
    image = torch.tensor([[[[0.1, 0.5, 0.9]]]])
    torch.testing.assert_close(reduce_contrast(image, 0.2), torch.tensor([[[[0.18, 0.5, 0.82]]]]))
    torch.testing.assert_close(reduce_contrast(image, 0.4), torch.tensor([[[[0.26, 0.5, 0.74]]]]))


def test_the_range_is_that_of_all_channels_together() -> None:
    image = torch.tensor([0.0, 0.4, 0.8]).view(1, 3, 1, 1)
    assert reduce_contrast(image, 0.5).flatten().tolist() == pytest.approx([0.2, 0.4, 0.6])


def test_no_reduction_is_the_image_and_full_reduction_is_grey() -> None:
    assert torch.equal(reduce_contrast(IMAGES, 0.0), IMAGES)
    grey = reduce_contrast(IMAGES, 1.0).flatten(1)
    assert torch.equal(grey, grey[:, :1].expand_as(grey))
    assert len(set(grey[:, 0].tolist())) == 3


@given(share=st.floats(0, 1), low=st.floats(0, 0.5), high=st.floats(0.5, 1))
def test_the_range_shrinks_by_the_share_and_keeps_its_middle(share: float, low: float, high: float) -> None:
    found = reduce_contrast(torch.tensor([[[[low, high]]]], dtype=torch.float64), share).flatten()
    assert float(found[1] - found[0]) == pytest.approx((1 - share) * (high - low), abs=1e-9)
    assert float(found.mean()) == pytest.approx((low + high) / 2, abs=1e-9)


def test_a_shifted_image_is_mirrored_at_its_border() -> None:
    image = torch.arange(5.0).view(1, 1, 1, 5)
    assert shift_right(image, 2).flatten().tolist() == [2, 1, 0, 1, 2]


def test_the_losses_are_those_that_piad_trains_with() -> None:
    trunk = load_trunk("vgg16", "random")
    statistics = Statistics(torch.full((512,), 0.1), torch.full((512,), 2.0), "made up")
    others = IMAGES.flip(-1)
    found = losses(trunk, statistics, IMAGES, others)
    for kind in LOSSES:
        expected = ReconstructionLoss(kind, trunk, statistics)(IMAGES * 2 - 1, others * 2 - 1)
        torch.testing.assert_close(found[kind], expected, rtol=1e-4, atol=1e-6)


def test_identical_images_have_no_loss() -> None:
    trunk = load_trunk("vgg16", "random")
    statistics = Statistics(torch.zeros(512), torch.ones(512), "none")
    assert all(not values.any() for values in losses(trunk, statistics, IMAGES, IMAGES.clone()).values())


def test_every_image_is_measured_at_every_contrast() -> None:
    figure = ContrastPairs(images=5, reductions=(0.0, 0.5, 1.0), backbone="vgg16", weights="random")
    numbers = measured(figure)
    table = numbers.tables["numbers"]
    assert list(table) == ["image", "reduction", *LOSSES]
    assert table["reduction"].tolist() == [0.0] * 5 + [0.5] * 5 + [1.0] * 5
    assert len(set(table["image"].tolist())) == 5
    for loss in LOSSES:
        assert (table[loss][:5] > 0).all()
        assert table[loss][10:] == pytest.approx(0, abs=1e-6)  # grey, shifted or not
    assert numbers.provenance["backbone"] == "vgg16 random"


def test_batches_change_nothing() -> None:
    figure = ContrastPairs(images=5, backbone="vgg16", weights="random")
    one, many = (measured(figure, batch=batch).tables["numbers"] for batch in (1, 64))
    for name, values in one.items():
        np.testing.assert_allclose(values, many[name], rtol=1e-4, atol=1e-6)


def test_the_finding_compares_with_print_only_at_the_printed_contrast() -> None:
    table = {
        "image": np.array([0, 1, 0, 1]),
        "reduction": np.array([0.0, 0.0, 0.2, 0.2]),
        "perc": np.array([2.0, 4.0, 1.5, 3.2]),
        "perc_l1": np.array([1.0, 1.0, 0.9, 0.9]),
        "rel_perc_l1": np.array([1.0, 1.0, 1.01, 1.01]),
    }
    said = ContrastPairs(reductions=(0.0, 0.2)).finding(_numbers(table))
    assert "perceptual loss falls by 22.5 ± 2.5 % at contrast -0.2 (printed, of one image of LSUN: 22 %)" in said
    assert "relative-perceptual-L1 rises by 1.0 ± 0.0 %" in said
    table["reduction"][2:] = 0.3
    assert "printed" not in ContrastPairs(reductions=(0.0, 0.3)).finding(_numbers(table))


def _numbers(table: dict[str, np.ndarray]):
    from novelty.figures.base import Numbers

    return Numbers({"numbers": table}, {})


def test_images_that_do_not_change_when_shifted_are_left_out() -> None:
    table = {"reduction": np.array([0.0, 0.0, 0.2, 0.2]), "perc": np.array([0.0, 2.0, 0.0, 1.0])}
    assert {c: found.tolist() for c, found in relative(table, "perc").items()} == {0.0: [1.0], 0.2: [0.5]}
    figure = ContrastPairs(images=2, backbone="vgg16", weights="random")
    with pytest.raises(NoveltyError, match="No image changes"):
        measured(figure, pixels=torch.full((4, 1, 16, 16), 7, dtype=torch.uint8))


@pytest.mark.parametrize("reductions", [(0.2, 0.4), (0.0,), (), (0.0, 0.4, 0.2), (0.0, 1.2), (0.0, 0.0)])
def test_reductions_rise_from_nothing(reductions: tuple[float, ...]) -> None:
    with pytest.raises(NoveltyError, match=r"figure\.reductions"):
        ContrastPairs(reductions=reductions)


def test_signs_are_typeset() -> None:
    assert (signed(-0.336), signed(0.004)) == ("−33.6 %", "+0.4 %")
