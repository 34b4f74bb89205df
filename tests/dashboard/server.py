"""A W&B server for tests: it takes what it is sent, or never answers."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
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
