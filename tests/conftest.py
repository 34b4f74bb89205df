"""Every test runs with its own records and caches, and never reaches for the network or a W&B account."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from novelty.config import register

register()
torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _own_folders(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOVELTY_RUNS", str(tmp_path_factory.mktemp("runs")))
    monkeypatch.setenv("NOVELTY_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
    monkeypatch.setenv("WANDB_MODE", "offline")
    for name in ("WANDB_API_KEY", "HYDRA_FULL_ERROR"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The folder of records of this test."""
    folder = tmp_path / "runs"
    monkeypatch.setenv("NOVELTY_RUNS", str(folder))
    return folder
