"""Which test images are disturbed, under which names; and whole evaluations of methods that know nothing of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from cells import plan, quiet
from torch import Tensor

from novelty.errors import NoveltyError
from novelty.evaluation.robustness import Robustness
from novelty.scores import Attack
from novelty.training.cell import run_cell

NOVEL = np.array([False, True, False, True])
IMAGES = torch.full((4, 1, 2, 2), 0.5)


def attacked(images: Tensor, attack: Attack) -> dict[str, Tensor]:
    """Of a method whose score is the sum of the pixels, and which attacks two ways."""
    moved = attack(lambda x: x.flatten(1).sum(1), images)
    return {"": moved, ":twice": 2 * moved}


def disturbed(robustness: Robustness, name: str, positions: list[int]) -> dict[str, list[float]]:
    """Mean value of each image of a batch at ``positions``, by way."""
    places = torch.tensor(positions)
    found = robustness.disturbances(NOVEL)[name](attacked, IMAGES[places], places)
    return {key: values.mean((1, 2, 3)).tolist() for key, values in found.items()}


def test_names_say_what_is_done() -> None:
    robustness = Robustness(
        attacks=("fgsm", "pgd"), epsilon=(0.05, 0.1), corruptions=("jpeg", "grey"), severities=(1, 4)
    )
    names = ["fgsm-0.05", "fgsm-0.1", "pgd-0.05", "pgd-0.1", "jpeg-1", "jpeg-4", "grey"]
    assert list(robustness.disturbances(NOVEL)) == names


@pytest.mark.parametrize("kind", ["fgsm", "pgd"])
@pytest.mark.parametrize(
    ("which", "expected"),
    [("normal", [0.6, 0.5, 0.6, 0.5]), ("novel", [0.5, 0.4, 0.5, 0.4]), ("all", [0.6, 0.4, 0.6, 0.4])],
)
def test_normal_scores_are_raised_and_novel_ones_lowered(kind: Any, which: Any, expected: list[float]) -> None:
    found = disturbed(Robustness(attacks=(kind,), epsilon=(0.1,), attacked=which), f"{kind}-0.1", [0, 1, 2, 3])
    assert found[f"@{kind}-0.1"] == pytest.approx(expected)
    chosen = {"normal": [0, 2], "novel": [1, 3], "all": [0, 1, 2, 3]}[which]
    twice = [2 * value if i in chosen else 0.5 for i, value in enumerate(expected)]  # others go through unchanged
    assert found[f"@{kind}-0.1:twice"] == pytest.approx(twice)


@pytest.mark.parametrize("positions", [[1], [3, 1], [0], [2, 3]])
def test_a_batch_without_anything_to_attack_has_the_same_names(positions: list[int]) -> None:
    found = disturbed(Robustness(epsilon=(0.1,)), "fgsm-0.1", positions)
    assert list(found) == ["@fgsm-0.1", "@fgsm-0.1:twice"]
    assert found["@fgsm-0.1"] == pytest.approx([0.5 if NOVEL[i] else 0.6 for i in positions])


def test_images_are_not_changed_in_place_and_inference_mode_does_not_matter() -> None:
    with torch.inference_mode():
        images = IMAGES.clone()
        for name, disturbance in Robustness(corruptions=("contrast",)).disturbances(NOVEL).items():
            found = disturbance(attacked, images, torch.arange(4))[f"@{name}"]
            assert found.shape == images.shape
            assert torch.equal(images, IMAGES)


@pytest.mark.parametrize(("corrupted", "changed"), [("all", [0, 1, 2, 3]), ("normal", [0, 2]), ("novel", [1, 3])])
def test_corruptions_change_whom_they_should_by_position(corrupted: Any, changed: list[int]) -> None:
    robustness = Robustness(corruptions=("gaussian_noise",), corrupted=corrupted)
    disturbance = robustness.disturbances(NOVEL)["gaussian_noise-5"]
    whole = disturbance(attacked, IMAGES, torch.arange(4))["@gaussian_noise-5"]
    assert [i for i in range(4) if not torch.equal(whole[i], IMAGES[i])] == changed
    for share in ([0, 2], [1, 3]):  # as two processes would
        places = torch.tensor(share)
        assert torch.equal(disturbance(attacked, IMAGES[places], places)["@gaussian_noise-5"], whole[places])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"epsilon": (0.1, 0.0)}, "epsilon holds 0.0"),
        ({"epsilon": (25.0,)}, "epsilon holds 25.0"),
        ({"severities": (0,)}, "severities holds 0"),
        ({"severities": (6,)}, "severities holds 6"),
        ({"steps": 0}, "steps is 0"),
        ({"reach": 0.0}, "reach 0.0"),
        ({"seed": -1}, "seed is -1"),
    ],
)
def test_bad_options_are_one_sentence(options: Any, words: str) -> None:
    with pytest.raises(NoveltyError, match=f"evaluation.robustness.*{words}"):
        Robustness(**options)


FEW = (
    "evaluation=robustness",
    "evaluation.robustness.epsilon=[0.1]",
    "evaluation.robustness.steps=2",
    "evaluation.robustness.corruptions=[impulse_noise,jpeg]",
    "evaluation.robustness.severities=[3]",
    "evaluation.bootstrap=0",
)
KINDS = ("fgsm-0.1", "pgd-0.1", "impulse_noise-3", "jpeg-3")


def _scores(*overrides: str) -> tuple[str, dict[str, Any], dict[str, np.ndarray]]:
    planned = plan(*overrides)
    record = run_cell(planned, "test", quiet())
    with np.load(planned.record.scores) as stored:
        return record["primary"], record["metrics"], dict(stored)


@pytest.mark.parametrize("method", ["autoencoder", "kde", "piad"])
def test_any_method_is_attacked_and_corrupted(method: str, runs: Any) -> None:
    primary, metrics, stored = _scores(f"method={method}", *FEW)
    plain = [name for name in metrics if "@" not in name]
    assert set(metrics) == {*plain, *(f"{name}@{kind}" for name in plain for kind in KINDS)}
    novel, clean = stored["novel"], stored[f"score/{primary}"]
    for kind in KINDS[:2]:
        found = stored[f"score/{primary}@{kind}"]
        np.testing.assert_allclose(found[novel], clean[novel], rtol=1e-5, atol=1e-6)
        assert found[~novel].mean() > clean[~novel].mean()
        assert metrics[f"{primary}@{kind}"]["auroc"] <= metrics[primary]["auroc"]
        assert metrics[f"{primary}@{kind}"]["threshold"] == metrics[primary]["threshold"]  # set by clean images
    for kind in KINDS[2:]:
        assert (stored[f"score/{primary}@{kind}"] != clean).mean() > 0.5


def test_two_processes_disturb_as_one(runs: Any) -> None:
    _, metrics, one = _scores("method=kde", *FEW)
    _, shared, two = _scores("method=kde", *FEW, "hardware=ddp_cpu", "hardware.score_batch=3")
    assert metrics.keys() == shared.keys()
    for name, values in one.items():
        np.testing.assert_allclose(two[name], values, rtol=1e-5, atol=1e-5)


def test_grey_is_one_more_pass_over_all_images(runs: Any) -> None:
    _, metrics, stored = _scores("method=kde", "data=shapes", "evaluation=grey", "evaluation.bootstrap=0")
    assert set(metrics) == {"nll", "nll@grey"}
    assert (stored["score/nll"] != stored["score/nll@grey"]).all()
