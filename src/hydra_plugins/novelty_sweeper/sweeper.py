"""Sweeps that resume: tables become cells, done cells are dropped, the rest goes to whatever launcher was chosen."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import JobReturn, JobStatus

from novelty.errors import NoveltyError


@dataclass
class NoveltySweeperConf:
    """max_batch_size: cells handed to the launcher at once (None: all)."""

    _target_: str = "hydra_plugins.novelty_sweeper.sweeper.NoveltySweeper"
    max_batch_size: int | None = None


ConfigStore.instance().store(group="hydra/sweeper", name="novelty", node=NoveltySweeperConf, provider="novelty")


class NoveltySweeper(BasicSweeper):
    """Expands `table=...`, `figure=...` and Hydra's own sweeps, plans every cell before any is submitted, and runs what
    is missing; then draws the figure, if it is for one.

    Order: cut cells first, then failed and missing ones, last those that another process is working on.
    Exits with an error that lists the failures once everything else has run.
    """

    def __init__(self, max_batch_size: int | None = None) -> None:
        super().__init__(max_batch_size)

    def sweep(self, arguments: list[str]) -> list[JobReturn]:
        from novelty.training.figure import figure_session
        from novelty.training.sweep import KEEP_NONE, expand, plan_all, report_plans, submitted, tidy_shared

        assert self.config is not None
        assert self.hydra_context is not None
        assert self.launcher is not None
        parser = OverridesParser.create(config_loader=self.hydra_context.config_loader)
        combinations = self.split_arguments(parser.parse_overrides(arguments), None)[0]
        known = ("hydra", "main", "novelty", "schema")
        sources = self.config.hydra.runtime.config_sources
        search_path = tuple(f"{s.schema}://{s.path}" for s in sources if s.provider not in known)
        figure = figure_session(self.config, combinations, search_path)
        planned = plan_all(
            expand(combinations, self.config.budget.seeds, figure.keep if figure else KEEP_NONE), search_path
        )
        report_plans(planned, detailed=self.config.dry_run)
        if self.config.dry_run:
            if figure:
                figure.announce(planned)
            return []
        waiting = [cell for cell in planned if cell.state not in ("done", "impossible")]
        returns: list[JobReturn] = []
        if waiting:
            Path(str(self.config.hydra.sweep.dir)).mkdir(parents=True, exist_ok=True)
            for batch in self.split_overrides_to_chunks(submitted(waiting), self.max_batch_size):
                returns += self.launcher.launch(batch, initial_job_idx=len(returns))
            tidy_shared(waiting)
        failures = [f"{cell.title} ({cell.error})" for cell in planned if cell.state == "impossible"]
        failures += [
            f"{cell.title} ({_reason(result)})"
            for cell, result in zip(waiting, returns, strict=True)
            if result.status != JobStatus.COMPLETED
        ]
        if figure and any(cell.record and cell.record.state() == "done" for cell in planned):
            try:
                figure.draw(planned)
            except NoveltyError as error:
                if not failures:
                    raise
                failures.append(f"the drawing ({error})")
        if failures:
            raise NoveltyError(
                f"{len(failures)} of {len(planned)} cells failed, the others are done; "
                "the same command tries these again: " + "; ".join(failures)
            )
        return returns


def _reason(result: JobReturn) -> Any:
    error = result._return_value
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0]}" if text and not isinstance(error, NoveltyError) else error
