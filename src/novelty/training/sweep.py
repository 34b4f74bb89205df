"""From what was typed to cells, and from cells to what is left to do."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console
from rich.table import Table as Grid
from rich.text import Text

from novelty.config import Keep, compose_cell, key_of, open_overrides
from novelty.errors import NoveltyError
from novelty.hardware import Share
from novelty.results.locks import locked_at_once
from novelty.results.records import Record, read_all
from novelty.tables import Cell, Layout, load_figure, load_table
from novelty.training.plan import Sources, make_plan
from novelty.training.times import Expected, Times, in_words

KEEP_NONE = "keep=none"
KEEP_SHARED = f"keep={Keep.shared.value}"
NO_PICTURES = "pictures=false"
ORDER = ("cut", "failed", "missing", "running", "done", "impossible")


class NoCellError(NoveltyError):
    """Of all cells of a table, none has what was typed."""


@dataclass(frozen=True)
class PlannedCell:
    """A cell with what is known before it runs.

    state:  that of its record, or "impossible" with an ``error``.
    tables: the tables and figures that ask for it.
    expected: how long it will take, where cells of its kind have run.
    log: where what it prints goes, or went, if not to the terminal.
    settled: overrides for what was left open and was decided here; it must not be decided otherwise where it runs.
    """

    overrides: list[str]
    tables: tuple[str, ...]
    title: str
    state: str
    error: str = ""
    record: Record | None = None
    expected: Expected | None = None
    log: Path | None = None
    settled: tuple[str, ...] = ()


def expand(
    combinations: Sequence[Sequence[str]], seeds: int | None, keep: str = KEEP_NONE
) -> dict[tuple[str, ...], tuple[str, ...]]:
    """Overrides of single cells, without repetitions -> the tables and figures that ask for each.

    Of several tables, those that a key narrows to nothing give no cells; NoveltyError where that is all of them.

    seeds: at most so many per cell of a table or figure (budget).  keep: what these keep, where nothing is said.
    """
    cells: dict[tuple[str, ...], tuple[str, ...]] = {}
    empty: list[NoveltyError] = []
    for combination in combinations:
        layout = layout_of(combination)
        if layout is None:
            cells.setdefault(tuple(_own(combination)), ())
            continue
        try:
            found = asked(layout, combination, seeds, keep)
        except NoCellError as error:
            empty.append(error)
            continue
        for _, overrides in found:
            cells[overrides] = tuple(dict.fromkeys([*cells.get(overrides, ()), layout.name]))
    if empty and not cells:
        raise empty[0]
    return cells


def layout_of(typed: Sequence[str]) -> Layout | None:
    """The table, or the cells of the figure, that is named among what was typed."""
    named = dict(override.split("=", 1) for override in typed if override.startswith(("table=", "figure=")))
    if (table := named.get("table", "null")) not in ("null", ""):
        return load_table(table)
    if (figure := named.get("figure", "null")) not in ("null", ""):
        return load_figure(figure)
    return None


def _own(typed: Sequence[str]) -> list[str]:
    """What is said of each cell: all but the choice of table or figure, and how a figure is drawn."""
    return [o for o in typed if key_of(o).split(".")[0] not in ("table", "figure", "dry_run")]


def asked(
    layout: Layout, typed: Sequence[str], seeds: int | None, keep: str = KEEP_NONE
) -> list[tuple[Cell, tuple[str, ...]]]:
    """The cells that ``typed`` leaves of a table or figure, each with all of its overrides; none where no method of it
    is among ours.

    A key that the table sets narrows it, any other is added to each cell.
    """
    cells = [replace(cell, fixed=tuple(open_overrides(cell.fixed))) for cell in layout.cells()]
    first_seeds = {row.name: row.seeds[:seeds] for row in layout.rows}
    set_by_table = {key_of(o) for cell in cells for o in cell.overrides}
    narrowing = [o for o in _own(typed) if key_of(o) in set_by_table]
    added = [o for o in _own(typed) if key_of(o) not in set_by_table]
    if not any(key_of(o) == "seed" for o in narrowing):
        cells = [cell for cell in cells if cell.seed in first_seeds[cell.row]]
    for override in narrowing:
        kept = [cell for cell in cells if any(_same(override, o) for o in cell.overrides)]
        if not kept:
            values = dict.fromkeys(_value(o) for cell in cells for o in cell.overrides if key_of(o) == key_of(override))
            raise NoCellError(
                f"No cell of {layout.name} has {override.lstrip('+')}; "
                f"there {key_of(override)} is one of {', '.join(values)}."
            )
        cells = kept
    silent = [default for default in (keep, NO_PICTURES) if key_of(default) not in map(key_of, added)]
    added = [*silent, *added]
    return [(cell, (*cell.overrides, *added)) for cell in cells]


def _value(override: str) -> str:
    return override.split("=", 1)[1].strip("'\"")


def _same(one: str, other: str) -> bool:
    return key_of(one) == key_of(other) and _value(one) == _value(other)


def plan_all(
    cells: Mapping[tuple[str, ...], tuple[str, ...]], search_path: tuple[str, ...] = (), share: Share | None = None
) -> list[PlannedCell]:
    """State of every cell of `expand`, in the order in which they are to run; nothing is trained or written.

    Within a state the longest first, since a long cell that begins last keeps all other workers waiting; before them
    those of unknown length, which may be the longest, and whose first ones tell how long the others take.

    share: what the launcher will give each of them, where it gives out GPUs.
    """
    planned = []
    sources = Sources()
    times: dict[Path, Times] = {}
    for typed, tables in cells.items():
        overrides = list(typed)
        title = " ".join(o.lstrip("+") for o in overrides if o not in (KEEP_NONE, NO_PICTURES))
        try:
            cfg, choices = compose_cell(overrides, search_path)
            plan = make_plan(cfg, choices, sources, share)
            record, devices = plan.record, plan.config["hardware"]["devices"]
            settled = (f"hardware.devices={devices}",) if share and cfg.hardware.devices == -1 else ()
            kind = record.folder.parent
            if kind not in times:
                times[kind] = Times(read_all(record.runs, record.method, record.data))
            expected = times[kind].expected(plan, here=not (share and share.remote), elsewhere=True)
            log = record.log if plan.config["logger"]["log"] or record.log.is_file() else None
            planned.append(
                PlannedCell(overrides, tables, plan.title, record.state(), "", record, expected, log, settled)
            )
        except NoveltyError as error:
            planned.append(PlannedCell(overrides, tables, title, "impossible", str(error)))
    return sorted(planned, key=_place)


def _place(cell: PlannedCell) -> tuple[int, float]:
    left = _seconds(cell)
    return ORDER.index(cell.state), -math.inf if left is None else -left


def rounds(cells: Sequence[PlannedCell]) -> list[list[PlannedCell]]:
    """The cells in their order, of those that share a training one a round: two workers would train it twice as slowly,
    one of them waiting for the other's lock. The next round finds the weights."""
    found: list[list[PlannedCell]] = []
    handed: Counter[Path] = Counter()
    for cell in cells:
        assert cell.record is not None
        if handed[cell.record.folder] == len(found):
            found.append([])
        found[handed[cell.record.folder]].append(cell)
        handed[cell.record.folder] += 1
    return found


