"""When test images are looked at, and what is said of the AUROC over the last epochs."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from novelty.errors import NoveltyError
from novelty.evaluation.stability import Curve, Stability


def test_moments_by_hand() -> None:
    assert Stability(last=3).moments(steps=40, epoch=8) == (24, 32, 40)
    assert Stability(last=20).moments(steps=24, epoch=8) == (8, 16, 24)  # a short training
    assert Stability(last=1, every=2).moments(steps=40, epoch=8) == (8, 24, 40)
    assert Stability(last=3).moments(steps=50, epoch=20) == (10, 30, 50)  # iterations: back from the last
    assert Stability(last=3).moments(steps=1, epoch=187) == (1,)


@given(st.integers(1, 400), st.integers(1, 50), st.integers(1, 30), st.integers(0, 5))
def test_moments_lie_whole_epochs_apart_and_end_with_the_training(
    steps: int, epoch: int, last: int, every: int
) -> None:
    moments = Stability(last=last, every=every).moments(steps, epoch)
    assert moments[-1] == steps
    assert moments[0] >= 1
    assert all(b > a and (b - a) % epoch == 0 for a, b in pairwise(moments))
    assert len(moments) >= min(last, -(-steps // epoch))
    if not every:
        assert len(moments) == min(last, -(-steps // epoch))


@given(st.integers(1, 400), st.integers(1, 50), *[st.integers(1, 30), st.integers(0, 5)] * 2)
def test_a_curve_has_all_of_a_shorter_look_or_is_refused(
    steps: int, epoch: int, last: int, every: int, shorter: int, rarer: int
) -> None:
    seen, wanted = Stability(last=last, every=every), Stability(last=shorter, every=rarer)

    def of(stability: Stability) -> Curve:
        moments = stability.moments(steps, epoch)
        passed = [round(moment / epoch, 3) for moment in moments]
        return {"epoch": passed, "step": list(moments), "auroc": {"avg": [moment / 1000 for moment in moments]}}

    found = wanted.part(of(seen))
    if found is not None:
        assert found == of(wanted)
    elif len(of(seen)["step"]) > 1 and last > 1:
        assert not set(of(wanted)["step"]) <= set(of(seen)["step"])


def test_a_curve_that_does_not_tell_its_epoch_is_refused() -> None:
    tenths: Curve = {"epoch": [10.0, 20.0], "step": [50, 100], "auroc": {"avg": [0.5, 0.6]}}
    assert Stability(last=1).part(tenths) is None
    assert Stability(last=1).part({"epoch": [1.0], "step": [5], "auroc": {"avg": [0.5]}}) is None


def curve(**auroc: list[float | None]) -> Curve:
    count = len(next(iter(auroc.values())))
    return {"epoch": [float(i + 1) for i in range(count)], "step": list(range(1, count + 1)), "auroc": auroc}


def test_summary_by_hand() -> None:
    found = Stability(last=4).summary(curve(avg=[0.0, 0.9, 0.8, 0.9, 1.0], max=[0.1, 0.5, 0.5, 0.5, 0.5]))
    assert found["avg"] == {
        "epochs_last_4": 4,
        "auroc_mean_last_4": pytest.approx(0.9),
        "auroc_variance_last_4": pytest.approx(0.005),
        "auroc_std_last_4": pytest.approx(0.005**0.5),
        "auroc_min_last_4": 0.8,
        "auroc_max_last_4": 1.0,
    }
    assert found["max"]["auroc_std_last_4"] == 0
    json.dumps(found)  # plain numbers


def test_a_short_training_says_how_many_epochs_went_in() -> None:
    found = Stability().summary(curve(avg=[0.6, 0.8]))
    assert found["avg"]["epochs_last_20"] == 2
    assert found["avg"]["auroc_mean_last_20"] == pytest.approx(0.7)


def test_epochs_without_finite_scores_are_left_out() -> None:
    found = Stability(last=3).summary(curve(avg=[0.5, None, 0.7], nothing=[None, None, None]))
    assert found["avg"]["epochs_last_3"] == 2
    assert found["avg"]["auroc_mean_last_3"] == pytest.approx(0.6)
    assert found["nothing"] == {"epochs_last_3": 0}


@pytest.mark.parametrize(("options", "words"), [({"last": 0}, "last is 0"), ({"every": -1}, "every is -1")])
def test_bad_options_are_one_sentence(options: dict[str, int], words: str) -> None:
    with pytest.raises(NoveltyError, match=f"evaluation.stability.{words}"):
        Stability(**options)
