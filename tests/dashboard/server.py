"""A W&B server for tests: it takes what it is sent, or never answers."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

ANSWER = {
    "viewer": {"id": "u", "entity": "me", "username": "me", "flags": "{}", "teams": {"edges": []}},
    "models": {"edges": [], "pageInfo": {"endCursor": None, "hasNextPage": False}},
    "result": {"inserted": True, "project": {"id": "p", "name": "novelty", "entityName": "me"}, "model": {"id": "p"}},
    "upsertView": {
        "inserted": True,
        "view": {
            "id": "VmlldzoxMjM=",
            "name": "nw-abc-v",
            "displayName": "x",
            "spec": "{}",
            "project": {"id": "p", "name": "novelty", "entityName": "me"},
        },
    },
}

TABLES = {
    "createArtifact": {
        "artifact": {"id": "a", "state": "COMMITTED", "artifactSequence": {"id": "s", "latestArtifact": None}}
    },
    "useArtifact": {"artifact": {"id": "a"}},
}
"""What is said of tables: they are there already."""


@contextmanager
def serving(answers: bool = True) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Its address, and the variables of each view that it was told to save."""
    views: list[dict[str, Any]] = []
    over = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if not answers:
                over.wait()
                return
            if self.path == "/graphql" and "upsertview" in (asked := json.loads(body))["query"].lower():
                views.append(asked["variables"])
            content = json.dumps({"data": ANSWER}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Nothing: pytest shows stderr."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", views
    finally:
        over.set()
        server.shutdown()
        server.server_close()


@dataclass
class Received:
    """What a run was sent. history: its rows, one part after the other.  summary: what stands there now."""

    history: list[dict[str, Any]] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)


@contextmanager
def receiving() -> Iterator[tuple[str, dict[str, Received]]]:
    """The address of a server that keeps what `wandb sync` sends it, and its runs by id."""
    runs: dict[str, Received] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            asked = json.loads(body) if self.path.endswith(("/graphql", "/file_stream")) else {}
            data: dict[str, Any] = {}
            if self.path.endswith("/file_stream"):
                self._keep(self.path.split("/")[-2], asked.get("files", {}))
            elif "upsertbucket" in asked.get("query", "").lower():
                data = {"upsertBucket": self._bucket(asked["variables"]["name"])}
            else:
                files = {"runID": "b", "uploadHeaders": [], "files": []}
                data = {**ANSWER, **TABLES, "createRunFiles": files, "serverInfo": {"features": []}}
            content = json.dumps({"data": data}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_PUT = do_POST

        def _bucket(self, name: str) -> dict[str, Any]:
            known = name in runs
            lines = len(runs.setdefault(name, Received()).history)
            project = {"id": "p", "name": "novelty", "entity": {"id": "e", "name": "me"}}
            bucket = {"id": name, "name": name, "displayName": name, "config": "{}", "historyLineCount": lines}
            return {"bucket": {**bucket, "project": project}, "inserted": not known}

        def _keep(self, name: str, files: dict[str, Any]) -> None:
            for file, chunk in files.items():
                rows = [json.loads(line) for line in chunk["content"]]
                if "history" in file:
                    runs[name].history[chunk["offset"] :] = rows
                elif "summary" in file:
                    runs[name].summary = rows[-1]

        def log_message(self, *_: object) -> None:
            """Nothing: pytest shows stderr."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", runs
    finally:
        server.shutdown()
        server.server_close()
