"""Records of `python -m novelty.bench`, where they lie and as a list."""

from __future__ import annotations

import csv
import fnmatch
import io
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table as Grid
from rich.text import Text

from novelty.errors import NoveltyError

SCHEMA = 1
"""Version of the layout of a bench's record."""

HEADER = [
    "method",
    "data",
    "hardware",
    "configuration",
    "s/iteration",
    "scored/s",
    "memory",
    "of ceiling",
    "commit",
    "date",
]


def folder(runs: Path) -> Path:
    """Where a bench leaves its records: below the runs, out of the way of theirs."""
    return runs / ".bench"


def show(console: Console, runs: Path, pattern: str, form: str) -> None:
    """List the records that ``pattern`` stands for, as terminal, markdown or csv."""
    records = list(read_all(runs))
    lines, said = rows(records, pattern), notes(records)
    if form == "terminal":
        to_terminal(console, lines, said)
    else:
        print(to_text(lines, said, form))


def read_all(runs: Path) -> Iterable[dict[str, Any]]:
    """Every record, oldest first, with its ``"path"``; of an unreadable one only path and ``"error"`` come."""
    for path in sorted(folder(runs).glob("*.json")):
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
            if not isinstance(record, dict) or record.get("schema") != SCHEMA:
                raise ValueError(f"not of layout {SCHEMA}")
        except (OSError, ValueError) as error:
            yield {"path": str(path), "error": str(error)}
        else:
            yield {**record, "path": str(path)}


def rows(records: Iterable[dict[str, Any]], pattern: str) -> list[list[str]]:
    """Header and a line for each configuration whose ``method/data`` a name, a glob or ``all`` stands for.

    Raises NoveltyError where there is none.
    """
    sides = [(record, side) for record in records if "error" not in record for side in record["measured"]]
    known = sorted({_name(side) for _, side in sides})
    found = [(r, s) for r, s in sides if pattern == "all" or fnmatch.fnmatch(_name(s), pattern)]
    if not found:
        raise NoveltyError(
            f"No record of a bench is called {pattern}. Known: {', '.join(known) or 'none'}; globs and 'all' work; "
            "python -m novelty.bench method=... data=... makes one."
        )
    found.sort(key=lambda pair: (_name(pair[1]), pair[0]["time"]))
    return [HEADER, *(_line(record, side) for record, side in found)]


def _name(side: dict[str, Any]) -> str:
    return f"{side['choices']['method']}/{side['choices']['data']}"


def _line(record: dict[str, Any], side: dict[str, Any]) -> list[str]:
    figures, choices = side["figures"], side["choices"]
    train, peak = figures["train"], figures["peak_memory"]
    memory = peak["process"] if peak["gpu"] is None else peak["gpu"]
    shown = [o for o in side["overrides"] if o.split("=")[0] not in ("method", "data", "hardware")]
    return [
        choices["method"],
        choices["data"],
        f"{side['hardware']}: {side['environment']['hardware']}",
        " ".join(shown),
        f"{train['seconds']:.4g}" if train else "nothing to train",
        f"{figures['score']['images_per_second']:,.0f}",
        f"{memory / 1e9:.2f} GB" + ("" if peak["gpu"] is None else " GPU"),
        f"{train['share_of_ceiling']:.1%}" if train else "",
        side["environment"]["commit"] or "",
        record["time"][:16].replace("T", " "),
    ]


def notes(records: Iterable[dict[str, Any]]) -> list[str]:
    """What has to be said below the list."""
    return [f"Left out, unreadable: {r['path']} ({r['error']})." for r in records if "error" in r]


def to_terminal(console: Console, lines: Sequence[Sequence[str]], said: Sequence[str]) -> None:
    """The list; wider than the terminal rather than cut."""
    grid = Grid(box=None, pad_edge=False)
    for heading in lines[0]:
        grid.add_column(heading, justify="right" if heading in HEADER[4:8] else "left", no_wrap=True)
    for line in lines[1:]:
        grid.add_row(*(Text(cell) for cell in line))
    width = max(console.width, Console(width=1000).measure(grid).maximum)
    Console(file=console.file, highlight=False, width=width).print(grid)
    for note in said:
        console.print(Text(note, style="dim"), soft_wrap=True)


def to_text(lines: Sequence[Sequence[str]], said: Sequence[str], form: str) -> str:
    """GitHub-flavoured Markdown, or CSV."""
    if form == "csv":
        buffer = io.StringIO()
        csv.writer(buffer).writerows(lines)
        return buffer.getvalue()
    header, *body = [[cell.replace("|", "\\|") for cell in line] for line in lines]
    table = [header, ["---"] * len(header), *body]
    return "\n".join([*("| " + " | ".join(line) + " |" for line in table), "", *said]) + "\n"
