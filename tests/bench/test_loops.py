"""One configuration measured through the loops of a real run: figures that hang together, nothing written."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from inside import QUICK, bench
from rich.console import Console
from torch import nn

from novelty.bench import arithmetic, show, summary
from novelty.bench.published import comparison
from novelty.methods.autoencoder import Autoencoder
from novelty.nn.parts import part

METHODS: dict[str, tuple[str, ...]] = {
    "autoencoder": ("method.batch_size=4",),
    "piad": ("method.reconstruction=mse", "method.batch_size=2", "method.weight_every=2"),
    "kde": (),
}
PARTS = {
    "autoencoder": {"data", "rest of the step", "backward", "optimisers", "logging", "framework"},
    "piad": {"data", "rest of the step", "optimisers", "logging", "framework"},
}
IMAGES = {"autoencoder": (4, 4), "piad": (2, 6)}
"""In a mini-batch, and in an iteration (two critic rounds and one for G and E)."""


@pytest.fixture(autouse=True)
def _low_ceiling(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arithmetic, "CPU_SHAPES", ((1, 8, 8), (2, 8, 8)))
    monkeypatch.setattr(arithmetic, "SECONDS_PER_SHAPE", 0.01)


@pytest.mark.parametrize("method", METHODS)
def test_figures_hang_together_and_nothing_is_written(method: str, monkeypatch: pytest.MonkeyPatch, runs: Path) -> None:
    raw = bench(monkeypatch, f"method={method}", *METHODS[method])
    assert not runs.exists()
    figures = summary.figures(raw)
    json.dumps(raw | figures, allow_nan=False)  # plain, and finite
    assert figures["score"]["images_per_second"] > 0
    assert figures["feed_images_per_second"] > 0
    assert figures["calibration_seconds"] > 0
    assert figures["peak_memory"]["process"] > 100e6  # torch alone takes that
    assert len(raw["score"]) == QUICK.rounds
    assert sum(raw["score"][0]["images"]) >= 16
    text = _shown(raw, figures)
    if method == "kde":
        assert figures["train"] is None
        assert "nothing to train" in text
        assert figures["score"]["flop_per_image"] > 0  # distances rest on a matrix product
        return
    _check_training(method, raw, figures["train"])
    assert "an iteration" in text
    assert "nothing to train" not in text
    assert comparison(raw, figures) == []  # digits are in no publication


def _check_training(method: str, raw: dict[str, Any], train: dict[str, Any]) -> None:
    assert (raw["batch"], raw["images_per_iteration"]) == IMAGES[method]
    assert len(raw["train"]) == QUICK.rounds
    assert len(raw["warmup"]["seconds"]) == 3  # the least, where no time is given
    for block in raw["train"]:
        assert len(block["seconds"]) == len(block["images"]) >= 1
        assert min(block["seconds"]) > 0
        assert set(block["images"]) == {raw["images_per_iteration"]}
        assert sum(block["seconds"]) >= QUICK.seconds / QUICK.rounds * 0.9
    assert train["p10_seconds"] <= train["seconds"] <= train["p90_seconds"]
    pace = train["iterations_per_second"] * raw["images_per_iteration"]
    assert train["images_per_second"] == pytest.approx(pace)
    shares = [part["share"] for part in train["parts"].values()]
    assert min(shares) >= 0
    assert sum(shares) == pytest.approx(1)
    assert train["parts"].keys() >= PARTS[method]
    assert len(set(raw["flop"]["flop"])) <= 2  # PIAD's every other iteration updates its weights
    assert 0 < train["share_of_ceiling"] == train["flop_per_second"] / train["ceiling"]["flops"]


def _shown(raw: dict[str, Any], figures: dict[str, Any]) -> str:
    console = Console(file=io.StringIO(), width=120)
    show.show(console, [raw], [figures], None)
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_marks_of_a_method_become_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = Autoencoder.training_step

    def marked(self: Autoencoder, batch: torch.Tensor, batch_idx: int) -> torch.Tensor:
        with part("forward"):
            return plain(self, batch, batch_idx)

    monkeypatch.setattr(Autoencoder, "training_step", marked)
    train = summary.figures(bench(monkeypatch, "method.batch_size=4"))["train"]
    assert train["parts"].keys() == PARTS["autoencoder"] | {"forward"}
    assert train["parts"]["forward"]["seconds"] > train["parts"]["rest of the step"]["seconds"]


def test_arithmetic_is_that_of_the_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forward once, backward twice, but no gradient for images; to score is one forward pass, and SSIM's windows."""
    raw = bench(monkeypatch, "method.batch_size=4")
    from cells import plan

    from novelty.check import build
    from novelty.data.datamodule import data_info

    cell = plan()
    method = build(cell.config["method"], info=data_info(cell.images, cell.split))
    forward: list[int] = []
    for layer in method.modules():
        if isinstance(layer, (nn.Conv2d, nn.Linear)):
            layer.register_forward_hook(lambda m, _, y: forward.append(2 * y.numel() * m.weight[0].numel()))
    method.score(torch.rand(1, 1, 8, 8))
    assert sum(forward) < summary.figures(raw)["score"]["flop_per_image"] < 1.5 * sum(forward)
    assert raw["flop"]["flop"] == [4 * (3 * sum(forward) - forward[0])] * 3


def test_what_a_configuration_gets_wrong_ends_the_bench(monkeypatch: pytest.MonkeyPatch) -> None:
    from novelty.errors import NoveltyError

    with pytest.raises(NoveltyError, match=r"method.widht is no option of Autoencoder"):
        bench(monkeypatch, "method.widht=3")
    with pytest.raises(NoveltyError, match=r"hardware.devices=2: the bench measures one process"):
        bench(monkeypatch, "hardware.devices=2")
