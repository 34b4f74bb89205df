"""The dashboard of a published table, from its file and the configuration of its cells; no run is needed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import yaml

from novelty.check import Node, build, check
from novelty.config import compose_cell, experiments_dir, key_of, open_overrides
from novelty.dashboard.spec import Dashboard, Panel, Row, Section
from novelty.errors import NoveltyError
from novelty.tables import Column, Table
from novelty.tables import Row as TableRow

Scores = Mapping[tuple[str, str], str]
"""(row, column) -> the score whose metric the table shows there."""

PICTURES = {
    "sheet": "Images and what the method makes of them",
    "extremes": "Lowest and highest scores",
    "ranking": "ROC and precision against recall",
    "histogram": "Scores of normal and novel images",
}
"""Of every run with ``pictures=true``."""

TRAINED = {"training": "Losses of a training and what was measured meanwhile"}
LOCATED = {"overlays": "Anomaly maps over marked defects"}

ROC = Panel(
    "ROC of the primary score", "overlay", ("curves/roc_table",), x="false positive rate", y="true positive rate"
)
COST = (
    Panel("Seconds of training", "bars", ("timings/train_seconds",)),
    Panel("Seconds of scoring", "bars", ("timings/score_seconds",)),
)


def dashboard_of(table: Table, budget: str = "full", runs: Sequence[str] = ()) -> Dashboard:
    """What is to be seen of ``table``; see `Dashboard` for ``budget`` and ``runs``.

    Raises NoveltyError for a table without rows of ours. Methods are built on the meta device: this imports torch.
    """
    if not table.rows:
        raise NoveltyError(f"{table.name} has no row that can be run here yet: name another table.")
    kinds = {_kind(column): column for column in reversed(table.columns)}  # the first column of each
    cells = {
        (row.name, kind): _cell(table, row, column, budget) for row in table.rows for kind, column in kinds.items()
    }
    methods = {place: _method(config) for place, (_, config) in cells.items()}
    signatures = {row.name: _signature([cells[row.name, kind] for kind in kinds]) for row in table.rows}
    scores = {
        (row.name, column.name): row.score or methods[row.name, _kind(column)].primary
        for row in table.rows
        for column in table.columns
    }
    by_row = _telling(_row_places(table, signatures), list(signatures.values()))
    return Dashboard(
        table=table.name,
        title=table.printed["title"],
        metric=table.metric,
        budget=budget,
        columns=tuple(column.name for column in table.columns),
        rows=tuple(_row(row.name, scores, signatures[row.name], by_row) for row in table.rows),
        by_row=by_row,
        by_column=_by_column(table.columns),
        runs=tuple(runs),
        sections=tuple(_sections(table, scores, list(methods.values()))),
    )


def paper_of(key: str) -> tuple[str, str]:
    """Title of the paper ``piad``, and a sentence on whose it is."""
    about = yaml.safe_load((experiments_dir() / "published" / f"{key}.yaml").read_text(encoding="utf-8"))["paper"]
    where = ", ".join(str(part) for part in (about["venue"], about["year"]) if part)
    said = (
        f"{', '.join(about['authors'])} ({where}). Printed numbers beside ours; below each table what its runs logged."
    )
    return about["title"], said


def _kind(column: Column) -> tuple[str, ...]:
    """The configs that a column chooses (``data=cifar10``, not ``protocol.normal=cat``): methods follow from them."""
    return tuple(override for override in column.members[0] if "." not in key_of(override))


def _cell(table: Table, row: TableRow, column: Column, budget: str) -> tuple[str, Node]:
    """The run group (method/data) and the complete configuration of one cell of a row and column."""
    typed = [*table.common, *row.overrides, *column.members[0], f"budget={budget}"]
    cfg, choices = compose_cell(open_overrides(typed))
    return f"{choices['method']}/{choices['data']}", check(cfg)


def _method(config: Node) -> Any:
    """The method, without memory for its parameters: its scores, and whether it trains, are known once it is built."""
    import torch

    from novelty.info import DataInfo

    data = config["data"]
    with torch.device("meta"):
        return build(config["method"], info=DataInfo(data["channels"], data["image_size"] or 32, train_size=1000))


def _signature(cells: Sequence[tuple[str, Node]]) -> dict[str, tuple[Any, ...]]:
    """Place -> the values that a row has there, over its columns."""
    found: dict[str, list[Any]] = {}
    for group, config in cells:
        for place, value in (("group", group), *_leaves("config.method", config["method"])):
            values = found.setdefault(place, [])
            if value not in values:
                values.append(value)
    return {place: tuple(values) for place, values in found.items()}


def _leaves(place: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _leaves(f"{place}.{name}", inner)
    else:
        yield place, value


def _row_places(table: Table, signatures: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Where rows may differ: the group, what their file sets, then what follows from that, short names first."""
    typed = [f"config.{key_of(override)}" for row in table.rows for override in row.overrides]
    places = {place for signature in signatures.values() for place in signature}
    known = [place for place in typed if place in places]
    return list(dict.fromkeys(["group", *known, *sorted(places, key=lambda place: (len(place), place))]))


