"""What jobs do in the tests of launchers: a moment's work each, without torch."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn, JobStatus

from hydra_plugins.novelty_submitit.task import CellTask
from novelty.errors import NoveltyError


@dataclass
class SmallTask(CellTask):
    """A cell that leaves a line in ``journal`` for its beginning and its end, and does between them what ``kind`` says.

    good, refused (fails with a sentence), broken (dies without a word), stopped (told once to save and come back),
    ended (asked to end, as by a cluster that takes its machine away), long (until it is stopped).
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
        if self.kind == "stopped" and f"{self.number} begins" not in before:
            os.kill(os.getpid(), signal.SIGUSR1)
        if self.kind == "ended":
            os.kill(os.getpid(), signal.SIGTERM)
        if self.kind == "long":
            time.sleep(100)
        time.sleep(0.5)
        self._note("ends")
        if self.kind == "refused":
            return JobReturn(status=JobStatus.FAILED, _return_value=NoveltyError("no."))
        return JobReturn(status=JobStatus.COMPLETED, _return_value=float(self.number))
