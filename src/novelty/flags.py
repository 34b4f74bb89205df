"""Hydra's flags on our command line: in any order, one sentence for those that do not exist, none that runs a file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from novelty.config import conf_dir, key_of
from novelty.errors import NoveltyError

_ACTING = ("callbacks", "job_logging", "hydra_logging", "job.env_set")
"""What Hydra acts on before our code begins: calls of any callable in the environment."""
_CLASSES = ("launcher._target_", "sweeper._target_")
_PLUGINS = ("hydra_plugins.", "hydra._internal.")


def in_order(typed: Sequence[str]) -> list[str]:
    """``typed`` with the overrides before the flags, since Hydra takes overrides in one piece only.

    NoveltyError where there is no such flag, or where a file that somebody handed over would have Hydra run something.
    """
    from hydra._internal.utils import get_args_parser

    parser = get_args_parser()
    parser.error = _refuse  # type: ignore[method-assign]  # which would print its usage and exit with 2
    said = parser.parse_intermixed_args(list(typed))
    if said.experimental_rerun:
        raise NoveltyError("--experimental-rerun runs what a pickle says: run the command that stands in the record.")
    if said.config_path:
        raise NoveltyError("--config-path would hide novelty's own configuration: add a folder with --config-dir.")
    if said.config_dir and not Path(said.config_dir).is_dir():
        raise NoveltyError(f"--config-dir={said.config_dir} is no folder: name one that holds groups such as method/.")
    overrides = list(said.overrides)
    if said.config_dir or said.config_name or any(o.lstrip("+~").startswith("hydra.") for o in overrides):
        _refuse_actions(said.config_name or "config", said.config_dir, overrides)
    flags = list(typed)
    for override in overrides:
        flags.remove(override)
    return [*overrides, *flags]


def _refuse(message: str) -> NoReturn:
    raise NoveltyError(
        f"The command line cannot be read ({message}): see python -m novelty.run --help or --hydra-help."
    )


def _refuse_actions(name: str, folder: str | None, overrides: list[str]) -> None:
    """NoveltyError where Hydra's own part of the configuration acts otherwise than the shipped one, with the first
    value of every sweep or any other."""
    ours = _hydra("config", [])
    searched = [f"hydra.searchpath=[{folder!r}]"] if folder else []
    values = _values(overrides)
    first = [options[0] for options in values]
    theirs = _hydra(name, [*searched, *first])
    _expect_harmless(ours, theirs)
    groups = {*map(str, theirs.runtime.choices)}
    for place, options in enumerate(values):
        key = key_of(first[place])
        if key in groups or key.startswith("hydra."):  # of plain values (a thousand seeds) one says as much as all
            for option in options[1:]:
                _expect_harmless(ours, _hydra(name, [*searched, *first[:place], option, *first[place + 1 :]]))


def _expect_harmless(ours: Any, theirs: Any) -> None:
    from omegaconf import OmegaConf

    for key in _ACTING:
        if OmegaConf.select(ours, key) != OmegaConf.select(theirs, key):
            raise NoveltyError(f"hydra.{key} may run anything before novelty begins: take it out of the configuration.")
    for key in _CLASSES:
        if not str(OmegaConf.select(theirs, key)).startswith(_PLUGINS):
            raise NoveltyError(f"hydra.{key} is no plugin of Hydra: choose one with launcher=NAME.")


def _values(overrides: list[str]) -> list[list[str]]:
    """Of each override that may choose a config, or is said to Hydra itself, every value of its sweep."""
    from hydra.core.override_parser.overrides_parser import OverridesParser

    values = []
    for parsed in OverridesParser.create().parse_overrides(overrides):
        line = str(parsed.input_line)
        if "." not in parsed.key_or_group or line.lstrip("+~").startswith("hydra."):
            key = line.split("=", 1)[0]
            sweep = parsed.is_sweep_override()
            values.append([f"{key}={value}" for value in parsed.sweep_string_iterator()] if sweep else [line])
    return [options for options in values if options]


def _hydra(name: str, overrides: list[str]) -> Any:
    from hydra import compose, initialize_config_dir

    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        return compose(name, overrides, return_hydra_config=True).hydra
