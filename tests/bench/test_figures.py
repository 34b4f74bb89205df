"""What figures rest on: counted arithmetic, the ceiling, memory, medians and ratios, and how they are written."""

from __future__ import annotations

import io
from typing import Any

import pytest
import torch
import yaml
from rich.console import Console
from torch import nn

from novelty.bench import arithmetic, show, summary
from novelty.bench.arithmetic import ceiling, count_flop, dtype_of
from novelty.bench.device import Moments, Peak
from novelty.bench.published import comparison
from novelty.check import check
from novelty.config import compose_cell, experiments_dir
from novelty.nn.adversarial import gradient_penalty

CPU = torch.device("cpu")
UNIT = 2 * (4 * 6 * 9) * (2 * 8 * 8)
"""FLOP of `_convolution` on two images of 8 x 8."""


def _convolution() -> nn.Conv2d:
    return nn.Conv2d(4, 6, 3, padding=1)


def test_convolutions_are_counted_forward_and_backward() -> None:
    layer, x = _convolution(), torch.randn(2, 4, 8, 8)
    with count_flop() as counter:
        y = layer(x)
    assert counter.get_total_flops() == UNIT
    with count_flop() as counter:
        y.sum().backward()
    assert counter.get_total_flops() == UNIT  # of the kernel alone: nobody asks for the images' gradient


def test_gradients_of_gradients_are_counted() -> None:
    """Forward; slope; and of the slope's norm: what reaches the kernel straight, and what comes back to the slope."""
    layer, x = _convolution(), torch.randn(2, 4, 8, 8)
    with count_flop() as counter:
        gradient_penalty(lambda images: layer(images).mean((1, 2, 3)), x, x.flip(0)).backward()
    assert counter.get_total_flops() == 4 * UNIT

    x.requires_grad_()
    with count_flop() as counter:
        (slope,) = torch.autograd.grad(layer(x).square().sum(), x, create_graph=True)
        slope.square().sum().backward()
    assert counter.get_total_flops() == 6 * UNIT  # a curved loss: two more, back through the first pass


def test_what_compiled_modules_compute_is_counted() -> None:
    layer, x = _convolution(), torch.randn(2, 4, 8, 8)
    layer.compile(backend="eager")
    layer(x)
    with count_flop() as counter:
        layer(x)
    assert counter.get_total_flops() == UNIT


def test_arithmetic_of_inference_is_counted() -> None:
    with torch.inference_mode(), count_flop() as counter:
        nn.Linear(5, 7)(_convolution()(torch.randn(2, 4, 8, 8))[..., :5])
    assert counter.get_total_flops() == UNIT + 2 * (2 * 6 * 8) * 5 * 7


def test_the_ceiling_is_the_best_of_its_shapes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arithmetic, "CPU_SHAPES", ((1, 4, 4), (4, 32, 16)))
    monkeypatch.setattr(arithmetic, "SECONDS_PER_SHAPE", 0.02)
    for precision, channels_last in (("32-true", False), ("bf16-mixed", True)):
        found = ceiling(CPU, dtype_of(precision), channels_last)
        assert found["flops"] == max(found["by_shape"].values()) > 0
        assert found["by_shape"].keys() == {"1x4x4", "4x32x16"}
        assert found["shape"] == "4x32x16"  # the other is too small to fill anything


def test_memory_is_the_most_that_was_held() -> None:
    peak = Peak(CPU)
    before = peak.bytes()["process"]
    block = torch.ones(64 << 20)  # 256 MiB
    del block
    after = peak.bytes()
    assert before is not None
    assert after["process"] is not None
    assert after["gpu"] is None
    assert after["process"] - before > 200 << 20


def test_moments_are_seconds_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter((1.0, 1.5, 4.0))
    monkeypatch.setattr("novelty.bench.device.time.perf_counter", lambda: next(times))
    moments = Moments(CPU)
    for _ in range(3):
        moments.note()
    assert moments.intervals() == [0.5, 2.5]


def _block(*seconds: float, images: int = 8) -> dict[str, Any]:
    return {
        "seconds": list(seconds),
        "images": [images] * len(seconds),
        "memory": {"process": int(sum(seconds) * 1e9), "gpu": None},
    }


def _raw(*blocks: dict[str, Any], trains: bool = True) -> dict[str, Any]:
    """Measurements made by hand."""
    return {
        "name": "this",
        "title": "piad · cifar10 · cat · seed 0",
        "hardware": "cpu",
        "device": "cpu",
        "choices": {"method": "piad", "data": "cifar10"},
        "config": {
            "method": {"reconstruction": "rel_perc_l1", "backbone": "vgg19", "critic_rounds": 2},
            "hardware": {"precision": "32-true", "channels_last": True, "compile": "default"},
        },
        "environment": {"hardware": "a processor, 2 cores", "threads": 2, "commit": "0123456789ab"},
        "trains": trains,
        "batch": 32,
        "images_per_iteration": 96,
        "score_batch": 64,
        "warmup": _block(7.0),
        "flop": {"flop": [30, 10, 10], "images": [8, 8, 8]},
        "ceiling": [{"flops": 40.0, "shape": "a"}, {"flops": 50.0, "shape": "b"}],
        "train": list(blocks),
        "parts": {"steps": 4, "parts": {"data": 1.0, "critics": 6.0, "framework": 1.0}},
        "feed": {"images": 300, "seconds": 2.0},
        "calibration_seconds": 0.5,
        "score": [_block(0.5, 0.5, images=50)],
        "score_flop": {"flop": [500], "images": [50]},
    }


