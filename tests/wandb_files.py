"""Offline runs of W&B, read back with its own reader."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any


def read_back(offline: Path) -> dict[str, Any]:
    """State, configuration and latest values of the offline run in the folder ``offline``."""
    wandb = Path(sys.executable).with_name("wandb")
    command = [wandb, "leet", "inspect", "--summary", "--json", offline]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    return dict(json.loads(done.stdout))
