"""Fetching published files: verified, atomic, quick to give up."""

from __future__ import annotations

import hashlib
import http.client
import os
import socket
import tempfile
import threading
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

from novelty.errors import NoveltyError

CONNECT_SECONDS = 4.0
READ_SECONDS = 20.0
_CHUNK = 1 << 18


class NoDownload(Exception):
    """Why a file could not be fetched, in a few words."""


def md5(data: bytes) -> str:
    """Hex MD5, the checksum that these data sets were published with."""
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def fetch(urls: Sequence[str], target: Path, checksum: str) -> None:
    """Put the file at one of ``urls``, tried in order, at ``target`` if it has the MD5 ``checksum``.

    Appears by rename, so several processes may try at once. Raises NoDownload: within seconds where the net is out of
    reach, unless a proxy is set (then after READ_SECONDS at most).
    """
    reasons = []
    for url in urls:
        try:
            _fetch(url, target, checksum)
            return
        except (OSError, http.client.HTTPException, NoDownload) as error:
            reason = getattr(error, "reason", None) or error
            reasons.append(f"{urlsplit(url).hostname}: {reason}")
    raise NoDownload("; ".join(reasons))


def missing(name: str, where: str, get: str, rights: str, why: str) -> NoveltyError:
    """The sentence for data that are not there."""
    return NoveltyError(
        f"{name} is not under {where} and was not downloaded ({why}): get {get}; {rights}; "
        f"set another data folder with paths.data=... or the environment variable NOVELTY_DATA."
    )


def _fetch(url: str, target: Path, checksum: str) -> None:
    _probe(url)
    target.parent.mkdir(parents=True, exist_ok=True)
    request = urllib.request.Request(url, headers={"User-Agent": "novelty"})
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    part = Path(name)
    try:
        with os.fdopen(handle, "wb") as file, urllib.request.urlopen(request, timeout=READ_SECONDS) as response:
            summed = _stream(response, file, target.name)
        if summed != checksum:
            raise NoDownload(f"wrong checksum {summed}")
        part.chmod(0o644)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def _stream(response: http.client.HTTPResponse, file: IO[bytes], name: str) -> str:
    """Copy the body to ``file`` under a progress bar on stderr; the MD5 of it."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    summed = hashlib.md5(usedforsecurity=False)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(f"Downloading {name}", total=response.length)
        while chunk := response.read(_CHUNK):
            summed.update(chunk)
            file.write(chunk)
            progress.advance(task, len(chunk))
    return summed.hexdigest()


def _probe(url: str) -> None:
    """Raise NoDownload if the host does not answer soon; name resolution itself knows no timeout, hence the thread."""
    parts = urlsplit(url)
    if parts.scheme in urllib.request.getproxies():
        return
    found: list[object] = []

    def connect() -> None:
        try:
            port = parts.port or (443 if parts.scheme == "https" else 80)
            socket.create_connection((parts.hostname or "", port), timeout=CONNECT_SECONDS).close()
            found.append(None)
        except OSError as error:
            found.append(error.strerror or error)

    thread = threading.Thread(target=connect, daemon=True)
    thread.start()
    thread.join(CONNECT_SECONDS + 1)
    if not found or found[0] is not None:
        raise NoDownload(str(found[0]) if found else "no answer")
