"""Slurm's commands, as far as submitit uses them, on this machine: job arrays whose tasks are queued again on request,
and are taken away as a cluster does it (`take_away`).

Run as a script under the name of one of the commands (`install`), with its state in ``$FAKE_SLURM``.
"""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

COMMANDS = ("sbatch", "srun", "squeue", "scontrol")
FIRST_JOB = 4711


def install(folder: Path) -> dict[str, str]:
    """The commands in ``folder``; the environment in which they are found."""
    folder.mkdir()
    for name in COMMANDS:
        script = folder / name
        script.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} {shlex.quote(__file__)} {name} "$@"\n')
        script.chmod(0o755)
    state = folder / "state"
    state.mkdir()
    return {"PATH": f"{folder}:{os.environ['PATH']}", "FAKE_SLURM": str(state)}


def parameters(state: Path) -> list[dict[str, str]]:
    """Of every job, what its script says to sbatch: {"time": "10", "requeue": ""}."""
    found = []
    for path in sorted(state.glob("script.*")):
        lines = [line for line in path.read_text().splitlines() if line.startswith("#SBATCH --")]
        pairs = (line.removeprefix("#SBATCH --").partition("=") for line in lines)
        found.append({name: value for name, _, value in pairs})
    return found


def take_away(state: Path, name: str, grace: float, again: bool = True) -> bool:
    """What Slurm does when it preempts a job (or, not ``again``, when somebody cancels it): SIGTERM, and SIGKILL after
    ``grace`` seconds. A preempted job is queued again if it is still there by then; whether it was."""
    path = state / f"step.{name}"
    while not path.exists():
        time.sleep(0.05)
    step = int(path.read_text())
    os.kill(step, signal.SIGTERM)
    time.sleep(grace)
    there = Path(f"/proc/{step}").exists()
    if there and again:
        (state / f"again.{name}").touch()
    with suppress(ProcessLookupError):
        os.kill(step, signal.SIGKILL)
    return there


def sbatch(script: str) -> None:
    """Of an array as many tasks at once as it says, each run again as often as it is asked for."""
    job = str(FIRST_JOB + len(list(STATE.glob("script.*"))))
    text = Path(script).read_text()
    (STATE / f"script.{job}").write_text(text)
    array = [line.split("=")[1] for line in text.splitlines() if line.startswith("#SBATCH --array=")]
    last, most = array[0].removeprefix("0-").split("%") if array else (0, 1)
    names = [f"{job}_{task}" for task in range(int(last) + 1)] if array else [job]
    for name in names:
        (STATE / f"queued.{name}").touch()
    command = [sys.executable, __file__, "run", str(most), *names]
    subprocess.Popen(command, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    print(f"Submitted batch job {job}")


def run(most: str, *names: str) -> None:
    with ThreadPoolExecutor(int(most)) as pool:
        list(pool.map(task, names))


def task(name: str) -> None:
    job, _, index = name.partition("_")
    named = {"SLURM_JOB_ID": job, "SLURM_PROCID": "0", "SLURM_NTASKS": "1", "SLURM_LOCALID": "0", "SLURM_NODEID": "0"}
    if index:
        named |= {"SLURM_ARRAY_JOB_ID": job, "SLURM_ARRAY_TASK_ID": index}
    while True:
        for left in ("again", "step"):
            (STATE / f"{left}.{name}").unlink(missing_ok=True)
        subprocess.run(["bash", str(STATE / f"script.{job}")], env=os.environ | named)
        if not (STATE / f"again.{name}").exists():
            break
    (STATE / f"queued.{name}").unlink()


def srun(*arguments: str) -> None:
    """``srun --unbuffered --output FILE --error FILE [--further=options] command...``"""
    said = list(arguments)
    files = {}
    while said[0].startswith("--"):
        option = said.pop(0)
        if option in ("--output", "--error"):
            files[option] = said.pop(0)
    names = {"%A": os.environ["SLURM_JOB_ID"], "%a": os.environ.get("SLURM_ARRAY_TASK_ID", ""), "%t": "0"}
    names["%j"] = names["%A"]
    for option, number in (("--output", 1), ("--error", 2)):
        name = files[option]
        for short, value in names.items():
            name = name.replace(short, value)
        os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666), number)
    task = f"_{names['%a']}" if names["%a"] else ""
    (STATE / f"srun.{names['%A']}{task}").write_text(json.dumps(arguments))
    (STATE / f"step.{names['%A']}{task}").write_text(str(os.getpid()))
    os.execvp(said[0], said)


def squeue(*_: str) -> None:
    for path in STATE.glob("queued.*"):
        name = path.name.removeprefix("queued.")
        print(name if "_" in name else f"{name}_N/A", name)


def scontrol(_: str, name: str) -> None:
    (STATE / f"again.{name}").touch()


if __name__ == "__main__":
    STATE = Path(os.environ["FAKE_SLURM"])
    {"sbatch": sbatch, "srun": srun, "squeue": squeue, "scontrol": scontrol, "run": run}[sys.argv[1]](*sys.argv[2:])
