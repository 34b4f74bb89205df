"""What jobs do in the tests of launchers: a moment's work each, without torch."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn, JobStatus

from hydra_plugins.novelty_submitit.jobs import Jobs
from hydra_plugins.novelty_submitit.task import CellTask
from novelty.errors import NoveltyError


@dataclass
class SmallTask(CellTask):
    """A cell that leaves a line in ``journal`` for its beginning and its end, and does between them what ``kind`` says.

    good, refused (fails with a sentence), faulty (raises), broken (dies without a word), stopped (told once to save and
    come back), restless (told so every time), ended (asked to end, as by a cluster that takes its machine away), long
    (until it is stopped), taken (until it is stopped, good when it comes back).
    """

    hydra_context: Any = None
    task_function: Any = None
    config: Any = None
    overrides: Any = ()
    number: int = 0
    singletons: Any = None
    kind: str = "good"
    journal: str = ""

    def _note(self, word: str) -> None:
        with Path(self.journal).open("a") as file:
            file.write(f"{self.number} {word} {os.environ.get('CUDA_VISIBLE_DEVICES')}\n")

    def _run(self) -> JobReturn:
        if self.devices is not None:
            os.environ["CUDA_VISIBLE_DEVICES"] = self.devices
        before = Path(self.journal).read_text() if Path(self.journal).exists() else ""
        self._note("begins")
        if self.kind == "broken":
            os.kill(os.getpid(), signal.SIGKILL)
        first = f"{self.number} begins" not in before
        if self.kind == "restless" or (self.kind == "stopped" and first):
            os.kill(os.getpid(), signal.SIGUSR1)
        if self.kind == "faulty":
            raise ValueError("Odd.")
        if self.kind == "ended":
            os.kill(os.getpid(), signal.SIGTERM)
        if self.kind == "long" or (self.kind == "taken" and first):
            time.sleep(100)
        time.sleep(0.5)
        self._note("ends")
        if self.kind == "refused":
            return JobReturn(status=JobStatus.FAILED, _return_value=NoveltyError("no."))
        return JobReturn(status=JobStatus.COMPLETED, _return_value=float(self.number))


def tasks(journal: Path, *kinds: str) -> list[Any]:
    """A job of each kind, numbered."""
    return [SmallTask(number=number, kind=kind, journal=str(journal)) for number, kind in enumerate(kinds)]


def words(journal: Path, number: int) -> list[str]:
    """What a job has noted."""
    lines = [line.split() for line in journal.read_text().splitlines()]
    return [line[1] for line in lines if line[0] == str(number)]


def collect(jobs: Jobs, count: int, seconds: float = 60) -> dict[int, JobReturn]:
    """The outcomes of so many jobs, by their place."""
    found: dict[int, JobReturn] = {}
    deadline = time.monotonic() + seconds
    while len(found) < count:
        assert time.monotonic() < deadline, f"only {sorted(found)} came to an end"
        found |= dict(jobs.look())
        time.sleep(0.05)
    return found
