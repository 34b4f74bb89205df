"""A cell that several processes share. We start them, so that a sweep may hold such cells beside others.

Lightning's own launcher would run the whole command line again for every further process, sweep included. Ours are
children of the cell: each does the cell's work with its share of every batch, process 0 writes, the parent waits,
passes signals on, and raises what one of them raised.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

import torch
from torch import distributed

from novelty.doors import keep_memory, stop
from novelty.errors import NoveltyError, Stopped

Work = Callable[..., None]
"""An importable function; its arguments must survive pickling unless the processes are forked."""

PASSED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
_PATIENCE_SECONDS, _IMPATIENT_SECONDS = 10.0, 1.0


def first_process() -> bool:
    """Whether this is process 0 of a cell, or the only one: it writes what is to be kept."""
    return os.environ.get("LOCAL_RANK", "0") == "0"


def run_shared(count: int, threads: int, work: Work, *arguments: Any) -> None:
    """``work(*arguments)`` in ``count`` processes that know one another, with ``threads`` threads each.

    Raises what the first process to fail raised, after stopping the others: NoveltyError and Stopped as they are, any
    other as RuntimeError with its traceback in a note.
    """
    context: Any = multiprocessing.get_context("fork" if _may_fork(threads) else "spawn")
    place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(_free_port()), "WORLD_SIZE": str(count), "NODE_RANK": "0"}
    processes: list[BaseProcess] = []
    ends: list[Connection] = []
    with _passing_signals(processes):
        for rank in range(count):
            mine, theirs = context.Pipe(duplex=False)
            environment = place | {"LOCAL_RANK": str(rank), "RANK": str(rank)}
            process = context.Process(target=_child, args=(theirs, environment, threads, work, arguments))
            process.start()
            theirs.close()
            processes.append(process)
            ends.append(mine)
        patience = _IMPATIENT_SECONDS  # one that hangs in an exchange with a process that failed waits for ever
        try:
            failure = _first_failure(ends, processes)
            if failure is None or isinstance(failure, Stopped):
                patience = _PATIENCE_SECONDS
        finally:
            _stop(processes, patience)
    if failure is not None:
        raise failure


def shared(strategy: str, count: int) -> dict[str, Any]:
    """What Lightning's Trainer must be told of `hardware.strategy`, and of processes that `run_shared` has started."""
    from lightning.fabric.plugins.environments.lightning import LightningEnvironment
    from lightning.pytorch.strategies import DDPStrategy

    plugins = [LightningEnvironment()]  # under Slurm, Lightning would take its signals and requeue by itself
    if strategy == "auto" and count == 1:
        return {"plugins": plugins}

    class Shared(DDPStrategy):
        """Methods that have nothing to train by gradient need no wrapper, and DistributedDataParallel takes none."""

        def _setup_model(self, model: Any) -> Any:
            return super()._setup_model(model) if any(p.requires_grad for p in model.parameters()) else model

    return {"strategy": Shared(), "plugins": plugins}


def _may_fork(threads: int) -> bool:
    """Forking is a hundred times faster than a fresh start, and safe only where neither CUDA nor a pool of threads of
    this process would be missed by the child."""
    return threads == 1 and not torch.cuda.is_available() and sys.platform == "linux"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def _passing_signals(processes: list[BaseProcess]) -> Iterator[None]:
    """Signals to the parent go to the children, which finish their step, save and say so."""

    def pass_on(number: int, frame: Any) -> None:
        for process in processes:
            if process.pid and process.is_alive():
                os.kill(process.pid, number)

    try:
        before = {number: signal.signal(number, pass_on) for number in PASSED_ON}
    except ValueError:  # not the main thread
        before = {}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _first_failure(ends: list[Connection], processes: list[BaseProcess]) -> BaseException | None:
    """None once every process has reported success; otherwise the first failure, that of process 0 before others."""
    running = dict(zip(ends, processes, strict=True))
    while running:
        ready = wait(list(running))
        for end in [end for end in ends if end in ready]:
            process = running.pop(end)
            try:
                failure: BaseException | None = end.recv()
            except EOFError:
                process.join(_PATIENCE_SECONDS)
                return NoveltyError(
                    f"Process {processes.index(process)} of {len(processes)} died without a word "
                    f"(exit code {process.exitcode}; -9 is often a lack of memory: lower method.batch_size or "
                    "hardware.score_batch); the same command goes on from the last saved state."
                )
            if failure is not None:
                return failure
    return None


def _stop(processes: list[BaseProcess], patience: float) -> None:
    """Wait for all to end by themselves, then end them."""
    deadline = time.monotonic() + patience
    for end in (BaseProcess.terminate, BaseProcess.kill):
        for process in processes:
            process.join(max(0.0, deadline - time.monotonic()))
        for process in processes:
            if process.is_alive():
                end(process)
        deadline = time.monotonic() + _IMPATIENT_SECONDS
    for process in processes:
        process.join()


def _child(end: Connection, environment: dict[str, str], threads: int, work: Work, arguments: tuple[Any, ...]) -> None:
    os.setpgrp()  # the terminal's Ctrl-C goes to the parent, which passes it on
    _die_with_parent()
    for number in PASSED_ON:
        signal.signal(number, stop if number != signal.SIGINT else signal.default_int_handler)
    os.environ.update(environment)
    keep_memory()
    torch.set_num_threads(threads)
    failure: BaseException | None = None
    try:
        work(*arguments)
    except (NoveltyError, Stopped) as error:
        failure = error
    except KeyboardInterrupt:
        failure = KeyboardInterrupt()
    except BaseException as error:
        name = type(error).__name__
        failure = RuntimeError(f"{name} in process {environment['RANK']}: {str(error).strip() or 'no message'}")
        failure.add_note(traceback.format_exc())
    end.send(failure)
    end.close()
    if failure is None and distributed.is_initialized():
        distributed.destroy_process_group()
    sys.stdout.flush()
    os._exit(0 if failure is None else 1)  # nothing of the parent's is to be cleaned up twice


def _die_with_parent() -> None:
    """Linux: a killed parent leaves no orphans (PR_SET_PDEATHSIG)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)
