"""Jobs under way: handed to submitit's executors, watched until each has an outcome, left in order when we must go."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

from hydra.core.utils import JobReturn, JobStatus

from hydra_plugins.novelty_submitit.task import WARNING, CellTask
from novelty.errors import NoveltyError, first_line

PATIENCE_SECONDS = 30.0
"""Local jobs that are asked to stop may save for so long."""
QUEUE_SECONDS = 30.0
"""Between two looks at Slurm's queue; results are looked for more often."""
SIGNAL_VARIABLE = "SUBMITIT_PREEMPT_SIGNAL"
TRIED_ENOUGH = "timed-out too many times"
"""What submitit says of a job that may not be queued again."""

Found = tuple[int, JobReturn]
"""The place of a cell among those handed over, and what became of it."""


class Jobs(Protocol):
    """Cells that were handed over together."""

    def look(self) -> list[Found]:
        """What has come to its end since the last look."""

    def leave(self) -> None:
        """The launcher has to go: stop what would stay behind unseen, or say where it goes on."""


class Processes:
    """submitit's local executor, which would start everything at once: here ``at_once``, others as places fall free.

    devices: what CUDA_VISIBLE_DEVICES is to be at each of these places.
    """

    def __init__(
        self, tasks: Sequence[CellTask], folder: Path, at_once: int, devices: Sequence[str], limits: dict[str, int]
    ) -> None:
        import submitit

        self._executor = submitit.LocalExecutor(folder, max_num_timeout=limits.pop("requeues"))
        self._executor.update_parameters(**limits)
        self._waiting = list(enumerate(tasks))[::-1]
        self._free = list(range(at_once))[::-1]
        self._devices = devices
        self._running: dict[int, tuple[int, Any]] = {}

    def look(self) -> list[Found]:
        ended = [place for place, (_, job) in self._running.items() if job.done()]
        found = []
        for place in ended:
            slot, job = self._running.pop(place)
            self._free.append(slot)
            found.append((place, outcome(job)))
        while self._waiting and self._free:
            place, task = self._waiting.pop()
            slot = self._free.pop()
            task.devices = self._devices[slot]
            with _deaf_to_the_terminal():
                self._running[place] = slot, self._executor.submit(task)
        return found

    def leave(self) -> None:
        """They save and end; none is left to train on where nobody looks."""
        jobs = [job for _, job in self._running.values()]
        for job in jobs:
            with suppress(ProcessLookupError):
                os.kill(int(job.job_id), signal.SIGTERM)  # of submitit's controller, which passes it on
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not all(job.done() for job in jobs) and time.monotonic() < deadline:
            time.sleep(0.1)


class Array:
    """A job array of Slurm. Its tasks outlive us; the record of each is what counts."""

    def __init__(self, tasks: Sequence[CellTask], folder: Path, requeues: int, parameters: dict[str, Any]) -> None:
        import submitit

        parameters = dict(parameters)
        try:
            warning = f"{WARNING.name[3:]}@{parameters['signal_delay_s']}"  # submitit's own would be another signal
            more = {**parameters.pop("additional_parameters", {}), "signal": warning}
            executor = submitit.SlurmExecutor(folder, max_num_timeout=requeues)
            executor.update_parameters(
                **parameters, additional_parameters=more, setup=[f"export {SIGNAL_VARIABLE}={WARNING.name[3:]}"]
            )
            with executor.batch():
                jobs = [executor.submit(task) for task in tasks]
        except RuntimeError as error:  # also what sbatch says
            raise NoveltyError(
                f"Slurm takes no jobs here ({first_line(error)}): try where sbatch works, or launcher=submitit_local."
            ) from error
        self._folder = folder
        self._open = dict(enumerate(jobs))
        self._name = jobs[0].job_id.split("_")[0]
        self._looked = time.monotonic()
        self._absent: set[int] = set()
        print(f"Slurm job {self._name}: {len(jobs)} cells.", flush=True)

    def look(self) -> list[Found]:
        files = {
            path.name for path in self._folder.iterdir()
        }  # asks the server anew, where NFS may remember that there was none
        ended = [place for place, job in self._open.items() if job.paths.result_pickle.name in files]
        found = [(place, outcome(self._open.pop(place))) for place in ended]
        if self._open and time.monotonic() - self._looked > QUEUE_SECONDS:
            self._looked = time.monotonic()
            queued = self._queued()
            absent = {place for place, job in self._open.items() if queued is not None and job.job_id not in queued}
            lost = absent & self._absent  # twice: a result may be on its way
            found += [(place, outcome(self._open.pop(place))) for place in lost]
            self._absent = absent - lost
        return found

    def _queued(self) -> set[str] | None:
        """Ids of our jobs that Slurm still knows as waiting or running; None where it does not answer."""
        command = ["squeue", "--noheader", "--array", "--format=%F_%K %A", f"--jobs={self._name}"]
        asked = subprocess.run(command, capture_output=True, text=True, check=False)
        if asked.returncode and "Invalid job id" not in asked.stderr:  # which it says of those that are over
            return None
        return set(asked.stdout.split())

    def leave(self) -> None:
        print(
            f"Slurm job {self._name} goes on by itself, and the same command finds its records. To end it: "
            f"scancel {self._name}",
            file=sys.stderr,
            flush=True,
        )


def outcome(job: Any) -> JobReturn:
    """What a job that has ended returned; its files go, unless they are all that tells what happened."""
    paths = job.paths
    log = paths.stderr if paths.stderr.exists() else paths.stdout
    if not paths.result_pickle.exists():
        return _lost(f"its worker ended early, the same command goes on from what it saved; its last words: {log}")
    if error := job.exception():
        if TRIED_ENOUGH in str(error):
            return _lost(
                "it was not done within its time limit, nor when it had been queued again as often as "
                "hydra.launcher.requeues allows: raise hydra.launcher.minutes; the same command goes on from what it "
                "saved."
            )
        trace = str(error).split("-" * 22)  # it stands between two such lines, and behind them where the logs are
        return _lost(f"its worker failed ({trace[len(trace) // 2].strip().splitlines()[-1]}); more in {log}")
    result: JobReturn = job.result()
    for path in paths.folder.glob(f"{job.job_id}_*"):
        path.unlink(missing_ok=True)
    return result


def tidy(folder: Path) -> None:
    """The files of a whole array, and the folder, where nothing is left in it to be read."""
    for path in [*folder.glob("*_submission.sh"), *folder.glob(".submission_file_*")]:
        path.unlink(missing_ok=True)
    with suppress(OSError):
        folder.rmdir()


def _lost(words: str) -> JobReturn:
    return JobReturn(status=JobStatus.FAILED, _return_value=NoveltyError(words))


@contextmanager
def _deaf_to_the_terminal() -> Iterator[None]:
    """Processes begun here do not hear Ctrl-C, on which submitit's controller would kill its job within a second; we
    hear it and ask them to stop. And they know which signal asks for another round."""
    os.environ[SIGNAL_VARIABLE] = WARNING.name[3:]
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