def test_figures_by_hand() -> None:
    """Median and middle of all steps of all blocks; a rare slow step shows in the mean and in what follows from it."""
    figures = summary.figures(_raw(_block(1.0, 1.0, 1.0, 1.0), _block(1.0, 1.0, 1.0, 1.0, 1.0, 11.0)))
    train = figures["train"]
    assert (train["seconds"], train["p10_seconds"], train["p90_seconds"]) == pytest.approx((1.0, 1.0, 2.0))
    assert (train["mean_seconds"], train["iterations_per_second"], train["images_per_second"]) == (2.0, 0.5, 4.0)
    assert (train["steps"], train["first_seconds"]) == (10, 7.0)
    assert (train["flop"], train["flop_per_second"]) == (10, 10.0)
    assert train["ceiling"] == {"flops": 50.0, "shape": "b"}
    assert train["share_of_ceiling"] == 0.2
    assert train["parts"]["critics"] == {"seconds": 1.5, "share": 0.75}
    assert figures["feed_images_per_second"] == 150
    assert figures["score"]["images_per_second"] == 100
    assert (figures["score"]["flop_per_image"], figures["score"]["flop_per_second"]) == (10, 1000)
    assert figures["peak_memory"] == {"process": 16_000_000_000, "gpu": None}


def test_ratios_are_of_images_round_by_round() -> None:
    one = _raw(_block(2.0), _block(4.0, 4.0, 100.0), _block(6.0))
    other = _raw(_block(1.0), _block(4.0), _block(8.0, images=16))
    found = summary.ratios(one, other)
    assert found["train"] == {"ratio": 1.5, "low": 1.0, "high": 2.0, "rounds": [2.0, 1.0, 1.5]}
    assert found["score"] == {"ratio": 1.0, "low": 1.0, "high": 1.0, "rounds": [1.0]}
    assert summary.ratios(one, _raw(trains=False))["train"] is None


def test_the_published_implementation_is_named_where_like_is_held_against_like() -> None:
    raw = _raw(_block(0.815))
    figures = summary.figures(raw)
    training, scoring = comparison(raw, figures)
    assert (
        "2.00 times as fast as the published implementation's 1.63 s (2 CPU cores), at 10 FLOP against 373 GFLOP."
        in training
    )
    assert "0.72 times as fast as the published implementation's 138 images" in scoring
    (range_of_two,) = comparison(raw | {"choices": {"method": "piad", "data": "mnist"}}, figures)
    assert "0.66 to 0.74 times" in range_of_two
    assert range_of_two.endswith("0.54-0.60 s (2 CPU cores).")
    other_loss = {"method": raw["config"]["method"] | {"reconstruction": "mse"}}
    for unlike in ({"batch": 16}, {"device": "cuda"}, {"config": raw["config"] | other_loss}):
        assert comparison(raw | unlike, figures) == []


def test_every_published_time_is_complete() -> None:
    known = yaml.safe_load((experiments_dir() / "published" / "speed.yaml").read_text(encoding="utf-8"))
    fields = {"method", "data", "batch", "arguments", "seconds", "gflop", "scored_per_second"}
    assert known["hardware"] == "2 CPU cores"
    for row in known["rows"]:
        assert row.keys() == fields
        assert isinstance(row["data"], list)
        assert row["arguments"], "a method alone says not what was measured"
        for data in row["data"]:
            method = check(compose_cell([f"method={row['method']}", f"data={data}"]).cfg)["method"]
            assert {name: method[name] for name in row["arguments"]} == row["arguments"]


def test_numbers_are_short_and_carry_their_unit() -> None:
    assert [show.time(t) for t in (1234.0, 1.2345, 0.00123, 4.5e-7)] == ["1,234 s", "1.23 s", "1.23 ms", "0.45 µs"]
    assert [show.si(v, "B") for v in (3.73e11, 999.6e6, 12.0, 0.0)] == ["373 GB", "1 GB", "12 B", "0 B"]
    assert [show.percent(s) for s in (0.618, 0.0041, 0.05)] == ["62 %", "0.41 %", "5 %"]
    assert [show.number(v) for v in (1354.8, 2.4567)] == ["1,355", "2.46"]


def test_two_configurations_stand_side_by_side() -> None:
    one = _raw(_block(2.0))
    other = _raw(_block(1.0), trains=False) | {"name": "B: method=kde", "title": "kde · cifar10 · cat · seed 0"}
    console = Console(file=io.StringIO(), width=120)
    both = [summary.figures(one), summary.figures(other)]
    show.show(console, [one, other], both, summary.ratios(one, other))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    for words in (
        "piad · cifar10 · cat",
        "kde · cifar10 · cat",
        "nothing to train",
        "2 s (median of 1)",
        "32 images x 3",
        "32-true, channels last, compiled (default)",
        "75.0%  1.5 s",
        "B: method=kde scores 1 times as many images a second as this (1 to 1 in 1 rounds).",
    ):
        assert words in text
    assert "trains on" not in text
