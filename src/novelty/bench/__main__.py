"""`python -m novelty.bench`: how fast a method trains and scores here, where the time goes, and against what ceiling.

usage: python -m novelty.bench [group=choice ...] [key=value ...] [bench.key=value ...]

python -m novelty.bench method=piad data=cifar10 hardware=cpu                      one configuration
python -m novelty.bench method=piad data=cifar10 bench.against='hardware=cpu_fast' two, in alternation, and their ratio
python -m novelty.bench data=mnist bench.seconds=5                                 a quick look
python -m novelty.report bench=all                                                 what was measured so far
python -m novelty.run --help                                                       groups and choices: the same here

bench.seconds=20     seconds measured of training, and again of scoring, for each configuration; a quarter of it more
                     for the parts of the step, a tenth for the data alone. What a method does only now and then
                     (PIAD's weights: every 100 iterations) is in the mean only if the time is long enough.
                     A second pass over the data may be faster than the first (PIAD remembers features of training
                     images): bench.warmup in seconds is where to leave the first one behind.
bench.rounds=5       blocks into which that time is cut; two configurations alternate block by block
bench.warmup=3       seconds of training that do not count, three iterations at least
bench.against='...'  the second configuration: overrides on top of the first
bench.out=FILE       where the record goes, in place of <paths.runs>/.bench; null for none

Each configuration is measured in a process of its own, through the loops and callbacks of a real run; no cell's record
is touched. The ceiling is the fastest of several 3x3 convolutions on the same device, in the same precision and
layout, before and after the training blocks.
"""

from __future__ import annotations

import shlex
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from novelty.doors import door
from novelty.errors import NoveltyError, Stopped

if TYPE_CHECKING:
    from novelty.bench.measure import Raw
    from novelty.bench.options import Options


def _main() -> None:
    if {"-h", "--help"} & set(sys.argv[1:]):
        print(__doc__)
        return
    from rich.console import Console

    from novelty.bench import measure, options, show, summary, workers
    from novelty.bench.published import comparison

    overrides, chosen = options.parse(sys.argv[1:])
    sides = [("this configuration", overrides)]
    if chosen.against:
        sides = [("A", overrides), (f"B: {' '.join(chosen.against)}", options.second(overrides, chosen.against))]
    composed = [options.compose(own) for _, own in sides]
    console = Console(highlight=False)
    try:
        with Console(stderr=True).status("") as status:
            raws = measure.measure(sides, chosen, status.update)
    except KeyboardInterrupt as stop:
        raise Stopped(signal.SIGINT, "Interrupted: nothing was recorded.") from stop
    except workers.Failed as failed:
        path = _folder(composed[0].cfg) / "traceback.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(failed.traceback, encoding="utf-8")
        raise NoveltyError(f"{failed} (the traceback is in {path}).") from failed
    for raw, (name, own), (_, choices) in zip(raws, sides, composed, strict=True):
        raw |= {"name": name, "overrides": own, "hardware": choices["hardware"]}
    found = [summary.figures(raw) for raw in raws]
    ratios = summary.ratios(*raws) if len(raws) == 2 else None
    show.show(console, raws, found, ratios)
    for raw, figures in zip(raws, found, strict=True):
        for sentence in comparison(raw, figures):
            console.print(sentence if len(raws) == 1 else f"{raw['name']}. {sentence}", markup=False)
    written = _record(chosen, composed[0].cfg, raws, found, ratios)
    if written:
        console.print(f"Record: {written}", soft_wrap=True, markup=False)


def _folder(cfg: Any) -> Path:
    from novelty.report.bench import folder

    return folder(Path(cfg.paths.runs).expanduser())


def _record(chosen: Options, cfg: Any, raws: list[Raw], found: list[Any], ratios: dict[str, Any] | None) -> Path | None:
    """Write everything that was measured; None where no record is wanted."""
    from dataclasses import asdict

    from novelty.bench.arithmetic import COUNTED
    from novelty.report.bench import SCHEMA
    from novelty.results.environment import now
    from novelty.results.records import write_json

    if chosen.out is None:
        return None
    time = now()
    first = raws[0]["choices"]
    name = f"{time[:19].replace(':', '-')}_{first['method']}_{first['data']}_{'_vs_'.join(r['hardware'] for r in raws)}"
    path = Path(chosen.out) if chosen.out else _folder(cfg) / f"{name}.json"
    write_json(
        path,
        {
            "schema": SCHEMA,
            "time": time,
            "command": "python -m novelty.bench " + shlex.join(sys.argv[1:]),
            "options": {name: value for name, value in asdict(chosen).items() if name != "out"},
            "counted": COUNTED,
            "measured": [raw | {"figures": figures} for raw, figures in zip(raws, found, strict=True)],
            "ratios": ratios,
        },
    )
    return path


if __name__ == "__main__":
    door(_main)
