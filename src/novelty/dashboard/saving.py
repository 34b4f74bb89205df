"""Workspaces and reports sent to W&B, where a key is there; within a time, and never with a question."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from novelty.dashboard.workspaces import Part, report, workspace
from novelty.errors import NoveltyError, first_line
from novelty.results.records import write_json

SECONDS = 60.0
"""That one workspace or report may take."""

T = TypeVar("T")

NAMES = ("_internal_name", "_internal_id", "id")
"""What W&B calls a saved workspace (the first two) or report: saved again under these, it is replaced."""


@dataclass(frozen=True)
class Paper:
    """A report to be: its name, its heading, what is said below that, and its tables."""

    key: str
    title: str
    about: str
    parts: tuple[Part, ...]


def save(papers: Sequence[Paper], out: Path, project: str, entity: str) -> Iterator[str]:
    """Workspaces and reports saved one after the other; yields where each lies. Raises NoveltyError as `within`.

    What each is called from then on is kept in a saved.json below ``out``, for the next time.
    """
    owner = entity or within(_default_entity)
    for paper in papers:
        parts = []
        for part in paper.parts:
            made = workspace(part.dashboard, project, owner)
            url = within(partial(_saved, made, out / part.dashboard.table / "saved.json"))
            parts.append(replace(part, url=url))
            yield url
        page = report(paper.title, paper.about, parts, project, owner)
        yield within(partial(_saved, page, out / paper.key / "saved.json"))


def _saved(made: Any, note: Path) -> str:
    home = {"entity": made.entity, "project": made.project}
    for name, value in _known(note, home).items():
        setattr(made, name, value)
    made.save()
    names = {name: getattr(made, name) for name in NAMES if hasattr(made, name)}
    write_json(note, {"home": home, "names": names})
    return str(made.url)


def _known(note: Path, home: dict[str, str]) -> dict[str, str]:
    """What it was called when it was last saved in this project; empty where it was not."""
    if not note.is_file():
        return {}
    try:
        said = json.loads(note.read_text(encoding="utf-8"))
        return (
            {name: str(said["names"][name]) for name in NAMES if name in said["names"]} if said["home"] == home else {}
        )
    except (ValueError, KeyError, TypeError) as error:
        raise NoveltyError(f"{note} is damaged: remove it, and a workspace or report is made anew.") from error


def within(call: Callable[[], T], seconds: float | None = None) -> T:
    """``call()``; NoveltyError where it fails, or has not answered in time (`SECONDS`): it is then left behind."""
    limit = SECONDS if seconds is None else seconds
    done: list[T] = []
    failed: list[BaseException] = []

    def run() -> None:
        try:
            done.append(call())
        except (Exception, SystemExit) as error:  # W&B and its transport raise many kinds; all mean: not saved
            failed.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(limit)
    if done:
        return done[0]
    if failed and isinstance(failed[0], NoveltyError):
        raise failed[0]
    why = first_line(failed[0]) if failed else f"no answer within {limit:g} s"
    raise NoveltyError(
        f"W&B did not take the dashboards ({why}): look at WANDB_API_KEY (or wandb login), WANDB_BASE_URL and entity=, "
        "remove the saved.json of what was deleted there, or set WANDB_MODE=offline; the files are written."
    )


def _default_entity() -> str:
    """Whose projects W&B means where nobody is named."""
    import wandb

    return str(wandb.Api(timeout=20).default_entity or "")
