"""`list`: every data set in one table."""

from __future__ import annotations

from collections.abc import Sequence

from novelty.data.verbs.asked import asked, data_sets
from novelty.data.verbs.counts import number
from novelty.data.verbs.shown import few, grid
from novelty.data.verbs.standing import Standing, said_of, stand
from novelty.errors import NoveltyError

HEADINGS = ("data", "here", "images", "copy", "classes", "licence")


def main(typed: Sequence[str]) -> None:
    """Print what is here of each data set."""
    for argument in typed:
        if not argument.startswith(("paths.data=", "paths.cache=")):
            raise NoveltyError(
                f"{argument}: list shows every data set and takes paths.data=... and paths.cache=... alone; "
                "info data=NAME shows one."
            )
    root = asked("list", ["data=digits", *typed]).root
    grid([HEADINGS, *(_line(name, typed) for name in data_sets())], right=("images",))
    print(
        f"Looked in {root} (paths.data, NOVELTY_DATA). More of one: info data=NAME; what a copy is: verify data=NAME."
    )


def _line(name: str, typed: Sequence[str]) -> list[str]:
    """What is known of a data set; no fault of one may keep the others from being shown."""
    try:
        standing = stand(asked("list", [f"data={name}", *typed]))
        return [name, standing.state, _images(standing), standing.copy, _classes(standing), said_of(name).licence]
    except Exception as error:
        return [name, "missing", "", f"cannot be looked at ({type(error).__name__}: {error})", "", ""]


def _images(standing: Standing) -> str:
    count, published = standing.count, standing.published
    return number(count) if published in (None, count) or count is None else f"{count:,} of {published:,}"


def _classes(standing: Standing) -> str:
    try:
        return few(standing.source.classes)
    except (NoveltyError, OSError):  # a person's own images are not there
        return ""