def _by_column(columns: Sequence[Column]) -> tuple[str, ...]:
    """The places that tell columns apart: what their overrides set."""
    things: list[dict[str, tuple[Any, ...]]] = []
    for column in columns:
        typed: dict[str, list[str]] = {}
        for override in (o for member in column.members for o in member):
            key, value = key_of(override), override.split("=", 1)[1]
            typed.setdefault("group" if key == "data" else f"config.{key}", []).append(value)
        things.append({place: tuple(values) for place, values in typed.items()})
    return _telling(list(dict.fromkeys(place for thing in things for place in thing)), things)


def _telling(places: Sequence[str], things: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """The first of ``places`` by which all things are told apart that can be."""

    def kinds(chosen: Sequence[str]) -> int:
        return len({repr([thing.get(place) for place in chosen]) for thing in things})

    chosen: list[str] = []
    for place in places:
        if kinds([*chosen, place]) > kinds(chosen):
            chosen.append(place)
    return tuple(chosen)


def _row(name: str, scores: Scores, signature: Mapping[str, tuple[Any, ...]], by_row: Sequence[str]) -> Row:
    places = dict.fromkeys(["group", *by_row])
    where = tuple((place, signature[place]) for place in places if place in signature)
    return Row(name, tuple(dict.fromkeys(score for (row, _), score in scores.items() if row == name)), where)


def _sections(table: Table, scores: Scores, methods: Sequence[Any]) -> Iterator[Section]:
    from novelty.methods.base import Fitted

    trains = any(not isinstance(method.learner, Fitted) for method in methods)
    maps = any(method.maps for method in methods) and table.metric.startswith("pixel")
    yield Section("Results", tuple(_results(table, scores)))
    yield Section("ROC", (ROC,))
    if trains:
        yield Section("Training", (Panel("Losses", "curves", ("loss/*",)),))
    pictures = PICTURES | (TRAINED if trains else {}) | (LOCATED if maps else {})
    yield Section("Pictures", tuple(Panel(said, "media", (f"pictures/{name}",)) for name, said in pictures.items()))
    yield Section("Cost", COST)


def _results(table: Table, scores: Scores) -> Iterator[Panel]:
    """Bars of each score that the table shows; where it shows it in some columns only, these are named."""
    for score in dict.fromkeys(scores.values()):
        columns = dict.fromkeys(column for (_, column), own in scores.items() if own == score)
        where = "" if len(columns) == len(table.columns) else f" ({', '.join(columns)})"
        names = (f"test/{score}/{table.metric}", f"measured/{table.metric}")  # a run has it as the one or the other
        yield Panel(f"{table.metric} of {score}{where}", "bars", names)
