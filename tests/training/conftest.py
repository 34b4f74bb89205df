"""What tests of launchers share."""

from __future__ import annotations

from pathlib import Path

import pytest
from hydra.core.plugins import Plugins

Plugins.instance()  # makes the modules of plugins anew: whoever imports them from now on has those that Hydra uses


@pytest.fixture
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the tests pickle, workers find; what submitit reads of the environment, later tests do not."""
    from hydra_plugins.novelty_submitit.jobs import SIGNAL_VARIABLE

    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]))
    monkeypatch.setenv(SIGNAL_VARIABLE, "")
    monkeypatch.delenv(SIGNAL_VARIABLE)  # as it is where nobody has set it
