"""Which records fill which cell of a table: by configuration, without importing a single method."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from textwrap import shorten
from typing import Any, cast

from omegaconf import DictConfig, ListConfig, OmegaConf

from novelty.config import Composed, assign, chooses, compose_cell, key_of, open_overrides
from novelty.tables import Cell, Table

Record = dict[str, Any]
Node = dict[str, Any]
Filled = dict[tuple[str, str], "dict[Conditions, list[tuple[Cell, Record]]]"]
"""(row, column) -> conditions -> records with their cells."""

PLACES = ("download", "folder", "path", "skip_broken")
"""Options of sources that say where images lie; what they are is the digest of their content."""


@dataclass(frozen=True)
class Conditions:
    """What records must share before their numbers are pooled.

    contents: which content of their images, where records of a table have several of one data set: 0 is the newest.
              A table's columns may be several data sets (categories of MVTec AD): each counts its own.
    """

    budget: str
    scale: float
    max_train: int | None
    max_test: int | None
    copy: str
    contents: int
    precision: str
    processes: int
    versions: tuple[tuple[str, int], ...]
    weights: tuple[tuple[str, str], ...]
    provenance: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, record: Record, contents: int = 0) -> Conditions:
        """The conditions of a record."""
        budget = record["config"]["budget"]
        return cls(
            budget=budget["name"],
            scale=budget["scale"],
            max_train=budget["max_train"],
            max_test=budget["max_test"],
            copy=record["data"]["copy"],
            contents=contents,
            precision=_precision(record["config"]["hardware"]),
            processes=record["processes"],
            versions=tuple(sorted(record["versions"].items())),
            weights=tuple(sorted(record["weights"].items())),
            provenance=tuple(sorted(record["provenance"].items())),
        )

    @property
    def published_length(self) -> bool:
        """Whether nothing was shortened: neither the training nor the sets of images."""
        return self.scale == 1 and self.max_train is None and self.max_test is None

    @property
    def length(self) -> str:
        """The budget in words."""
        capped = [f"{n} {what} images" for n, what in ((self.max_train, "training"), (self.max_test, "test")) if n]
        cut = [] if self.scale == 1 else [f"{self.scale:g} of the length"]
        return self.budget + (f" ({', '.join([*cut, *capped])})" if cut or capped else "")

    def describe(self, others: Iterable[Conditions] = ()) -> str:
        """In words, for the line of a table; what tells them from ``others`` of the same row is said as well."""
        extra = [value for name, value in self.provenance if name == "backbone"]
        precision = [] if self.precision == "32-true" else [self.precision]
        shared = [f"{self.processes} processes"] if self.processes > 1 else []
        parts = [f"budget {self.length}", f"data {self.copy}", *extra, *precision, *shared]
        return "; ".join([*parts, *self._against([other for other in others if other != self])])

    def _against(self, others: Sequence[Conditions]) -> Iterator[str]:
        """What is not said of every line, but is another here."""
        for part, naming in (("versions", "{} version {}"), ("weights", "{}: {}"), ("provenance", "{}: {}")):
            mine = dict(getattr(self, part))
            theirs = [dict(getattr(other, part)) for other in others]
            for name, value in mine.items():
                if name != "backbone" and any(other.get(name) != value for other in theirs):
                    yield naming.format(name, shorten(str(value), 40, placeholder=" ..."))
        if any(other.contents != self.contents for other in others):
            yield f"older copy {self.contents} of the images" if self.contents else "newest copy of the images"


def _precision(hardware: Node) -> str:
    """Of training and, where that is another one than usual, of scoring."""
    scored = hardware.get("score_precision", "32-true")
    return str(hardware["precision"]) + ("" if scored == "32-true" else f", scored in {scored}")


def matches(table: Table, records: Iterable[Record]) -> Iterator[tuple[Cell, Record]]:
    """Every record (or failure) that is a run of a cell of ``table``, with that cell."""
    index: dict[tuple, list[Record]] = defaultdict(list)
    for record in records:
        choices = record["choices"]
        normal = _names(record["config"]["protocol"].get("normal"))
        index[choices["method"], choices["data"], record["seed"], normal].append(record)
    there = {(method, data, seed) for method, data, seed, _ in index}
    composed: dict[tuple[str, ...], Composed] = {}
    for cell in table.cells():
        if not _may_match(cell, there):
            continue
        overrides = open_overrides(cell.overrides)
        plain = [o for o in overrides if not chooses(o) and "{" not in o]
        # Cells that set the same keys are composed once, and set anew: composing was most of a report's time.
        kind = tuple(key_of(o) if o in plain else o for o in overrides)
        if kind not in composed:
            composed[kind] = compose_cell(overrides)
        cfg, choices = composed[kind]
        assign(cfg, plain)
        normal = _names(cfg.protocol.get("normal"))
        expected: dict[str, Node] = {}  # by budget: resolving a configuration takes its time
        for record in index[choices["method"], choices["data"], cell.seed, normal]:
            budget = record["config"]["budget"]
            if (known := repr(sorted(budget.items()))) not in expected:
                expected[known] = _expected(cfg, budget)
            if _is(record, expected[known]):
                yield cell, record


def _may_match(cell: Cell, there: set[tuple[str, str, int]]) -> bool:
    """Whether there is a record at all of the method, data and seed that are typed: composing a cell takes its time."""
    typed = dict(override.split("=", 1) for override in cell.overrides if override.startswith(("method=", "data=")))
    return any(
        seed == cell.seed and typed.get("method", method) == method and typed.get("data", data) == data
        for method, data, seed in there
    )


def fill(table: Table, records: Iterable[Record]) -> Filled:
    """The records that fill each cell of ``table``, apart by conditions, one per cell (the newest where several do)."""
    matched = list(matches(table, records))
    known: dict[tuple[str, ...], dict[str, tuple[str, str]]] = defaultdict(dict)
    for cell, record in matched:
        times = known[_images(cell)]
        digest = record["data"]["digest"]
        times[digest] = max(times.get(digest, made(record)), made(record))
    order = {images: sorted(times, key=lambda d: times[d], reverse=True) for images, times in known.items()}
    found: dict[tuple[str, str], dict[Conditions, dict[Cell, Record]]] = defaultdict(lambda: defaultdict(dict))
    for cell, record in matched:
        contents = order[_images(cell)].index(record["data"]["digest"])
        place = found[cell.row, cell.column][Conditions.of(record, contents)]
        place[cell] = max(place.get(cell, record), record, key=made)
    return {key: {conditions: list(cells.items()) for conditions, cells in by.items()} for key, by in found.items()}


def made(record: Record) -> tuple[str, str]:
    """When a record was trained and evaluated: later is newer."""
    return record["environment"]["time"], record["evaluated"]


def _images(cell: Cell) -> tuple[str, ...]:
    """What a cell says of its images (data set, category): contents are several only of what is called the same."""
    return tuple(o for o in cell.overrides if key_of(o) == "data" or key_of(o).startswith("data.source"))


def failures(table: Table, records: Iterable[Record]) -> dict[tuple[str, str], str]:
    """(row, column) -> why its last try failed."""
    return {(cell.row, cell.column): record["failure"] for cell, record in matches(table, records)}


def _expected(cfg: DictConfig, budget: Node) -> Node:
    """The composed cell as plain containers, its lengths those of ``budget``; keys that a budget had once are none."""
    for name, value in budget.items():
        if name in cfg.budget:
            OmegaConf.update(cfg, f"budget.{name}", value)
    nodes = ("method", "protocol", "evaluation", "data")
    return {name: cast(Node, OmegaConf.to_container(cfg[name], resolve=True)) for name in nodes}


def _names(normal: Any) -> tuple[str, ...]:
    return tuple(str(name) for name in normal) if isinstance(normal, (list, ListConfig)) else (str(normal),)


def _is(record: Record, expected: Node) -> bool:
    config, defaults = record["config"], record["defaults"]
    if any(config["data"][name] != expected["data"][name] for name in ("image_size", "channels")):
        return False
    wanted, source = expected["data"]["source"], config["data"]["source"]
    if any(source.get(name) != value for name, value in wanted.items() if name not in PLACES):
        return False
    expanded, used = expected["data"].get("augment"), config["data"].get("augment")
    if (expanded is None) != (used is None):
        return False
    if used is not None and not _node_is(used, expanded, defaults["augment"], set()):
        return False
    free = {"method": set(record["weights"]), "protocol": {"normal"}, "evaluation": set()}
    return all(_node_is(config[name], expected[name], defaults[name], free[name]) for name in free)


def _node_is(bound: Node, node: Node, defaults: Node, free: set[str]) -> bool:
    """Whether ``bound`` is what ``node`` becomes once ``defaults`` fill it.

    ``free`` arguments ("weights", "autoencoder.weights") may differ: the normal classes are compared by name before,
    and weight files are conditions of a record, not its cell.
    """
    if bound["_target_"] != node["_target_"] or not node.keys() <= bound.keys():
        return False
    for name, value in bound.items():
        wanted = node.get(name, defaults.get(name))
        if isinstance(value, dict) and isinstance(wanted, dict) and "_target_" in value:
            inner = {other.removeprefix(f"{name}.") for other in free if other.startswith(f"{name}.")}
            if not _node_is(value, wanted, defaults.get(name) or {}, inner):
                return False
        elif value != wanted and name not in free:
            return False
    return True