def submitted(cells: Sequence[PlannedCell]) -> list[list[str]]:
    """Overrides to run, with what was settled and the tables that ask for them; evaluations that share a training keep
    its weights until `tidy_shared`."""
    shared = set(map(id, _shared(cells)))
    found = []
    for cell in cells:
        overrides = [KEEP_SHARED if o == KEEP_NONE and id(cell) in shared else o for o in cell.overrides]
        tables = [f"logger.tables=[{','.join(cell.tables)}]"] if cell.tables else []
        found.append([*overrides, *cell.settled, *tables])
    return found


def tidy_shared(cells: Sequence[PlannedCell]) -> None:
    """The weights that were kept only for the next evaluation go, where all of them are done: those that this sweep
    kept, and those of an earlier one that was cut. Of what another process has in hand, nothing."""
    trainings: dict[Path, list[Record]] = {}
    for cell in _shared(cells):
        assert cell.record is not None
        trainings.setdefault(cell.record.folder, []).append(cell.record)
    for folder, records in trainings.items():
        wishes = records[0].wishes()
        if not all(record.result.is_file() for record in records) or Keep.shared.value not in wishes:
            continue
        with locked_at_once(folder) as held, suppress(OSError):
            if held:
                records[0].tidy("none")


def _shared(cells: Sequence[PlannedCell]) -> list[PlannedCell]:
    counts = Counter(cell.record.folder for cell in cells if cell.record)
    return [cell for cell in cells if cell.record and counts[cell.record.folder] > 1 and KEEP_NONE in cell.overrides]


