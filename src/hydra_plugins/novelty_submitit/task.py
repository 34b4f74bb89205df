"""What a worker does with its one cell: run it, and on a signal leave with the state saved, to be run again."""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, run_job, setup_globals
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict

from novelty.doors import stop
from novelty.errors import Stopped

WARNING = signal.SIGUSR1
"""What Slurm sends before it takes the machine away; the job is to be queued again."""
STOPPING = (signal.SIGTERM, WARNING)


@dataclass
class CellTask:
    """One cell, pickled here and run there.

    devices: what CUDA_VISIBLE_DEVICES is to say there; None leaves it to Slurm.
    linger: seconds to wait, all saved, for whoever sent SIGTERM. Slurm queues a preempted job again only if the job is
        still there when its time of grace is over; whoever cancels one kills it soon.
    """

    hydra_context: HydraContext
    task_function: TaskFunction
    config: DictConfig
    overrides: list[str]
    number: int
    singletons: dict[Any, Any]
    devices: str | None = None
    linger: float = 0.0

    def __call__(self) -> JobReturn:
        again: Any = signal.getsignal(WARNING)  # submitit's: has the job queued again, and exits
        try:
            with _stopping():
                return self._run()
        except Stopped as stopped:
            for number in STOPPING:  # the same may come twice: to the process and to its group
                signal.signal(number, signal.SIG_IGN)
            print(stopped, file=sys.stderr, flush=True)
            if stopped.args[0] == WARNING:
                again(WARNING, None)
            time.sleep(self.linger)
            sys.exit(stopped.exit_code)
        except KeyboardInterrupt:
            sys.exit(128 + signal.SIGINT)

    def checkpoint(self) -> Any:
        """What is run when the job comes back: the same, which goes on from its record's folder."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)

    def _run(self) -> JobReturn:
        if self.devices is not None:
            os.environ["CUDA_VISIBLE_DEVICES"] = self.devices
        Singleton.set_state(self.singletons)
        setup_globals()
        config = self.hydra_context.config_loader.load_sweep_config(self.config, self.overrides)
        with open_dict(config):
            config.hydra.job.id = f"{config.hydra.job.name}_{self.number}"
            config.hydra.job.num = self.number
        return run_job(
            hydra_context=self.hydra_context,
            task_function=self.task_function,
            config=config,
            job_dir_key="hydra.sweep.dir",
            job_subdir_key="hydra.sweep.subdir",
        )


@contextmanager
def _stopping() -> Iterator[None]:
    """`Stopped` where a cell is not training, which has handlers of its own that save first."""
    before: dict[int, Callable | int | None] = {number: signal.signal(number, stop) for number in STOPPING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
