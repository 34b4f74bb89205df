"""Options of doors that read no configuration: ``name=value``, each with a default."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from novelty.config import close_to, experiments_dir, names_under, tables_matching
from novelty.errors import NoveltyError


def options(typed: Sequence[str], defaults: Mapping[str, str], prefixes: Sequence[str] = ()) -> dict[str, str]:
    """``defaults`` with what was typed; a name may carry one of ``prefixes``, as a run's command line has it."""
    chosen = dict(defaults)
    for argument in typed:
        name, equals, value = argument.partition("=")
        for prefix in prefixes:
            name = name.removeprefix(prefix)
        if not equals or name not in chosen:
            raise NoveltyError(
                f"{argument} is no option{close_to(name, chosen)} Options: {', '.join(chosen)} (name=value)."
            )
        chosen[name] = value
    return chosen


def require_choice(name: str, value: str, allowed: Collection[str]) -> None:
    """NoveltyError where an option's value is none of ``allowed``."""
    if value not in allowed:
        raise NoveltyError(f"{name}={value} is no choice{close_to(value, allowed)} Allowed: {', '.join(allowed)}.")


def tables_named(typed: str, verb: str) -> list[str]:
    """Tables that names and globs, joined by commas, stand for; ``verb``: the door, for the sentence where none is."""
    if not typed:
        known = ", ".join(names_under(experiments_dir() / "table"))
        raise NoveltyError(f"Name a table: python -m novelty.{verb} table=NAME. Known: {known}; globs and 'all' work.")
    return [name for pattern in typed.split(",") if pattern for name in tables_matching(pattern)]
