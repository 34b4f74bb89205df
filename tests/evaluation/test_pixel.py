"""Pixel metrics against scikit-learn and plain loops, however little memory they get."""

from __future__ import annotations

import itertools
import json
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import average_precision_score, roc_auc_score

from novelty.errors import NoveltyError
from novelty.evaluation import metrics
from novelty.evaluation.pixel import Pixels
from novelty.evaluation.pixel_counts import PixelCounts

Sample = tuple[np.ndarray, np.ndarray]

MEMORY = [1e-4, 5e-4, 3e-3, 512.0]
"""Megabytes: 6 keys of normal pixels at once, 30 and 190, and everything."""


@st.composite
def samples(draw: st.DrawFn) -> Sample:
    """A few images with many ties, or with numbers of every size and sign, minus zero and denormals included."""
    shape = draw(st.tuples(st.integers(1, 4), st.integers(1, 7), st.integers(1, 7)))
    value = draw(
        st.sampled_from(
            [
                st.integers(0, 3).map(float),
                st.sampled_from([-1.0, -0.0, 0.0, 1e-42, 1.0]),
                st.floats(1.0, 1 + 2**-10, width=32) | st.floats(width=32, allow_nan=False, allow_infinity=False),
            ]
        )
    )
    maps, masks = draw(arrays(np.float32, shape, elements=value)), draw(arrays(np.bool_, shape))
    assume(masks.any() and not masks.all())
    return maps, masks


def regions(mask: np.ndarray) -> list[np.ndarray]:
    """Components of a mask (H, W), corners touching, each as a mask: grown pixel by pixel."""
    left, found = {(int(y), int(x)) for y, x in zip(*np.nonzero(mask), strict=True)}, []
    while left:
        edge, region = [left.pop()], np.zeros_like(mask)
        while edge:
            y, x = edge.pop()
            region[y, x] = True
            around = {(y + i, x + j) for i in (-1, 0, 1) for j in (-1, 0, 1)} & left
            left -= around
            edge += around
        found.append(region)
    return found


def naive_aupro(maps: np.ndarray, masks: np.ndarray, limit: float) -> float:
    """Every threshold, every region, and a straight line between any two neighbours, cut off at the limit."""
    every = [(image, region) for image, mask in zip(maps, masks, strict=True) for region in regions(mask)]
    points = [(0.0, 0.0)]
    for threshold in np.unique(maps)[::-1]:
        overlap = np.mean([(image >= threshold)[region].mean() for image, region in every])
        points.append(((maps[~masks] >= threshold).mean(), overlap))
    area = 0.0
    for (x0, y0), (x1, y1) in itertools.pairwise(points):
        end = min(x1, limit)
        if end > x0:
            area += (end - x0) * (y0 + y0 + (y1 - y0) * (end - x0) / (x1 - x0)) / 2
    return area / limit


def naive_dice(maps: np.ndarray, masks: np.ndarray) -> tuple[float, float]:
    """The best Dice and the highest threshold that reaches it."""
    alarms = {t: maps >= t for t in np.unique(maps)[::-1]}
    dice = {t: 2 * (found & masks).sum() / (found.sum() + masks.sum()) for t, found in alarms.items()}
    best = max(dice, key=lambda t: dice[t])
    return dice[best], best


@given(samples(), st.sampled_from(MEMORY))
def test_ranking_agrees_with_scikit_learn_in_any_memory(sample: Sample, memory: float) -> None:
    maps, masks = sample
    result = Pixels(memory=memory)(maps, masks)
    scores, flags = maps.ravel().astype(np.float64), masks.ravel()
    assert result["pixel_auroc"] == pytest.approx(metrics.auroc(scores, flags), abs=1e-12)
    assert result["pixel_auroc"] == pytest.approx(roc_auc_score(flags, scores), abs=1e-12)
    assert result["pixel_average_precision"] == pytest.approx(average_precision_score(flags, scores), abs=1e-12)


@given(samples(), st.sampled_from(MEMORY), st.sampled_from([0.05, 0.3, 1.0]))
def test_regions_and_dice_agree_with_plain_loops_in_any_memory(sample: Sample, memory: float, limit: float) -> None:
    maps, masks = sample
    result = Pixels(memory=memory, pro_limit=limit)(maps, masks)
    assert result["aupro"] == pytest.approx(naive_aupro(maps, masks, limit), abs=1e-12)
    dice, threshold = naive_dice(maps, masks)
    assert result["dice_oracle"] == pytest.approx(dice, abs=1e-12)
    assert result["dice_oracle_threshold"] == threshold


def test_oracle_of_the_sheet() -> None:
    """Energy projection, oracle 10: two images of two pixels, the second normal."""
    maps = np.array([[[0, 1]], [[0, 1]]], np.float32)
    masks = np.array([[[0, 1]], [[0, 0]]], bool)
    result = Pixels(pro_limit=1.0)(maps, masks)
    assert result["pixel_auroc"] == pytest.approx(5 / 6)
    # Threshold 1 finds the defect and one of three normal pixels: precision 1/2, Dice 2/3, overlap up to 1 at 1/3.
    assert result["pixel_average_precision"] == 0.5
    assert result["dice_oracle"] == pytest.approx(2 / 3)
    assert result["dice_oracle_threshold"] == 1
    assert result["aupro"] == pytest.approx(1 / 6 + 2 / 3)
    assert Pixels(pro_limit=1 / 3)(maps, masks)["aupro"] == pytest.approx(0.5)
    assert json.loads(json.dumps(result)) == result


