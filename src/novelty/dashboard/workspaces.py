"""A dashboard as W&B's own: a workspace for each table, a report for each paper. Nothing here talks to a server."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from novelty.dashboard.spec import ANY, Dashboard, Panel, Row, pattern

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # the library (0.4.13) declares validators in an old way
    import wandb_workspaces.reports.v2.interface as wr
    from wandb_workspaces.expr import And, Config, Metric, Or, Tags
    from wandb_workspaces.workspaces.interface import RunsetSettings, Section, Workspace, WorkspaceSettings

STEP = "trainer/global_step"
"""W&B's own step begins anew with every resumed part of a run."""

MOST_RUNS = 500
LINES = "wandb/line/v0"
"""The chart that a run's own ROC is logged with."""

WIDTH, HEIGHT = 12, 8
"""Of a panel in a report, whose page is 24 wide."""


@dataclass(frozen=True)
class Part:
    """A table in a report: its dashboard, printed beside ours (Markdown), and where its workspace is, once it is."""

    dashboard: Dashboard
    printed: str
    url: str = ""


def workspace(dashboard: Dashboard, project: str, entity: str = "") -> Workspace:
    """Runs of the table, grouped as it is printed, and its panels in sections."""
    columns = [f"config:{_inside(p)}" if p != "group" else "run:group" for p in dashboard.grouped]
    more = ["config:seed.value", "config:data_copy.value.copy", *(f"summary:{key}" for key in dashboard.values)]
    return Workspace(
        entity=entity,
        project=project,
        name=dashboard.table,
        sections=[
            Section(name=section.title, panels=[_panel(panel) for panel in section.panels], is_open=True)
            for section in dashboard.sections
        ],
        settings=WorkspaceSettings(x_axis=STEP, max_runs=MOST_RUNS),
        runset_settings=RunsetSettings(
            filters=_which(dashboard),
            groupby=[_named(place) for place in dashboard.grouped],
            pinned_columns=["run:displayName", *columns, *more],
        ),
    )


def report(title: str, about: str, parts: Sequence[Part], project: str, entity: str = "") -> wr.Report:
    """One page for a paper: of each table the print beside ours, then panels with a set of runs for each row."""
    return wr.Report(
        project=project,
        entity=entity,
        title=title[:128],
        description=about,
        width="fluid",
        blocks=[wr.P(about), wr.TableOfContents(), *(block for part in parts for block in _blocks(part))],
    )


def plain(made: Workspace | wr.Report) -> dict[str, Any]:
    """What W&B would be sent, as plain containers."""
    return dict(json.loads(made._to_model().model_dump_json(by_alias=True, exclude_none=True)))


def _blocks(part: Part) -> Iterator[Any]:
    board = part.dashboard
    yield wr.H2(board.table)
    yield wr.MarkdownBlock(part.printed)
    yield wr.P(["Its runs: ", wr.InlineCode(f"python -m novelty.run table={board.table} logger=wandb pictures=true")])
    if part.url:
        yield wr.P(["Workspace: ", wr.Link(board.table, part.url)])
    panels = [_panel(panel) for panel in board.panels()]
    for place, panel in enumerate(panels):
        panel.layout = wr.Layout(x=WIDTH * (place % 2), y=HEIGHT * (place // 2), w=WIDTH, h=HEIGHT)
    yield wr.PanelGrid(runsets=[_runset(board, row) for row in board.rows], panels=panels)


def _runset(board: Dashboard, row: Row) -> wr.Runset:
    """No project is named: it is the report's own."""
    return wr.Runset(name=row.name, filters=_which(board, row), groupby=list(board.by_column))


def _which(board: Dashboard, row: Row | None = None) -> And:
    """Runs of the table, or of one of its rows. ``in`` throughout: W&B's app does not read every ``==`` (its #34)."""
    asked: Any = Tags().isin([board.table])
    if board.runs:
        asked = Or(asked, Metric("ID").isin(list(board.runs)))
    conditions = [
        (Metric("Group") if place == "group" else Config(_inside(place))).isin(list(values))
        for place, values in (row.where if row else ())
    ]
    return And(asked, Config("budget.value.name").isin([board.budget]), *conditions)


def _inside(place: str) -> str:
    """``config.method.grid`` as W&B keeps it: below the ``value`` of what was logged at the top."""
    top, *rest = place.split(".")[1:]
    return ".".join([top, "value", *rest])


def _named(place: str) -> Metric | Config:
    """For grouping, where the library adds that ``value`` itself."""
    return Metric("Group") if place == "group" else Config(place.removeprefix("config."))


def _panel(panel: Panel) -> Any:
    title, keys = panel.title, list[Any](panel.keys)
    match panel.kind:
        case "bars":
            return wr.BarPlot(
                title=title, metrics=keys, orientation="v", groupby_aggfunc="mean", groupby_rangefunc="stddev"
            )
        case "overlay":
            return wr.CustomChart(
                query={"summaryTable": {"tableKey": keys[0]}},
                chart_name=LINES,
                chart_fields={"x": panel.x, "y": panel.y},
                chart_strings={"title": title},
            )
        case "media":
            return wr.MediaBrowser(title=title, media_keys=keys, num_columns=3)
        case "curves":
            if any(ANY in key for key in keys):
                found = "|".join(f"^{pattern(key)}$" for key in keys)
                return wr.LinePlot(title=title, x=STEP, metric_regex=found, max_runs_to_show=MOST_RUNS)
            return wr.LinePlot(title=title, x=STEP, y=keys, max_runs_to_show=MOST_RUNS)
