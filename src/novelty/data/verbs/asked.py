"""What is typed behind a verb: a data set and its options, with the keys of `python -m novelty.run`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, cast

from novelty.config import close_to, compose_cell, conf_dir, explain, names_under, open_overrides
from novelty.errors import NoveltyError

if TYPE_CHECKING:
    from novelty.check import Node
    from novelty.data.source import Images, Source


@dataclass(frozen=True)
class Asked:
    """A data set as a run with the same overrides sees it.

    name: of its config.  protocol: name of the protocol's.  config: the whole configuration, plain.
    """

    name: str
    protocol: str
    config: Node

    @property
    def root(self) -> Path:
        """The folder of all data sets."""
        return Path(self.config["paths"]["data"]).expanduser()

    @property
    def cache(self) -> Path:
        """The folder of decoded images."""
        return Path(self.config["paths"]["cache"]).expanduser()

    @property
    def image_size(self) -> int | None:
        """Of the run, in pixels; None for the size that the images have."""
        size: int | None = self.config["data"]["image_size"]
        return size

    @property
    def may_download(self) -> bool:
        """Whether the data set, or one that it is made of, is one that can be fetched."""
        return _has(self.source_node, "download")

    @property
    def may_skip(self) -> bool:
        """Whether broken images could be left out, and are not."""
        return self.source_node.get("skip_broken") is False

    def source(self, **changed: bool) -> Source:
        """The images, with options that are changed wherever the source, or one that it is made of, has them."""
        from novelty.check import build

        return build(_changed(self.source_node, changed), root=self.root)

    def images(self, source: Source) -> Images:
        """Decoded, now or by an earlier run, at the size of the run."""
        from novelty.data import cache

        return cache.load(source, self.image_size, self.cache, channels=self.config["data"]["channels"])

    def known(self, source: Source, size: int | None) -> Images | None:
        """The images at ``size`` as an earlier run decoded them; None where none did."""
        if not self.cache.is_dir():
            return None
        from novelty.data import cache

        return cache.known(source, size, self.cache, channels=self.config["data"]["channels"])

    @property
    def source_node(self) -> Node:
        """The configuration of the source, every option of it."""
        from novelty.check import bind
        from novelty.data.source import Source

        return bind(_node(self.config["data"]["source"], "data.source"), "data.source", Source)

    @property
    def protocol_node(self) -> Node:
        """The configuration of the protocol, every option of it."""
        from novelty.check import bind
        from novelty.data.protocols import Protocol

        return bind(_node(self.config["protocol"], "protocol"), "protocol", Protocol)


def data_sets() -> list[str]:
    """Names of all data sets that are configured."""
    return names_under(conf_dir() / "data")


def asked(verb: str, typed: Sequence[str]) -> Asked:
    """The data set that ``typed`` names, every mistake in our words."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    for argument in typed:
        _check(verb, argument)
    if not any(argument.startswith("data=") for argument in typed):
        raise NoveltyError(f"Name a data set: {verb} data=NAME. Known: {', '.join(data_sets())}.")
    overrides = open_overrides([argument.lstrip("+") for argument in typed])
    try:
        for override in OverridesParser.create().parse_overrides(overrides):
            if override.is_sweep_override():
                raise NoveltyError(
                    f"{str(override.input_line).lstrip('+')} names several, and {verb} takes one at a time; "
                    "a list stands in brackets, as in 'protocol.normal=[cat,dog]'."
                )
            if (conf_dir() / override.key_or_group).is_dir() and not isinstance(override.value(), str):
                _refuse_choice(override.key_or_group, override.input_line)
        cfg, choices = compose_cell(overrides)
        config = cast(dict[str, Any], OmegaConf.to_container(cfg, resolve=True, enum_to_str=True))
    except (HydraException, OmegaConfBaseException) as error:
        raise _worded(error) from error
    return Asked(choices["data"], choices["protocol"], config)


def _check(verb: str, argument: str) -> None:
    name, equals, value = argument.lstrip("+").partition("=")
    if not equals or name.startswith(("-", "~")):
        raise NoveltyError(
            f"{argument} is nothing that {verb} takes{close_to(name, ['data'])} It takes data=NAME and keys such as "
            "data.source.path=..., protocol.normal=... or paths.data=..."
        )
    if name in ("table", "figure"):
        raise NoveltyError(f"{argument}: {verb} takes one data set; name it with data=NAME.")
    if value in ("", "null") and (conf_dir() / name).is_dir() and name != "recipe":
        _refuse_choice(name, argument)


def _refuse_choice(group: str, argument: str | None) -> NoReturn:
    raise NoveltyError(f"{argument} names no {group}. Known: {', '.join(names_under(conf_dir() / group))}.")


def _worded(error: Exception) -> Exception:
    """With the key that is wrong, where the library's own words leave it out."""
    worded, key = explain(error), getattr(error, "full_key", None)
    if worded is error and key:
        return NoveltyError(f"{key} cannot be: {str(error).splitlines()[0]}.")
    return worded


def _node(value: Any, key: str) -> Node:
    """``value`` where it is a node of the configuration; NoveltyError where something else was put in its place."""
    if not isinstance(value, dict):
        raise NoveltyError(f"{key}={value} must be a node with a _target_: set its options, {key}.<option>=..., alone.")
    return value


def _has(node: Any, option: str) -> bool:
    return isinstance(node, dict) and (option in node or any(_has(value, option) for value in node.values()))


def _changed(node: Any, changed: dict[str, bool]) -> Any:
    if not isinstance(node, dict):
        return node
    return {name: changed.get(name, _changed(value, changed)) for name, value in node.items()}
