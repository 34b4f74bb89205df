"""CRBND: its two phases in one training, its negatives, its scores."""

from __future__ import annotations

import os
import signal
from itertools import pairwise
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from torch import Tensor, nn

from novelty.data.datamodule import TrainingBatches
from novelty.errors import NoveltyError, Stopped
from novelty.info import DataInfo
from novelty.methods.crbnd import CRBND
from novelty.methods.crbnd.images import padded
from novelty.training.callbacks import ResumePoint, StepSeed
from novelty.training.trainer import quiet

IMAGES = 10


def crbnd(side: int = 12, **options: Any) -> CRBND:
    """Two epochs of each phase, three steps an epoch, on images that are padded to 16 pixels."""
    torch.manual_seed(0)
    small = {"widths": (4, 6, 8), "classifier_widths": (4, 4, 6, 6), "batch_size": 4}
    lengths = {"reconstructor_epochs": 2, "classifier_epochs": 2}
    return CRBND(DataInfo(1, side, IMAGES), **{**small, **lengths, **options})


class Watch(L.Callback):
    """What is logged at each step, and the state after it; SIGTERM during step ``cut``."""

    def __init__(self, cut: int | None = None) -> None:
        self.cut = cut
        self.logged: list[dict[str, float]] = []
        self.states: list[dict[str, Tensor]] = []

    def on_train_batch_start(self, trainer: L.Trainer, *_: Any) -> None:
        if trainer.train_dataloader.taken == self.cut:
            os.kill(os.getpid(), signal.SIGTERM)

    def on_train_batch_end(self, trainer: L.Trainer, method: L.LightningModule, *_: Any) -> None:
        self.logged.append({name: float(value) for name, value in trainer.callback_metrics.items()})
        self.bar = dict(trainer.progress_bar_metrics)
        self.states.append({name: value.clone() for name, value in method.state_dict().items()})


