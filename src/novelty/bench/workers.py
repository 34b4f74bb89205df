"""The processes that measure, from the side that starts them: asked over pipes, and gone when we are."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Sequence
from types import TracebackType
from typing import Any

from novelty.errors import NoveltyError

COMMAND = (sys.executable, "-m", "novelty.bench.worker")


class Failed(NoveltyError):
    """A measuring process stopped by a fault that is no person's mistake; ``traceback``: where."""

    def __init__(self, sentence: str, traceback: str) -> None:
        super().__init__(sentence)
        self.traceback = traceback


class Worker:
    """One configuration in a process (and session: Ctrl-C is ours to pass on) of its own. A context manager."""

    def __init__(self, name: str, overrides: Sequence[str]) -> None:
        self.name = name
        self.process = subprocess.Popen(
            COMMAND,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self._overrides = list(overrides)

    def open(self) -> dict[str, Any]:
        """Read the images and build the method; what there is to know of the configuration."""
        self.send({"overrides": self._overrides})
        return self.receive()

    def ask(self, do: str, **arguments: Any) -> dict[str, Any]:
        """One command and its answer."""
        self.send({"do": do, **arguments})
        return self.receive()

    def send(self, command: dict[str, Any]) -> None:
        """A command whose answer is fetched later."""
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps(command) + "\n")
            self.process.stdin.flush()
        except OSError:
            self.receive()  # its last words, or how it ended

    def receive(self) -> dict[str, Any]:
        """The next answer. Raises NoveltyError with what went wrong there, or with how the process ended."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise NoveltyError(f"The process that measured {self.name} ended without a word ({self._end()}).")
        answer: dict[str, Any] = json.loads(line)
        if "traceback" in answer:
            raise Failed(f"Measuring {self.name} failed: {answer['failure']}", answer["traceback"])
        if "failure" in answer:
            raise NoveltyError(answer["failure"])
        return answer

    def _end(self) -> str:
        code = self.process.wait()
        if code == -signal.SIGKILL:
            return "killed, perhaps for want of memory"
        return signal.Signals(-code).name if code < 0 else f"exit code {code}"

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.process.kill()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except OSError:  # a command that nobody read
                    continue
        self.process.wait()
