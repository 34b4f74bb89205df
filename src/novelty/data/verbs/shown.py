"""How the verbs print."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

MARGIN, WIDTH = 11, 110


def say(label: str, text: str) -> None:
    """A line that begins with its label, broken between words."""
    print(
        textwrap.fill(
            text,
            WIDTH,
            initial_indent=f"{label:<{MARGIN}}",
            subsequent_indent=" " * MARGIN,
            break_long_words=False,
            break_on_hyphens=False,
        )
    )


def grid(lines: Sequence[Sequence[str]], right: Sequence[str] = ()) -> None:
    """A table, its first line the headings, wider than the terminal rather than cut; ``right``: columns of numbers."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    found = Table(box=None, pad_edge=False)
    for heading in lines[0]:
        found.add_column(heading, justify="right" if heading in right else "left", no_wrap=True)
    for line in lines[1:]:
        found.add_row(*map(Text, line))
    width = max(Console().width, Console(width=10_000).measure(found).maximum)
    Console(highlight=False, width=width).print(found)


def few(names: Sequence[str], count: int = 3) -> str:
    """The first names, and how many there are."""
    return f"{len(names)}: {', '.join(names[:count])}{', ...' if len(names) > count else ''}" if names else ""
