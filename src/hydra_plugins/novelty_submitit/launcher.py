"""One cell a job, by submitit: an array of a Slurm cluster, or processes of this machine, so many at once."""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.config_store import ConfigStore
from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus, filter_overrides
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from hydra_plugins.novelty_submitit.jobs import Array, Jobs, Processes, tidy
from hydra_plugins.novelty_submitit.task import CellTask
from novelty.errors import NoveltyError, first_line

if TYPE_CHECKING:
    from novelty.hardware import Share

LOOK_SECONDS = {"local": 0.2, "slurm": 5.0}
"""Between two looks at the jobs."""
LINGER_SECONDS = 900.0
"""Longer than clusters commonly leave a preempted job (GraceTime)."""
LOCAL_REQUEUES = 5
"""submitit's local controller runs a job six times at most, whatever it is told."""


@dataclass
class NoveltySubmititConf:
    """Where jobs run and what each of them is given; empty fields are left to Slurm's defaults.

    cluster: slurm, or local (processes of this machine).
    jobs: at most so many run at once.  minutes: time limit of one.
    warning_seconds: before that limit a job is told to save and is queued again, ``requeues`` times at most (locally 5
        are all that there can be); when Slurm preempts it, as often as that happens.
    gpus, cpus, memory_gb: of each job; locally ``gpus`` of those here, in turn, so that several jobs may share one.
    options: anything else that sbatch knows, {mail-user: ...}.
    folder: of submitit's files, on a disk that all machines see.
    """

    _target_: str = "hydra_plugins.novelty_submitit.launcher.NoveltySubmitit"
    cluster: str = "local"
    jobs: int = 2
    minutes: int = 1440
    warning_seconds: int = 120
    requeues: int = LOCAL_REQUEUES
    gpus: int | None = None
    cpus: int | None = None
    memory_gb: int | None = None
    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    constraint: str | None = None
    options: dict[str, Any] = field(default_factory=dict)
    folder: str = "${hydra.sweep.dir}/jobs"


ConfigStore.instance().store(
    group="hydra/launcher", name="novelty_submitit", node=NoveltySubmititConf, provider="novelty"
)


class NoveltySubmitit(Launcher):
    """Hydra's launcher for jobs that outlive a signal, a preemption and the process that handed them over.

    A job that ends without a word (`kill -9`, no memory, a broken machine) is a cell that failed and ends no other.
    """

    def __init__(self, **options: Any) -> None:
        self.options = given = NoveltySubmititConf(**options)
        if given.cluster not in LOOK_SECONDS:
            raise NoveltyError(f"hydra.launcher.cluster={given.cluster} is no choice. Allowed: local, slurm.")
        if given.jobs < 1:
            raise NoveltyError(f"hydra.launcher.jobs={given.jobs} would run nothing: allow 1 at least.")
        if 60 * given.minutes <= given.warning_seconds:
            raise NoveltyError(
                f"hydra.launcher.minutes={given.minutes} is over before a cell could begin, which is told to save "
                f"{given.warning_seconds} seconds before its limit: allow {given.warning_seconds // 60 + 1} minutes at "
                "least, or lower hydra.launcher.warning_seconds."
            )
        if given.cluster == "local" and given.requeues > LOCAL_REQUEUES:
            raise NoveltyError(
                f"hydra.launcher.requeues={given.requeues} cannot be had on this machine, where submitit runs a job "
                f"six times at most: take {LOCAL_REQUEUES}, and a larger hydra.launcher.minutes."
            )

    @property
    def share(self) -> "Share":
        """What each cell is given of GPUs: plans are made before it is, and elsewhere."""
        from novelty.hardware import Share

        if self.options.cluster == "slurm":
            return Share(self.options.gpus, remote=True)
        return Share(min(self.options.gpus or 1, len(_gpus())))

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.hydra_context, self.task_function, self.config = hydra_context, task_function, config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """The outcome of every cell, in the order given; NoveltyError where none can be handed over."""
        tasks = [
            CellTask(
                self.hydra_context, self.task_function, self.config, list(overrides), number, Singleton.get_state()
            )
            for number, overrides in enumerate(job_overrides, initial_job_idx)
        ]
        name = f"{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}-{initial_job_idx}"
        folder = Path(self.options.folder).absolute() / name
        jobs = self._jobs(tasks, folder)
        try:
            found = self._collect(jobs, tasks)
        except BaseException:
            jobs.leave()
            raise
        tidy(folder)
        return found

    def _jobs(self, tasks: Sequence[CellTask], folder: Path) -> Jobs:
        options = self.options
        if not find_spec("submitit"):
            raise NoveltyError("This launcher is submitit's: pip install 'novelty[slurm]', or take launcher=joblib.")
        if options.cluster == "local":
            devices = _shares(_gpus(), options.gpus or 1, options.jobs)
            limits = {"timeout_min": options.minutes, "signal_delay_s": options.warning_seconds}
            return Processes(tasks, folder, options.jobs, devices, {**limits, "requeues": options.requeues})
        given = {
            "time": options.minutes,
            "signal_delay_s": options.warning_seconds,
            "array_parallelism": options.jobs,
            "gpus_per_node": options.gpus,
            "cpus_per_task": options.cpus,
            "srun_args": [f"--cpus-per-task={options.cpus}"] if options.cpus else None,  # Slurm 22.05: not inherited
            "mem": f"{options.memory_gb}G" if options.memory_gb else None,
            **{name: getattr(options, name) for name in ("partition", "account", "qos", "constraint")},
        }
        for task in tasks:
            task.linger = LINGER_SECONDS
        about = {"job_name": "novelty", "nodes": 1, "ntasks_per_node": 1, "wckey": None}
        more = {"requeue": True, **options.options}
        return Array(tasks, folder, options.requeues, {**about, **given, "additional_parameters": more})

    def _collect(self, jobs: Jobs, tasks: list[CellTask]) -> list[JobReturn]:
        """Every outcome as soon as it is there in a line of its own, in the end all of them in order."""
        returns: dict[int, JobReturn] = {}
        while len(returns) < len(tasks):
            for place, outcome in jobs.look():
                returns[place] = outcome
                words = " ".join(o.lstrip("+") for o in filter_overrides(tasks[place].overrides))
                value = outcome._return_value
                said = f"AUROC {value:.4f}" if outcome.status == JobStatus.COMPLETED else first_line(value)
                print(f"[{len(returns)}/{len(tasks)}] {words}: {said}", flush=True)
            if len(returns) < len(tasks):
                time.sleep(LOOK_SECONDS[self.options.cluster])
        return [returns[place] for place in range(len(tasks))]


def _gpus() -> list[str]:
    """The GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them."""
    if (visible := os.environ.get("CUDA_VISIBLE_DEVICES")) is not None:
        return [name for name in visible.split(",") if name]
    import torch

    return [str(index) for index in range(torch.cuda.device_count())]


def _shares(gpus: Sequence[str], each: int, places: int) -> list[str]:
    """``each`` of the GPUs for every place, in turn: with more places than GPUs, several jobs share one."""
    each = min(each, len(gpus))
    return [",".join(gpus[(place * each + i) % len(gpus)] for i in range(each)) for place in range(places)]
