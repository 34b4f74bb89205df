"""What is typed behind a verb: a data set and its options, with the keys of `python -m novelty.run`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

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
    def may_download(self) -> bool:
        """Whether the data set, or one that it is made of, is one that can be fetched."""
        return _has_download(self._source_node())

    def source(self, download: bool | None = None) -> Source:
        """The images; ``download``: whether what is missing may be fetched, None leaves that to the configuration."""
        from novelty.check import build

        node = self._source_node()
        return build(node if download is None else _downloading(node, download), root=self.root)

    def images(self, source: Source) -> Images:
        """Decoded, now or by an earlier run, at the size of the run."""
        from novelty.data import cache

        data = self.config["data"]
        return cache.load(source, data["image_size"], self.cache, channels=data["channels"])

    def _source_node(self) -> Node:
        from novelty.check import bind
        from novelty.data.source import Source

        return bind(as_node(self.config["data"]["source"], "data.source"), "data.source", Source)


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
        known = ", ".join(names_under(conf_dir() / name))
        raise NoveltyError(f"{argument} names no {name}. Known: {known}.")


def _worded(error: Exception) -> Exception:
    """With the key that is wrong, where the library's own words leave it out."""
    worded, key = explain(error), getattr(error, "full_key", None)
    if worded is error and key:
        return NoveltyError(f"{key} cannot be: {str(error).splitlines()[0]}.")
    return worded


def as_node(value: Any, key: str) -> Node:
    """``value`` where it is a node of the configuration; NoveltyError where something else was put in its place."""
    if not isinstance(value, dict):
        raise NoveltyError(f"{key}={value} must be a node with a _target_: set its options, {key}.<option>=..., alone.")
    return value


def _has_download(node: Any) -> bool:
    return isinstance(node, dict) and ("download" in node or any(map(_has_download, node.values())))


def _downloading(node: Any, allowed: bool) -> Any:
    """A source's node, and those inside it, with the option ``download`` set wherever there is one."""
    if not isinstance(node, dict):
        return node
    return {name: allowed if name == "download" else _downloading(value, allowed) for name, value in node.items()}
