"""Figures of the tests' own."""

from __future__ import annotations

from pathlib import Path

import pytest

from novelty import config


@pytest.fixture
def own_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder in the place of `experiments`, for this process."""
    folder, shipped = tmp_path / "experiments", config._shipped
    for name in ("figure", "table", "published"):
        (folder / name).mkdir(parents=True)
    monkeypatch.setattr(config, "_shipped", lambda name: folder if name == "experiments" else shipped(name))
    return folder
