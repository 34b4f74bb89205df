"""Sweeps that resume: tables become cells, done cells are dropped, the rest goes to whatever launcher was chosen."""

from collections.abc import Sequence
from concurrent.futures import BrokenExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import JobReturn, JobStatus

from novelty.errors import NoveltyError

if TYPE_CHECKING:
    from novelty.hardware import Share
    from novelty.training.sweep import PlannedCell

    Outcome = tuple[PlannedCell, JobReturn]


NAMED = 3
"""Cells that are named where several failed for one reason."""


@dataclass
class NoveltySweeperConf:
    """max_batch_size: cells handed to the launcher at once (None: all)."""

    _target_: str = "hydra_plugins.novelty_sweeper.sweeper.NoveltySweeper"
    max_batch_size: int | None = None


ConfigStore.instance().store(group="hydra/sweeper", name="novelty", node=NoveltySweeperConf, provider="novelty")


class NoveltySweeper(BasicSweeper):
    """Expands `table=...`, `figure=...` and Hydra's own sweeps, plans every cell before any is submitted, and runs what
    is missing; then draws the figure, if it is for one.

    Order: cut cells first, then failed and missing ones, last those that another process is working on; within each the
    longest first. Cells that share a training are handed over one after the other. To a cluster those in hand elsewhere
    are not handed over: each would hold a GPU while it waits.
    Exits with an error that lists the failures once everything else has run.
    """

    def __init__(self, max_batch_size: int | None = None) -> None:
        super().__init__(max_batch_size)
        if max_batch_size is not None and max_batch_size < 1:
            raise NoveltyError(
                f"hydra.sweeper.max_batch_size={max_batch_size} would run nothing: allow 1 at least, or null for all."
            )

    def sweep(self, arguments: list[str]) -> list[JobReturn]:
        from novelty.training.figure import figure_session
        from novelty.training.sweep import KEEP_NONE, expand, plan_all, report_plans, tidy_shared

        assert self.config is not None
        assert self.hydra_context is not None
        assert self.launcher is not None
        parser = OverridesParser.create(config_loader=self.hydra_context.config_loader)
        combinations = self.split_arguments(parser.parse_overrides(arguments), None)[0]
        known = ("hydra", "main", "novelty", "schema")
        sources = self.config.hydra.runtime.config_sources
        search_path = tuple(f"{s.schema}://{s.path}" for s in sources if s.provider not in known)
        figure = figure_session(self.config, combinations, search_path)
        share: Share | None = getattr(self.launcher, "share", None)
        cells = expand(combinations, self.config.budget.seeds, figure.keep if figure else KEEP_NONE)
        planned = plan_all(cells, search_path, share)
        report_plans(planned, detailed=self.config.dry_run)
        running = sum(cell.state == "running" for cell in planned) if share and share.remote else 0
        if running:
            print(
                f"{running} in hand elsewhere are left out, as each would hold a GPU and wait; the same command, given "
                "later, sees to them.",
                flush=True,
            )
        if self.config.dry_run:
            if figure:
                figure.announce(planned)
            return []
        left_out = ("done", "impossible", *(["running"] if running else []))
        waiting = [cell for cell in planned if cell.state not in left_out]
        returns: list[Outcome] = []
        try:
            if waiting:
                Path(str(self.config.hydra.sweep.dir)).mkdir(parents=True, exist_ok=True)
                returns = self._launched(waiting)
        finally:
            tidy_shared(planned)
        failures = [(cell.title, cell.error) for cell in planned if cell.state == "impossible"]
        failures += [
            (cell.title, str(_reason(result))) for cell, result in returns if result.status != JobStatus.COMPLETED
        ]
        if figure and any(cell.record and cell.record.state() == "done" for cell in planned):
            try:
                figure.draw(planned)
            except NoveltyError as error:
                if not failures:
                    raise
                failures.append(("the drawing", str(error)))
        if failures:
            others = f"the others are done but for {running} in hand elsewhere" if running else "the others are done"
            raise NoveltyError(
                f"{len(failures)} of {len(planned)} cells failed, {others}; the same command tries these again: "
                + _in_words(failures)
            )
        return [result for _, result in returns]

    def _launched(self, waiting: list["PlannedCell"]) -> list["Outcome"]:
        """The cells with what became of them, after all of them were handed over in rounds and batches."""
        from novelty.training.orphans import launching
        from novelty.training.sweep import rounds, submitted

        assert self.launcher is not None
        overrides = dict(zip(map(id, waiting), submitted(waiting), strict=True))
        returns: list[Outcome] = []
        for round in rounds(waiting):
            size = self.max_batch_size or len(round)
            for start in range(0, len(round), size):
                cells = round[start : start + size]
                try:
                    with launching():
                        results = self.launcher.launch([overrides[id(cell)] for cell in cells], len(returns))
                except BrokenExecutor as error:
                    done = sum(cell.record is not None and cell.record.state() == "done" for cell in waiting)
                    raise NoveltyError(
                        "A worker was killed, as for lack of memory (then allow fewer at once), and the others ended "
                        f"with it; {done} of {len(waiting)} cells are done, the same command goes on with the rest."
                    ) from error
                returns += zip(cells, results, strict=True)
        return returns


def _in_words(failures: Sequence[tuple[str, str]]) -> str:
    """What failed and why, each reason once."""
    by: dict[str, list[str]] = {}
    for title, reason in failures:
        by.setdefault(reason, []).append(title)
    return "; ".join(
        f"{', '.join(titles[:NAMED])}{f' and {len(titles) - NAMED} more' if len(titles) > NAMED else ''} ({reason})"
        for reason, titles in by.items()
    )


def _reason(result: JobReturn) -> Any:
    error = result._return_value
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0]}" if text and not isinstance(error, NoveltyError) else error
