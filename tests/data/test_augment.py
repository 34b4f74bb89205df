"""Expanded training sets: exact numbers, samples that stay what they are, no images but those of training."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import pytest
import torch
from cells import options, plan, quiet, run
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten

from novelty.check import check
from novelty.config import compose_cell, open_overrides
from novelty.data.augment import Augmentation, Patches, RotateShift, VirtualSet, Zoom
from novelty.data.datamodule import NoveltyData, TrainingBatches, data_info
from novelty.data.protocols import Split
from novelty.data.source import Images
from novelty.errors import NoveltyError, Stopped
from novelty.info import Schedule
from novelty.results.keys import array_digest
from novelty.training.callbacks import StepSeed
from novelty.training.cell import run_cell
from novelty.training.maps import read_maps

SIDE = 16
ALL: dict[str, Augmentation] = {
    "zoom": Zoom(count=90),
    "rotate_shift": RotateShift(count=90),
    "patches": Patches(count=90, patch=8),
}
UNCHANGED: dict[str, Augmentation] = {
    "zoom": Zoom(count=90, scale=(1, 1)),
    "rotate_shift": RotateShift(count=90, degrees=0, shift=0),
    "patches": Patches(count=90, patch=SIDE),
}
"""What shows which image a sample was made of."""


def _images(count: int = 60, side: int = SIDE) -> Images:
    pixels = torch.randint(
        0, 256, (count, 3, side, side), dtype=torch.uint8, generator=torch.Generator().manual_seed(1)
    )
    number = np.arange(count)
    return Images(
        pixels=pixels,
        labels=number * 0,
        test=number >= count // 2,
        classes=("good", "bad"),
        contents=number.astype(np.uint64),
        digest="",
    )


def _data(augmentation: Augmentation | None, images: Images | None = None, **changed: Any) -> NoveltyData:
    """Of 60 images every third of the first half is for validation, the rest of it trains, the second half tests."""
    number, images = np.arange(30), images or _images()
    train, validation, test = number[number % 3 != 0], number[number % 3 == 0], number + 30
    split = Split(train, validation, test, test >= 40)
    data = NoveltyData(images, split, **{"seed": 3, "reference": 100} | changed, augmentation=augmentation)
    data.schedule = Schedule(batch_size=8, epochs=2)
    return data


def _sample(batch: Tensor) -> list[bytes]:
    return [image.numpy().tobytes() for image in batch]


# --- what is drawn ----------------------------------------------------------------------------------------------------


@given(st.integers(1, 130), st.integers(0, 120), st.integers(0, 5))
def test_zoom_keeps_every_image_and_adds_exactly_what_is_missing(images: int, more: int, seed: int) -> None:
    base, parameters = Zoom(count=images + more).draw(images, SIDE, seed)
    scale = parameters[:, 0]
    kept, copied = base[scale == 1], base[scale > 1]
    assert len(base) == len(scale) == images + more
    assert sorted(kept.tolist()) == list(range(images))
    assert len(copied) == more
    times = torch.bincount(copied, minlength=images)
    assert times.max() - times.min() <= 1
    assert ((scale == 1) | ((scale >= 1.05) & (scale < 1.2))).all()
    if more > 30:
        assert len(scale.unique()) == more + 1


@pytest.mark.parametrize("images", [51, 228, 332])
def test_zoom_makes_800_of_any_category_of_mvtec(images: int) -> None:
    assert len(VirtualSet(Zoom(), images, SIDE, 0)) == 800


def test_images_and_zoomed_copies_are_mixed() -> None:
    first = Zoom(count=800).draw(400, SIDE, 0).parameters[:100, 0]
    assert 30 < (first == 1).sum() < 70


def test_rotations_and_shifts_fill_their_ranges() -> None:
    base, parameters = RotateShift(count=4000, degrees=10, shift=0.05).draw(7, SIDE, 0)
    limits = torch.tensor([10, 0.05, 0.05], dtype=torch.float64)
    assert (parameters.abs() <= limits).all()
    assert (parameters.amax(0) > 0.99 * limits).all()
    assert (parameters.amin(0) < -0.99 * limits).all()
    assert (torch.bincount(base, minlength=7) > 500).all()
    assert np.abs(np.corrcoef(np.stack([base.numpy(), *parameters.T.numpy()])) - np.eye(4)).max() < 0.06


def test_patches_lie_anywhere_within_the_image() -> None:
    base, corners = Patches(count=4000, patch=12).draw(7, SIDE, 0)
    assert set(map(tuple, corners.tolist())) == {(top, left) for top in range(5) for left in range(5)}
    assert set(base.tolist()) == set(range(7))


@pytest.mark.parametrize("name", ALL)
def test_a_sample_depends_on_seed_and_number_only(name: str) -> None:
    one, again, other = (ALL[name].draw(20, SIDE, seed) for seed in (0, 0, 1))
    assert all(torch.equal(a, b) for a, b in zip(one, again, strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(one, other, strict=True))
    if name != "zoom":  # whose order is one of all its samples
        fewer = type(ALL[name])(count=10).draw(20, 128, 0)
        more = type(ALL[name])(count=20).draw(20, 128, 0)
        assert all(torch.equal(a, b[:10]) for a, b in zip(fewer, more, strict=True))


DRAWN = {"zoom": "ec334e9d", "rotate_shift": "75ad63c2", "patches": "cb1ac1e5"}


@pytest.mark.parametrize("name", ALL)
def test_draws_stay_what_they_were(name: str) -> None:
    base, parameters = ALL[name].draw(20, SIDE, 7)
    assert array_digest(base.numpy(), np.rint(parameters.numpy() * 2**40).astype(np.int64))[:8] == DRAWN[name]


# --- what is read -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("name", ALL)
def test_a_sample_is_the_same_in_any_batch(name: str, last: bool) -> None:
    data = _data(ALL[name], channels_last=last, score_batch=7)
    whole = torch.cat(list(data.normal_batches()))
    assert whole.shape == (90, 3, data.info.image_size, data.info.image_size)
    assert whole.dtype == torch.float32
    seen = []
    batches = data.train_dataloader()
    for batch in batches:
        assert torch.equal(batch, whole[batches.positions])
        assert batch.is_contiguous(memory_format=torch.channels_last if last else torch.contiguous_format)
        seen += batches.positions.tolist()
    assert sorted(seen) == list(range(90))
    assert len(set(_sample(whole))) > 80


@pytest.mark.parametrize("name", ALL)
def test_the_shares_of_all_processes_are_the_joined_batch(name: str) -> None:
    data = _data(ALL[name])
    whole = data.train_dataloader()
    shares = [
        TrainingBatches(whole.pixels, whole.schedule, 3, rank, 2, False, whole.index, whole.virtual) for rank in (0, 1)
    ]
    for step in range(len(whole) - 1):
        assert torch.equal(torch.cat([share.at(step) for share in shares]), whole.at(step))


@pytest.mark.parametrize("name", UNCHANGED)
def test_samples_are_made_of_training_images_alone(name: str) -> None:
    images = _images()
    data = _data(UNCHANGED[name], images)
    made = set(_sample(torch.cat(list(data.normal_batches()))))
    trained, validation, test = (set(_sample(images.pixels[torch.from_numpy(part)] / 255)) for part in data.split[:3])
    assert made <= trained
    assert len(made) > 15
    assert not made & (validation | test)


@pytest.mark.parametrize("name", ALL)
def test_images_to_score_stay_as_they_are(name: str) -> None:
    plain, augmented = _data(None), _data(ALL[name])
    for (one, at), (other, where) in zip(plain.test_dataloader(), augmented.test_dataloader(), strict=True):
        assert torch.equal(one, other)
        assert torch.equal(at, where)
    assert torch.equal(torch.from_numpy(augmented.reference), torch.from_numpy(augmented.split.validation))


def test_a_method_is_told_of_the_samples() -> None:
    images, split = _images(), _data(None).split
    assert (data_info(images, split).train_size, data_info(images, split).image_size) == (20, SIDE)
    for name, side in {"zoom": SIDE, "rotate_shift": SIDE, "patches": 8}.items():
        info = data_info(images, split, ALL[name])
        assert (info.train_size, info.image_size) == (90, side)


def test_the_smoke_budget_leaves_samples_out() -> None:
    short = Zoom(count=90)
    short.limit = 12
    data = _data(short)
    assert data.info.train_size == data.train_dataloader().count == 12
    assert torch.equal(torch.cat(list(data.normal_batches())), next(_data(ALL["zoom"]).normal_batches())[:12])


class Written(TorchDispatchMode):
    """Bytes of every tensor that was made, views left out."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = {t.untyped_storage().data_ptr() for t in tree_flatten((args, kwargs))[0] if isinstance(t, Tensor)}
        result = function(*args, **(kwargs or {}))
        for made in tree_flatten(result)[0]:
            if isinstance(made, Tensor) and made.untyped_storage().data_ptr() not in given:
                self.bytes += made.nbytes
        return result


