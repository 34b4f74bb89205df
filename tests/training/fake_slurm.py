"""Slurm's commands, as far as submitit uses them, on this machine: a job array whose tasks are queued again on request.

Run as a script under the name of one of the commands (`install`), with its state in ``$FAKE_SLURM``.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

COMMANDS = ("sbatch", "srun", "squeue", "scontrol")
JOB = "4711"


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


def sbatch(script: str) -> None:
    """Every task of the array at once, each run again as often as `scontrol requeue` asks for it."""
    text = Path(script).read_text()
    (STATE / "script.sh").write_text(text)
    array = [line.split("=")[1] for line in text.splitlines() if line.startswith("#SBATCH --array=")]
    last = int(array[0].split("%")[0].split("-")[1]) if array else None
    for task in [None] if last is None else range(last + 1):
        name = JOB if task is None else f"{JOB}_{task}"
        (STATE / f"queued.{name}").touch()
        command = [sys.executable, __file__, "task", name]
        subprocess.Popen(command, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    print(f"Submitted batch job {JOB}")


def task(name: str) -> None:
    job, _, index = name.partition("_")
    named = {"SLURM_JOB_ID": job, "SLURM_PROCID": "0", "SLURM_NTASKS": "1", "SLURM_LOCALID": "0", "SLURM_NODEID": "0"}
    if index:
        named |= {"SLURM_ARRAY_JOB_ID": job, "SLURM_ARRAY_TASK_ID": index}
    while True:
        (STATE / f"again.{name}").unlink(missing_ok=True)
        subprocess.run(["bash", str(STATE / "script.sh")], env=os.environ | named)
        if not (STATE / f"again.{name}").exists():
            break
    (STATE / f"queued.{name}").unlink()


def srun(*arguments: str) -> None:
    """``srun --unbuffered --output FILE --error FILE command...``"""
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
    os.execvp(said[0], said)


def squeue(*_: str) -> None:
    for path in STATE.glob("queued.*"):
        name = path.name.removeprefix("queued.")
        print(name if "_" in name else f"{name}_N/A", name)


def scontrol(_: str, name: str) -> None:
    (STATE / f"again.{name}").touch()


if __name__ == "__main__":
    STATE = Path(os.environ["FAKE_SLURM"])
    {"sbatch": sbatch, "srun": srun, "squeue": squeue, "scontrol": scontrol, "task": task}[sys.argv[1]](*sys.argv[2:])