def test_each_region_counts_alike_and_corners_touch() -> None:
    masks = np.zeros((2, 6, 6), bool)
    masks[0, :3, :3] = masks[0, 3, 3] = True  # ten pixels, one region
    masks[0, 5, 0] = True
    maps = np.where(masks, 1, 0).astype(np.float32)
    maps[0, 5, 0] = -1  # the small region is found last: a tenth of the pixels, and half of the mean overlap
    assert PixelCounts(maps, masks, 1).regions == 2
    assert Pixels()(maps, masks)["aupro"] == pytest.approx(0.5)


def test_ties_of_everything_say_nothing() -> None:
    maps, masks = np.full((3, 8, 8), 0.25, np.float32), np.zeros((3, 8, 8), bool)
    masks[1, :4, :4] = True
    for memory in MEMORY:
        result = Pixels(memory=memory)(maps, masks)
        assert result["pixel_auroc"] == 0.5
        assert result["aupro"] == pytest.approx(0.15)
        assert result["dice_oracle"] == pytest.approx(2 * 16 / (192 + 16))


def test_small_memory_takes_several_buckets_and_both_ways() -> None:
    rng = np.random.default_rng(0)
    maps, masks = rng.normal(size=(6, 40, 40)).astype(np.float32), rng.random((6, 40, 40)) < 0.2
    maps = maps.clip(min=0)  # half of the pixels are zero, more than fit: these are counted
    counts = PixelCounts(maps, masks, 0.02)
    assert len(counts._buckets) > 3
    assert {high - low == 1 for low, high in counts._buckets} == {True, False}
    small, large = Pixels(memory=0.02)(maps, masks), Pixels()(maps, masks)
    assert small == pytest.approx(large, abs=1e-12)
    assert small["pixel_auroc"] == pytest.approx(roc_auc_score(masks.ravel(), maps.ravel()), abs=1e-12)


def test_maps_on_disk_are_read_in_bounded_memory(tmp_path: Path) -> None:
    count, side, memory = 64, 256, 4
    maps = np.lib.format.open_memmap(tmp_path / "maps.npy", "w+", np.float32, (count, side, side))
    rng = np.random.default_rng(1)
    maps[:] = rng.gamma(1.0, size=maps.shape)
    masks = np.zeros(maps.shape, bool)
    masks[::2, 50:100, 60:120] = True
    maps[masks] += 1
    maps.flush()
    mapped = np.load(tmp_path / "maps.npy", mmap_mode="r")
    Pixels(memory=memory)(mapped[:1], masks[:1])  # imports scipy, which is not meant
    tracemalloc.start()
    result = Pixels(memory=memory)(mapped, masks)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(PixelCounts(mapped, masks, memory)._buckets) > 1
    assert peak < (memory + 4) * 2**20 < 4 * maps.size  # some for counts by bin and for the image in hand
    whole = metrics.auroc(maps.ravel(), masks.ravel())
    assert result["pixel_auroc"] == pytest.approx(whole, abs=1e-12)


def test_a_rising_transform_changes_no_rank() -> None:
    rng = np.random.default_rng(2)
    masks = rng.random((3, 16, 16)) < 0.3
    maps = (rng.integers(-50, 50, masks.shape) + 20 * masks).astype(np.float32)
    plain, moved = Pixels()(maps, masks), Pixels()(maps * 1024 + 30, masks)
    assert moved.pop("dice_oracle_threshold") == plain.pop("dice_oracle_threshold") * 1024 + 30
    assert moved == plain


def test_bad_input_is_named() -> None:
    maps, masks = np.zeros((2, 4, 4), np.float32), np.zeros((2, 4, 4), bool)
    with pytest.raises(NoveltyError, match=r"No pixel of the 2 test images .* no masks, or the protocol tests no"):
        Pixels()(maps, masks)
    with pytest.raises(NoveltyError, match="Every pixel of the 2 test images"):
        Pixels()(maps, ~masks)
    masks[0, 0, 0] = True
    for wrong in (np.nan, np.inf, -np.inf):
        broken = maps.copy()
        broken[1, 2, 2:] = wrong
        with pytest.raises(NoveltyError, match="2 of 32 pixels of the maps are not finite"):
            Pixels()(broken, masks)
    for other in (maps.astype(np.float64), maps[:, None], maps[:1]):
        with pytest.raises(NoveltyError, match=r"float32 \(n, H, W\)"):
            Pixels()(other, masks)
    with pytest.raises(NoveltyError, match="masks bool"):
        Pixels()(maps, masks.astype(np.uint8))
    for options in ({"pro_limit": 0.0}, {"pro_limit": 1.5}, {"memory": 0}):
        with pytest.raises(NoveltyError, match=next(iter(options))):
            Pixels(**options)