def report_plans(planned: Sequence[PlannedCell], detailed: bool) -> None:
    """One line of counts, and how long the rest will take; with ``detailed`` one line a cell."""
    console = Console(highlight=False)
    counts = Counter(cell.state for cell in planned)
    seconds = _seconds_left(planned)
    if detailed:
        _list(planned, seconds, console)
    states = ", ".join(f"{counts[state]} {state}" for state in ORDER if counts[state])
    known = [left for left in seconds if left]
    unknown = sum(left is None for left in seconds)
    learnt = dict.fromkeys(cell.expected.hardware for cell in planned if cell.expected and _seconds(cell))
    learnt_on = " and ".join(filter(None, learnt))
    rest = f" About {in_words(sum(known))} of work{f' on {learnt_on}' if learnt_on else ''} are left" if known else ""
    rest += f", and {unknown} cells whose like never ran here" if known and unknown else ""
    if planned:
        console.print(f"{len(planned)} cells: {states}.{rest}{'.' if rest else ''}", markup=False)
    else:
        console.print("No cells: no method of this table is among those here; novelty.report shows what was printed.")


def _list(planned: Sequence[PlannedCell], seconds: Sequence[float | None], console: Console) -> None:
    """A line a cell, each reason against any of them once; paths of logs in one piece, however narrow the terminal."""
    grid = Grid(box=None, pad_edge=False)
    longest = max((len(str(cell.log)) for cell in planned if cell.log), default=0)
    for heading in ("state", "cell", "takes about"):
        grid.add_column(heading)
    if longest:
        grid.add_column("log", no_wrap=True, min_width=longest)
    reasons = list(dict.fromkeys(cell.error for cell in planned if cell.error))
    for cell, left in zip(planned, seconds, strict=True):
        takes = "" if cell.state == "done" else "unknown" if left is None else in_words(left)
        takes = f"see ({reasons.index(cell.error) + 1})" if cell.error else takes
        grid.add_row(*map(Text, (cell.state, cell.title, takes, *([str(cell.log or "")] if longest else []))))
    Console(highlight=False, width=console.width + longest).print(grid, soft_wrap=True)
    for number, reason in enumerate(reasons, 1):
        console.print(f"({number}) {reason}", markup=False)
    if not longest:
        console.print("Cells print to this terminal; logger.log=true keeps it in log.txt beside each record.")


def _seconds_left(planned: Sequence[PlannedCell]) -> list[float | None]:
    """Of each cell, at most; 0 of what is done and None where nothing is known. A training that cells share counts
    for the first of them."""
    found: list[float | None] = []
    trained = set()
    for cell in planned:
        folder = cell.record.folder if cell.record else None
        found.append(_seconds(cell, folder in trained))
        if found[-1]:
            trained.add(folder)
    return found


def _seconds(cell: PlannedCell, trained: bool = False) -> float | None:
    """What is left of a cell, at most; 0 where it is done or cannot be, None where nothing is known."""
    if cell.record is None or cell.state == "done":
        return 0.0
    if cell.expected is None:
        return None
    return cell.expected.score + (0 if trained or cell.record.weights.is_file() else cell.expected.train)
