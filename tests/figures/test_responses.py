"""PIAD's Figure 3: scatter of the filters and the norm of their responses, on small numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from figures.measuring import material, measured

from novelty.errors import NoveltyError
from novelty.figures import trunk
from novelty.figures.base import Numbers
from novelty.figures.responses import FilterResponses, by_reduction
from novelty.nn.backbones import Statistics, load_trunk, save_statistics


@pytest.fixture(scope="module")
def numbers() -> Numbers:
    return measured(FilterResponses(steps=3, images=4, backbone="vgg16", weights="random"))


def test_the_norm_is_the_mean_size_of_the_raw_responses(numbers: Numbers) -> None:
    table = numbers.tables["numbers"]
    assert sorted(set(table["reduction"].tolist())) == [0.0, 0.5, 1.0]
    expected = load_trunk("vgg16", "random")(material().normal(4)).abs().mean((1, 2, 3))
    np.testing.assert_allclose(by_reduction(table)[0.0], expected.numpy(), rtol=1e-4)


def test_the_norm_falls_with_contrast(numbers: Numbers) -> None:
    means = [norms.mean() for norms in by_reduction(numbers.tables["numbers"]).values()]
    assert means == sorted(means, reverse=True)


def test_without_statistics_the_filters_are_measured_on_the_images(numbers: Numbers) -> None:
    filters = numbers.tables["filters"]
    responses = load_trunk("vgg16", "random")(material().normal(4)).transpose(0, 1).flatten(1)
    np.testing.assert_allclose(filters["std"], responses.std(1, correction=0).numpy(), rtol=1e-3, atol=1e-6)
    assert numbers.provenance["statistics"] == "measured on 4 images"


def test_a_statistics_file_is_shown_as_it_is(tmp_path: Path) -> None:
    vgg = load_trunk("vgg16", "random")
    save_statistics(tmp_path / "s.json", vgg, Statistics(torch.ones(512), torch.arange(1.0, 513), "elsewhere"))
    figure = FilterResponses(steps=2, images=2, backbone="vgg16", weights="random", statistics=str(tmp_path / "s.json"))
    found = measured(figure)
    assert found.tables["filters"]["std"].tolist() == list(range(1, 513))
    assert found.provenance["statistics"] == "elsewhere"


def test_the_finding_names_factor_and_norms() -> None:
    table = {
        "image": np.array([0, 0, 0, 0]),
        "reduction": np.array([0.0, 0.2, 0.4, 1.0]),
        "l1": np.array([2.0, 1.8, 1.5, 0.5]),
    }
    std = np.concatenate([np.full(10, 1.0), np.full(10, 2.5)])
    said = FilterResponses().finding(Numbers({"numbers": table, "filters": {"std": std}}, {}))
    assert "a factor of 2.5 apart (printed: 2-3)" in said
    assert "0.90 at contrast -0.2, 0.75 at contrast -0.4 and 0.25 at complete grey" in said
    dead = Numbers({"numbers": table, "filters": {"std": np.zeros(20)}}, {})
    assert "some filters never respond" in FilterResponses().finding(dead)


def test_remedies_name_the_options_of_the_figure(tmp_path: Path) -> None:
    torch.save(dict(load_trunk("vgg16", "random").named_parameters()), tmp_path / "v.pth")
    with pytest.raises(NoveltyError, match=r"set figure\.statistics=stats\.json") as raised:
        trunk.load("vgg16", str(tmp_path / "v.pth"), "auto", torch.device("cpu"), 16)
    assert "method." not in str(raised.value)
