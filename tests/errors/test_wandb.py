"""W&B that is out of reach, refuses the key or is told nonsense: the run goes on, and its log can be synced later."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import wandb
from cells import plan, run

from novelty.errors import NoveltyError

KEY = "k" * 40


class Refusing(BaseHTTPRequestHandler):
    """A server that knows no key."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("content-length", 0)))
        self.send_response(401)
        self.end_headers()
        self.wfile.write(b'{"errors": [{"message": "invalid key"}]}')

    do_GET = do_POST

    def log_message(self, *_: Any) -> None:
        """Nothing."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    wandb.teardown()  # its service remembers the environment that it was started in
    with ThreadingHTTPServer(("127.0.0.1", 0), Refusing) as serving:
        threading.Thread(target=serving.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{serving.server_port}"
        monkeypatch.setenv("WANDB_BASE_URL", address)
        monkeypatch.setenv("WANDB_API_KEY", KEY)
        monkeypatch.delenv("WANDB_MODE")
        yield address
        serving.shutdown()
    wandb.teardown()


def test_a_wrong_key_is_told_and_the_log_is_kept_offline(
    server: str, runs: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    record = run("logger=wandb", "method=autoencoder")
    out, _ = capfd.readouterr()
    assert "W&B refused the run or could not be reached" in out
    assert "401" in out
    assert "WANDB_API_KEY" in out
    logs = plan("logger=wandb", "method=autoencoder").record.folder / "logs" / "wandb"
    (offline,) = logs.glob("offline-run-*")
    inspect = [Path(sys.executable).with_name("wandb"), "leet", "inspect", "--summary", "--json", offline]
    done = subprocess.run(inspect, capture_output=True, text=True, check=True, timeout=60)
    assert json.loads(done.stdout)["summary"]["test/mse/auroc"] == record["metrics"]["mse"]["auroc"]
    for path in runs.rglob("*"):
        assert not path.is_file() or KEY.encode() not in path.read_bytes()


def test_a_mode_that_is_none(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "ofline")
    with pytest.raises(NoveltyError, match=r"WANDB_MODE=ofline is no choice; did you mean offline\? .* disabled"):
        run("logger=wandb")
    monkeypatch.setenv("WANDB_MODE", "disabled")
    assert run("logger=wandb")["metrics"]
    assert not list(runs.rglob("wandb"))