def fit(method: CRBND, watch: Watch, resume: Path | None = None) -> CRBND:
    pixels = torch.randint(0, 256, (IMAGES, 1, 12, 12), generator=torch.Generator().manual_seed(5)).byte()
    points = [ResumePoint(resume, every=1e9)] if resume else []
    start = str(resume) if resume and resume.is_file() else None
    with quiet():
        trainer = L.Trainer(
            accelerator="cpu",
            devices=1,
            max_epochs=method.schedule.epochs,
            logger=False,
            callbacks=[StepSeed(3), watch, *points],  # the watch sees a step before the signal stops it
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        batches = TrainingBatches(pixels, method.schedule, seed=3)
        trainer.fit(method, batches, ckpt_path=start, weights_only=True if start else None)
    return method


@pytest.fixture(scope="module")
def whole() -> Watch:
    watch = Watch()
    fit(crbnd(), watch)
    return watch


def _changed(before: dict[str, Tensor], after: dict[str, Tensor]) -> set[str]:
    return {name for name in before if not torch.equal(before[name], after[name])}


def test_each_phase_trains_its_own_network_and_leaves_the_other_to_the_last_statistic(whole: Watch) -> None:
    assert len(whole.states) == 12
    states = [crbnd().state_dict(), *whole.states]
    for step, (before, after) in enumerate(pairwise(states)):
        own, other = ("reconstructor", "classifier") if step < 6 else ("classifier", "reconstructor")
        changed = _changed(before, after)
        assert not any(name.startswith(other) for name in changed)
        assert {name for name in before if name.startswith(own)} == changed
    tracked = [name for name in states[-1] if name.endswith("num_batches_tracked")]
    steps = {name.split(".")[0]: int(states[-1][name]) for name in tracked}
    # Two epochs of 4, 4 and 2 images: A sees each batch once, C each half of it.
    assert steps == {"reconstructor": 6, "classifier": 12}


def test_the_phase_shows_in_log_and_bar(whole: Watch) -> None:
    assert [step["phase"] for step in whole.logged] == [1.0] * 6 + [2.0] * 6
    assert all(("loss/reconstruction" in step) == (step["phase"] == 1) for step in whole.logged[:6])
    assert all(step["loss/classifier"] > 0 for step in whole.logged[6:])
    assert {"phase", "loss/classifier"} <= whole.bar.keys()


@pytest.mark.parametrize("cut", [2, 3, 6, 7, 9, 11])
def test_a_cut_in_either_phase_changes_nothing(whole: Watch, cut: int, tmp_path: Path) -> None:
    first, second = Watch(cut), Watch()
    with pytest.raises(Stopped):
        fit(crbnd(), first, tmp_path / "resume.ckpt")
    fit(crbnd(), second, tmp_path / "resume.ckpt")
    states = [*first.states, *second.states]
    assert len(states) == len(whole.states)
    assert all(not _changed(a, b) for a, b in zip(whole.states, states, strict=True))


def test_the_classifier_learns_from_as_many_positives_as_negatives() -> None:
    method = crbnd()
    seen: list[tuple[int, ...]] = []
    method.classifier.register_forward_pre_hook(lambda module, given: seen.append(tuple(given[0].shape)))
    fit(method, Watch())
    # An epoch is a batch of 4, 4 and 2 images, in halves, each image with its positive and its negative.
    assert [shape[0] for shape in seen] == [4, 4, 4, 4, 2, 2] * 2
    assert all(shape[1:] == (1, 16, 16) for shape in seen)


def test_batches_of_128_are_64_and_64() -> None:
    assert CRBND(DataInfo(1, 28, 6000)).schedule.batch_size == 128
    assert len(torch.zeros(128)[0::2]) == len(torch.zeros(128)[1::2]) == 64


# --- negatives ------------------------------------------------------------------------------------------------------


class Shade(nn.Module):
    """A reconstructor that answers with one grey."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.full_like(x, 0.25)


@pytest.mark.parametrize(
    ("source", "operation", "expected"),
    [
        ("recon", "blur", {0.25}),  # blur leaves constants alone: what is degraded shows
        ("input", "blur", {1.0}),
        ("random", "blur", {0.25, 1.0}),
    ],
)
def test_the_three_readings_of_where_negatives_come_from(source: str, operation: str, expected: set[float]) -> None:
    method = crbnd(side=16, negative_source=source, operation=operation, connective_weight=0.0)
    method.reconstructor = Shade()
    positives, negatives = method._pairs(torch.ones(40, 1, 16, 16))
    assert torch.equal(positives, torch.full_like(positives, 0.25))
    assert {round(value, 4) for value in negatives.mean((1, 2, 3)).tolist()} == expected


def test_all_weight_on_the_image_leaves_no_difference() -> None:
    images = torch.rand(4, 1, 16, 16)
    positives, negatives = crbnd(side=16, connective_weight=1.0)._pairs(images)
    assert torch.equal(positives, images)
    assert torch.equal(negatives, images)


def test_negatives_are_drawn_anew() -> None:
    method, images = crbnd(side=16).eval(), torch.rand(4, 1, 16, 16)
    assert not torch.equal(method._pairs(images)[1], method._pairs(images)[1])


# --- scores ---------------------------------------------------------------------------------------------------------


def test_the_score_is_minus_the_logit_of_the_connective_image() -> None:
    method, images = crbnd().eval(), torch.rand(5, 1, 12, 12)
    scores = method.score(images)
    mixed = 0.5 * padded(images, 16) + 0.5 * padded(method.reconstruct(images), 16)
    inside = torch.zeros_like(mixed, dtype=torch.bool)
    inside[..., 2:14, 2:14] = True
    rebuilt = method.reconstructor(padded(images, 16))
    connective = torch.where(inside, mixed, 0.5 * rebuilt)  # around the image, A answers what it will
    logits = method.classifier(connective)
    torch.testing.assert_close(scores["classifier"].image, -logits)
    assert torch.equal(scores["classifier"].image < 0, torch.sigmoid(logits) > 0.5)
    assert method.primary == "classifier"
    assert scores["classifier"].map is None


def test_the_reconstruction_score_is_the_mean_of_its_map() -> None:
    method, images = crbnd().eval(), torch.rand(5, 1, 12, 12)
    found = method.score(images)["reconstruction"]
    assert found.map is not None
    expected = ((images - method.reconstruct(images)).square() + 1e-6).sqrt()
    torch.testing.assert_close(found.map, expected)
    torch.testing.assert_close(found.image, expected.mean((1, 2, 3)))


def test_pictures_and_features_repeat() -> None:
    method, images = crbnd().eval(), torch.rand(3, 1, 12, 12)
    shown, embedded = method.pictures(images), method.embed(images)
    assert list(shown) == ["reconstruction", "connective", "negative"]
    for name, picture in shown.items():
        assert picture.shape == images.shape
        assert picture.min() >= 0
        assert picture.max() <= 1
        assert torch.equal(picture, method.pictures(images)[name])
    torch.testing.assert_close(shown["connective"], 0.5 * images + 0.5 * shown["reconstruction"])
    assert {name: tuple(features.shape) for name, features in embedded.items()} == {
        "positive": (3, 6),
        "negative": (3, 6),
    }
    assert torch.equal(embedded["negative"], method.embed(images)["negative"])
    logits = method.classifier.head(embedded["positive"]).flatten()
    torch.testing.assert_close(-logits, method.score(images)["classifier"].image)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"reconstructor_epochs": 0}, "method.reconstructor_epochs is 0"),
        ({"classifier_epochs": 0}, "method.classifier_epochs is 0"),
        ({"connective_weight": 1.5}, "method.connective_weight is 1.5"),
        ({"dropout": -0.1}, "method.dropout is -0.1"),
        ({"lr": 0.0}, "method.lr is 0.0"),
        ({"widths": ()}, "method.widths is"),
        ({"blur": (0, 3)}, r"method.blur is \[0, 3\]"),
        ({"blur": (3,)}, r"method.blur is \[3\]"),
        ({"blur": (3, 40)}, r"method.blur is \[3, 40\]: .* wider than the image"),
        ({"noise": (0.5, 0.2)}, r"method.noise is \[0.5, 0.2\]"),
    ],
)
def test_impossible_options_are_one_sentence(options: dict[str, Any], words: str) -> None:
    with pytest.raises(NoveltyError, match=words):
        crbnd(**options)
