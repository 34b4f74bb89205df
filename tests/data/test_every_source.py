"""Every data set of conf/data, from a small copy in its original layout to a split under its own protocol."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from cells import options
from data.fakes.every import WRITERS

from novelty.config import compose_cell
from novelty.errors import NoveltyError
from novelty.training.plan import make_plan


def test_every_data_set_has_a_small_copy() -> None:
    assert sorted(WRITERS) == options("data")


@pytest.mark.parametrize("name", options("data"))
def test_a_small_copy_loads_and_splits(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOVELTY_DATA", str(tmp_path))
    monkeypatch.setenv("NOVELTY_CACHE", str(tmp_path / "cache"))
    WRITERS[name](tmp_path)
    plan = make_plan(*compose_cell([f"data={name}", "method=ocsvm", "hardware=cpu"]))
    images, split = plan.images, plan.split
    assert images.pixels.dtype == torch.uint8
    assert images.pixels.shape[1:] == (plan.config["data"]["channels"], *images.pixels.shape[-1:] * 2)
    assert len(images.pixels) == len(images.labels) == len(images.test) == len(images.contents)
    assert images.masks is None or images.masks.shape == (len(images.pixels), *images.pixels.shape[-2:])
    assert not np.intersect1d(split.train, split.test).size
    assert split.novel.any()
    assert not split.novel.all()


@pytest.mark.parametrize("name", [name for name in options("data") if name not in ("digits", "shapes")])
def test_a_missing_data_set_is_one_sentence_with_the_remedy(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOVELTY_DATA", str(tmp_path / "nothing"))
    overrides = [f"data={name}", "method=ocsvm", "hardware=cpu"]
    if name in ("mnist", "fashion_mnist", "cifar10", "cifar100"):
        overrides.append("++data.source.download=false")
    if name == "against":
        overrides += [f"++data.source.{side}.download=false" for side in ("inside", "outside")]
    with pytest.raises(NoveltyError, match="NOVELTY_DATA") as raised:
        make_plan(*compose_cell(overrides))
    assert "\n" not in str(raised.value)
    assert str(tmp_path / "nothing") in str(raised.value)
