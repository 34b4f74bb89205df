"""What is typed: a cell, as for `python -m novelty.run`, and how it is to be measured."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from novelty.config import OPEN_NODES, Composed, _compose, close_to, conf_dir, explain, group_of, open_overrides
from novelty.errors import NoveltyError


@dataclass(frozen=True)
class Options:
    """seconds: measured of training, and again of scoring, for each configuration, in ``rounds`` blocks that alternate;
    a quarter of it goes to the parts of the step, a tenth to the data alone.
    warmup:  seconds of training that count for nothing, three steps at least.
    against: overrides that make the second configuration from the first; none, nothing to compare.
    out:     file of the record; "" for one below <paths.runs>/.bench, None for none.
    """

    seconds: float = 20.0
    warmup: float = 3.0
    rounds: int = 5
    against: tuple[str, ...] = ()
    out: Path | str | None = ""


def parse(typed: Sequence[str]) -> tuple[list[str], Options]:
    """The overrides of the first configuration, and the options. Raises NoveltyError for what cannot be meant."""
    overrides = []
    own: dict[str, str] = {}
    for argument in typed:
        name, equals, value = argument.partition("=")
        if argument.startswith("-"):
            raise NoveltyError(f"{argument} is no option of the bench, which takes group=choice and key=value alone.")
        if name.startswith("bench."):
            known = [field.name for field in fields(Options)]
            key = name.removeprefix("bench.")
            if not equals or key not in known:
                raise NoveltyError(
                    f"{name} is no option of the bench{close_to(key, known)} "
                    f"Options: {', '.join('bench.' + k for k in known)}."
                )
            own[key] = value
        else:
            overrides.append(argument)
    return overrides, Options(
        seconds=_number(own, "seconds", Options.seconds, above=0),
        warmup=_number(own, "warmup", Options.warmup, above=-1e-9),
        rounds=_count(own, "rounds", Options.rounds),
        against=_words(own.get("against", "")),
        out=_out(own.get("out", "")),
    )


def _number(own: dict[str, str], key: str, default: float, above: float) -> float:
    try:
        value = float(own.get(key, default))
    except ValueError:
        value = float("nan")
    if not above < value < float("inf"):
        raise NoveltyError(f"bench.{key}={own[key]} must be a number of seconds{' above 0' if above >= 0 else ''}.")
    return value


def _count(own: dict[str, str], key: str, default: int) -> int:
    text = own.get(key, str(default))
    if not text.isdigit() or int(text) < 1:
        raise NoveltyError(f"bench.{key}={text} must be a whole number from 1 on.")
    return int(text)


def _words(text: str) -> tuple[str, ...]:
    try:
        return () if text == "null" else tuple(shlex.split(text))
    except ValueError as error:
        raise NoveltyError(f"bench.against={text} cannot be split into overrides: {error}.") from error


def _out(text: str) -> Path | str | None:
    if text in ("", "null"):
        return None if text else ""
    path = Path(text).expanduser()
    if not path.parent.is_dir() or path.is_dir():
        raise NoveltyError(f"bench.out={text} cannot be written: it must be a file in a folder that exists.")
    return path


def compose(overrides: Sequence[str]) -> Composed:
    """The configuration of one cell, every mistake in our words."""
    from hydra.errors import HydraException
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    for override in overrides:
        name, _, value = override.partition("=")
        if group_of(override) in ("table", "figure"):
            raise NoveltyError(f"{override}: the bench measures one configuration, no table; name method and data.")
        if value == "null" and (conf_dir() / name).is_dir() and name != "recipe":
            raise NoveltyError(f"{name}=null leaves the run without its {name}: choose one of the names in --help.")
    try:
        composed = _compose(tuple(open_overrides(overrides)))
        OmegaConf.to_container(composed.cfg, resolve=True)
    except (HydraException, OmegaConfBaseException) as error:
        if "Ambiguous value" in str(error):
            several = str(error).split("'")[1]
            raise NoveltyError(
                f"{several} names several: the bench measures one configuration, and a second one with bench.against=."
            ) from error
        raise explain(error) from error
    return composed._replace(cfg=composed.cfg.copy())


def second(overrides: Sequence[str], against: Sequence[str]) -> list[str]:
    """The overrides of the second configuration: ``against`` in place of what sets the same key.

    Options of a class go with their class: ``against`` with another method leaves out ``method.x`` of the first.
    """
    replaced = {group_of(override) for override in against}
    gone = tuple(f"{node}." for node in OPEN_NODES if node.split(".")[0] in replaced)
    kept = [o for o in overrides if group_of(o) not in replaced and not group_of(o).startswith(gone)]
    return [*kept, *against]