@pytest.mark.parametrize(("name", "floats"), [("none", 1), ("zoom", 2), ("rotate_shift", 2), ("patches", 1)])
def test_a_batch_copies_no_more_than_it_needs(name: str, floats: int) -> None:
    """The uint8 images that it shows, once; as floats; changed ones once more, with two coordinates a pixel."""
    data = _data({**ALL, "none": None}[name], _images(side=64))
    batches = data.train_dataloader()
    batches.at(0)
    with Written() as written:
        batch = batches.at(1)
    grid = (floats - 1) * len(batch) * 64 * 64 * 2 * 4
    still = batch.nbytes if name == "zoom" else 0  # images that stay are put back, at most all of them
    assert written.bytes <= batch.nbytes // 4 + floats * batch.nbytes + grid + still + 20_000


# --- as a person meets it ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", options("augment"))
def test_every_option_composes_and_checks(name: str) -> None:
    node = check(compose_cell([f"augment={name}"]).cfg)["data"]["augment"]
    assert (node is None) == (name == "none")


def test_keys_of_an_augmentation_are_set_and_undone_like_those_of_a_method() -> None:
    def node(*typed: str) -> Any:
        return check(compose_cell(open_overrides(typed)).cfg)["data"]["augment"]

    assert node("augment=zoom800", "data.augment.count=900")["count"] == 900
    assert node("augment=zoom800", "data.augment=null") is None
    assert node("data.augment._target_=novelty.data.augment.Patches")["patch"] == 128


