"""Hardware: what a cell is told of it where it is planned, and where its launcher will run it."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from hydra_plugins.novelty_submitit import launcher
from novelty.config import Hardware
from novelty.errors import NoveltyError
from novelty.hardware import Share, processes, settle_hardware


def _settled(gpus: int, share: Share | None, monkeypatch: pytest.MonkeyPatch, **given: Any) -> dict[str, Any]:
    """The settled hardware of a machine with so many GPUs."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    return settle_hardware(vars(Hardware(**{"accelerator": "gpu", "devices": 1, **given})), share)


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed", "16-mixed"])
@pytest.mark.parametrize("accelerator", ["gpu", "auto"])
def test_a_login_node_without_a_gpu_plans_for_those_that_have_some(
    accelerator: str, precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = {"accelerator": accelerator, "precision": precision}
    there = _settled(1, None, monkeypatch, **given)
    assert _settled(0, Share(1, remote=True), monkeypatch, **given) == there
    assert _settled(0, Share(None, remote=True), monkeypatch, **given) == there
    with pytest.raises(NoveltyError, match="torch sees no GPU here"):
        _settled(0, Share(1), monkeypatch, accelerator="gpu")


@pytest.mark.parametrize(("here", "share", "count"), [(8, None, 8), (8, Share(4), 4), (0, Share(4, remote=True), 4)])
def test_all_gpus_are_those_that_a_cell_is_given(
    here: int, share: Share | None, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert processes(_settled(here, share, monkeypatch, devices=-1, strategy="ddp")) == count


REFUSED: dict[str, tuple[int, Share | None, dict[str, Any]]] = {
    "hydra.launcher.gpus=0 gives a cell none": (8, Share(0, remote=True), {}),
    "say how many, as in hydra.launcher.gpus=4": (8, Share(None, remote=True), {"devices": -1}),
    "devices=4 needs 4 GPUs, and a job is given 1": (8, Share(1, remote=True), {"devices": 4}),
    r"devices=\[0, 3\] needs 4 GPUs, and a job is given 2": (8, Share(2), {"devices": [0, 3]}),
    "devices=9 is more than the 8 GPUs here": (8, None, {"devices": 9}),
    r"devices=\[\] must be a number of devices from 1 on, a list": (8, None, {"devices": []}),
    "devices=0 must be a number of devices from 1 on, a list": (8, None, {"devices": 0}),
    "devices=many must be a number of devices from 1 on, a list": (8, None, {"devices": "many"}),
    "devices=999 is more than the": (0, Share(1), {"accelerator": "cpu", "devices": 999}),
    "devices=0 must be a number of devices from 1 on.$": (0, None, {"accelerator": "cpu", "devices": 0}),
}


@pytest.mark.parametrize("words", REFUSED)
def test_what_no_cell_can_have_is_refused_before_it_runs(words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    here, share, given = REFUSED[words]
    with pytest.raises(NoveltyError, match=words):
        _settled(here, share, monkeypatch, **given)


def test_what_is_not_known_of_another_machine_is_left_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _settled(0, Share(None, remote=True), monkeypatch, devices=[2, 5])["devices"] == [2, 5]
    assert _settled(0, Share(1, remote=True), monkeypatch, accelerator="cpu", devices=999)["devices"] == 999


@pytest.mark.parametrize(
    ("options", "share"),
    [
        ({"cluster": "slurm", "gpus": 4}, Share(4, remote=True)),
        ({"cluster": "slurm"}, Share(None, remote=True)),
        ({"cluster": "local"}, Share(1)),
        ({"cluster": "local", "gpus": 2}, Share(2)),
        ({"cluster": "local", "gpus": 9}, Share(3)),
    ],
)
def test_a_launcher_says_what_it_gives_each_cell(
    options: dict[str, Any], share: Share, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2")
    assert launcher.NoveltySubmitit(**options).share == share
