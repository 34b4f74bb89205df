"""Groups of images in the plane, by a method that does nothing but tell its images apart."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from figures.made_up import made_up
from figures.measuring import material
from torch import Tensor

from novelty.data.protocols import Split
from novelty.errors import NoveltyError
from novelty.figures import style
from novelty.figures.cells import Run, Trained
from novelty.figures.embedding import Embedding, nearest_groups


class Bright:
    """Features are the image's mean and nothing else; negatives are darker."""

    def embed(self, images: Tensor) -> dict[str, Tensor]:
        mean = images.mean((1, 2, 3))
        plane = torch.stack([mean, torch.zeros_like(mean)], 1)
        return {"positive": plane, "negative": plane - 10}


def _run(method: object, batch: int = 4) -> Run:
    images = material().images
    test = np.arange(10)
    split = Split(np.arange(1), np.empty(0, np.int64), test, test >= 6)
    run = made_up("a", "8", 0, {"s": {}})
    trained = Trained(method, images, split, torch.device("cpu"), batch)
    return Run(run.cell, run.row, run.record, None, lambda: trained)


def test_normal_images_stand_in_every_group_and_novel_ones_as_they_are_scored() -> None:
    figure = Embedding(images=5, names={"novel": "outliers", "positive": "positives", "negative": "negatives"})
    numbers = figure.gather([_run(Bright())])
    table = numbers.tables["numbers"]
    assert table["group"].tolist() == ["positive"] * 5 + ["negative"] * 5 + ["novel"] * 4
    assert set(table["nearest"][-4:].tolist()) == {"positive"}
    said = figure.finding(numbers)
    assert said == "in the features 4 novel images are nearest to positives 100 %, negatives 0 %"
    again = figure.gather([_run(Bright(), batch=2)]).tables["numbers"]
    np.testing.assert_allclose(again["x"], table["x"], rtol=1e-3, atol=1e-3)
    with style.styled():
        (axes,) = figure.draw(numbers).axes
    assert len(axes.collections) == 3


def test_the_nearest_neighbour_is_sought_in_other_groups() -> None:
    features, groups = np.array([[0.0], [0.1], [1.0], [5.0]]), np.array(["a", "a", "b", "c"])
    assert nearest_groups(features, groups) == ["b", "b", "a", "b"]


def test_a_method_without_features_is_refused() -> None:
    with pytest.raises(NoveltyError, match="object of a 8 seed 0 has no features to show"):
        Embedding().gather([_run(object())])


@pytest.mark.parametrize("options", [{"images": 1}, {"perplexity": 0.0}])
def test_options_must_make_sense(options: dict) -> None:
    with pytest.raises(NoveltyError, match=r"figure\.images is"):
        Embedding(**options)