WRONG = {
    "data.augment.count=3": "data.augment has no _target_: choose one with augment=",
    "data.augment=zoom800": "data.augment is zoom800: choose one with augment=",
    "augment=zoom800 data.augment.cuont=3": "data.augment.cuont is no option of Zoom; did you mean count?",
    "augment=zoom800 data.augment.count=0": "data.augment.count is 0",
    "augment=zoom800 data.augment.count=5": "data.augment.count is 5, but there are 12 training images already",
    "augment=zoom800 data.augment.scale=[1.2,1.1]": "data.augment.scale is [1.2, 1.1]",
    "augment=zoom800 data.augment.scale=[0,1]": "data.augment.scale begins at 0",
    "augment=rotate_shift data.augment.shift=-0.1": "data.augment.shift is -0.1",
    "augment=patches data.augment.patch=0": "data.augment.patch is 0",
    "augment=patches data.augment.patch=20": "Images of 32 px cannot be scored in patches of 20: set data.image_size",
    "data.augment._target_=novelty.data.protocols.Split": "which is no Augmentation",
}


@pytest.mark.parametrize("typed", WRONG)
def test_a_mistake_is_one_sentence_before_anything_is_trained(typed: str) -> None:
    with pytest.raises(NoveltyError) as raised:
        plan("method=kde", "data.image_size=32", *typed.split())
    assert WRONG[typed] in str(raised.value)
    assert "\n" not in str(raised.value)


def test_samples_are_part_of_the_training_key() -> None:
    def key(*typed: str) -> str:
        return plan("method=kde", *typed).record.training

    zoom = ("augment=zoom800", "budget.max_train=null", "budget.max_test=null")
    assert key() == key("augment=none") == key("data.augment=null")
    keys = [key(), key(*zoom), key(*zoom, "data.augment.count=801"), key(*zoom, "data.augment.scale=[1.05,1.3]")]
    limited = ("augment=rotate_shift", "budget.max_train=13")
    keys += [key(*limited), key(*limited, "data.augment.count=12")]
    assert len(set(keys)) == 6


def test_patches_train_and_whole_images_are_scored(runs: Path) -> None:
    typed = ("method=autoencoder", "data.image_size=32", "augment=patches", "data.augment.patch=16", "maps=true")
    planned = plan(*typed)
    record = run(*typed)
    assert record["config"]["data"]["augment"] == {
        "_target_": "novelty.data.augment.Patches",
        "count": 10_000,
        "patch": 16,
    }
    with np.load(planned.record.scores) as stored:
        maps, score = read_maps(planned.record.maps)["mse"], stored["score/mse"]
        assert maps.shape == (16, 32, 32)
        np.testing.assert_allclose(maps.mean((1, 2)), score, rtol=1e-5)
    weights = torch.load(planned.record.weights, weights_only=True)["state_dict"]
    (dense,) = (w for name, w in weights.items() if name.startswith("encoder") and w.ndim == 2)
    assert dense.shape[1] == 64 * 4 * 4  # 32 px would need one more halving: 128 * 4 * 4


def test_a_cut_training_on_samples_ends_as_one_that_was_not(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    typed = ("method=autoencoder", "augment=rotate_shift", "data.augment.count=12", "budget.scale=0.02")
    whole = run(*typed, "method.batch_size=4", f"paths.runs={runs}/whole")
    cut = plan(*typed, "method.batch_size=4", f"paths.runs={runs}/cut")
    original = StepSeed.on_train_batch_start

    def kill(self: StepSeed, trainer: L.Trainer, *rest: Any) -> None:
        original(self, trainer, *rest)
        if trainer.train_dataloader.taken == 4:
            os.kill(os.getpid(), signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr(StepSeed, "on_train_batch_start", kill)
        with pytest.raises(Stopped):
            run_cell(cut, "test", quiet())
    assert run_cell(cut, "test", quiet())["metrics"] == whole["metrics"]
    assert whole["timings"]["steps"] > 4
