"""The order of a bench: which process does what, and when."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

from novelty.bench.options import Options
from novelty.bench.workers import Worker

Raw = dict[str, Any]
"""Everything that one configuration answered."""

SPLIT, FEED, SCORE_WARMUP = 0.25, 0.1, 0.1
"""Shares of ``seconds`` for the parts of the step, for the data alone, and for batches scored before it counts."""
MINIMUM_WARMUP, COUNTED_STEPS = 3, 3
SETTLE = 0.1
"""Seconds between two blocks: threads of the process that stops spin a little before they sleep."""


def measure(sides: Sequence[tuple[str, list[str]]], options: Options, tell: Callable[[str], None]) -> list[Raw]:
    """Raw measurements of one or two configurations, (name, overrides) each, block against block.

    tell: hears what is going on.  Raises NoveltyError for what a configuration gets wrong; no process is left behind.
    """
    with ExitStack() as stack:
        workers = [stack.enter_context(Worker(name, overrides)) for name, overrides in sides]
        tell("starting: imports, images, weights")
        found: list[Raw] = [worker.open() for worker in workers]
        both = list(zip(workers, found, strict=True))
        _train([(worker, raw) for worker, raw in both if raw["trains"]], options, tell)
        for worker, raw in both:
            tell(f"{worker.name}: data alone, calibrating")
            raw["feed"] = worker.ask("feed", seconds=options.seconds * FEED)
            raw |= worker.ask("finish")
            worker.receive()  # the scoring loop is ready
        _score(both, options, tell)
        for worker, _ in both:
            worker.ask("finish")
        return found


def _train(both: Sequence[tuple[Worker, Raw]], options: Options, tell: Callable[[str], None]) -> None:
    """Warm-up, FLOP, ceiling, blocks in alternation, ceiling again, parts."""
    for worker, raw in both:
        tell(f"{worker.name}: warming up")
        raw["warmup"] = worker.ask("time", seconds=options.warmup, minimum=MINIMUM_WARMUP)
        raw["flop"] = worker.ask("count", steps=COUNTED_STEPS)
    for worker, raw in both:
        tell(f"{worker.name}: ceiling")
        raw["ceiling"] = [worker.ask("ceiling")]
        raw["train"] = []
    _alternate("train", both, options, tell)
    for worker, raw in both:
        tell(f"{worker.name}: ceiling, parts of the step")
        raw["ceiling"].append(worker.ask("ceiling"))
        raw["parts"] = worker.ask("divide", seconds=options.seconds * SPLIT)


def _score(both: Sequence[tuple[Worker, Raw]], options: Options, tell: Callable[[str], None]) -> None:
    for worker, raw in both:
        tell(f"{worker.name}: warming up to score")
        worker.ask("time", seconds=options.seconds * SCORE_WARMUP)
        raw["score_flop"] = worker.ask("count", steps=1)
        raw["score"] = []
    _alternate("score", both, options, tell)


def _alternate(what: str, both: Sequence[tuple[Worker, Raw]], options: Options, tell: Callable[[str], None]) -> None:
    for number in range(options.rounds):
        for worker, raw in both:
            time.sleep(SETTLE)
            tell(f"{worker.name}: {what}, round {number + 1} of {options.rounds}")
            raw[what].append(worker.ask("time", seconds=options.seconds / options.rounds))
