"""The configuration tree: where it lies, what its root holds, how a cell is composed from it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from omegaconf import MISSING, DictConfig, OmegaConf

from novelty.errors import NoveltyError

OPEN_NODES = ("method", "protocol", "evaluation", "data.source", "data.augment", "figure")
"""Nodes with a `_target_`: their schema is the signature of the class, so a key need not stand in the YAML."""


@cache
def _shipped(folder: str) -> Path:
    """``folder`` of the checkout where there is one (an editable install copies it once, and the copy goes stale)."""
    checkout = Path(__file__).resolve().parents[2]
    if (checkout / "pyproject.toml").is_file() and (checkout / folder).is_dir():
        return checkout / folder
    return Path(__file__).resolve().parent / folder


def conf_dir() -> Path:
    """The folder of the configuration tree."""
    return _shipped("conf")


def experiments_dir() -> Path:
    """The folder of tables, figures and printed numbers."""
    return _shipped("experiments")


class Keep(Enum):
    """What stays of a successful run beside its record: nothing, the weights, or the optimizer state as well.

    shared: the weights, until the sweep that says so has done every evaluation of them.
    """

    none = "none"
    shared = "shared"
    weights = "weights"
    all = "all"


@dataclass
class Data:
    """source: the images; channels: 1 or 3; image_size: side in pixels, None for the size that they have.

    augment: the samples that training images are made into (`conf/augment`), None for the images as they are.
    """

    source: Any = MISSING
    channels: int = MISSING
    image_size: int | None = MISSING
    augment: Any = None


@dataclass
class Budget:
    """How much of the published length is run; see `conf/budget`."""

    name: str = MISSING
    scale: float = MISSING
    max_train: int | None = None
    max_test: int | None = None
    seeds: int | None = None


@dataclass
class Hardware:
    """What the run runs on; none of it changes what is computed but `precision` and the number of processes.

    devices: how many (-1: all GPUs) or which; more than one share every batch.  strategy: auto, or ddp (even for one).
    channels_last: memory layout of images and kernels; null: where it is faster (CPU; GPU in half precision).
    compile: mode of torch.compile for the parts of a method that may be compiled (`Method.compilable`), or null.
    threads: of each process; null: torch's choice.  score_batch: images scored at once; null: 64 on the CPU, else 250.
    score_precision: of scoring, whatever the training's; bf16-mixed is faster and gives other scores.
    checkpoint_every: seconds between two saved states of a training.
    """

    accelerator: str = MISSING
    devices: Any = MISSING
    strategy: str = "auto"
    precision: str = "32-true"
    channels_last: bool | None = None
    compile: str | None = None
    threads: int | None = None
    score_batch: int | None = None
    score_precision: str = "32-true"
    checkpoint_every: float = 60.0


@dataclass
class Logger:
    """csv, tensorboard, wandb: which loggers write; project, entity, mode: W&B's (auto = online if it answers).

    tags: of the W&B run, beside method, data, protocol, budget, normal classes and tables.
    tables: the published tables and figures that ask for the cell; a sweep over them says so itself.
    log: what the cells of a sweep print goes to ``log.txt`` beside their records; launchers with workers set it.
    """

    csv: bool = True
    tensorboard: bool = False
    wandb: bool = False
    project: str = "novelty"
    entity: str | None = None
    mode: str = "auto"
    tags: list[str] = field(default_factory=list)
    tables: list[str] = field(default_factory=list)
    log: bool = False


@dataclass
class Paths:
    """data: images; runs: records; cache: decoded images; weights: downloaded weights."""

    data: str = MISSING
    runs: str = MISSING
    cache: str = MISSING
    weights: str = MISSING


@dataclass
class Root:
    """Everything that a cell may be told."""

    data: Data = field(default_factory=Data)
    protocol: Any = MISSING
    method: Any = MISSING
    budget: Budget = field(default_factory=Budget)
    evaluation: Any = MISSING
    hardware: Hardware = field(default_factory=Hardware)
    logger: Logger = field(default_factory=Logger)
    table: Any = None
    figure: Any = None
    launcher: Any = None
    seed: int = 0
    keep: Keep = Keep.weights
    maps: bool = False
    pictures: bool = True
    dry_run: bool = False
    paths: Paths = field(default_factory=Paths)


def _scale(length: float, most: float | None = None, *, _root_: DictConfig) -> int:
    scaled = max(1, round(length * _root_.budget.scale))
    return scaled if most is None else min(scaled, int(most))


def register() -> None:
    """The root schema and the resolver of lengths; first of all.

    ``${scale:n}`` is n times the budget, ``${scale:n,m}`` that but at most m: a length that only a smoke run cuts.
    """
    from hydra.core.config_store import ConfigStore

    ConfigStore.instance().store(name="schema", node=Root)
    OmegaConf.register_new_resolver("scale", _scale, replace=True)


def open_overrides(overrides: Iterable[str]) -> list[str]:
    """``method.x=1`` as ``++method.x=1``: the signature says whether x exists (`check`), not the YAML."""
    opened = []
    for override in overrides:
        is_open = any(override.startswith(node + ".") for node in OPEN_NODES) and "=" in override
        opened.append("++" + override if is_open else override)
    return opened


def group_of(override: str) -> str:
    """The config group (or key) that an override sets, without sigils and package: ``+a@b.c=d`` -> ``a``."""
    return override.lstrip("+~").split("=", 1)[0].split("@", 1)[0]


def key_of(override: str) -> str:
    """What an override sets, package included: ``method`` and ``method@method.autoencoder`` are two things."""
    return override.lstrip("+~").split("=", 1)[0]


class Composed(NamedTuple):
    """A cell's configuration, and the names of the configs chosen for it: {"method": "piad", "data": "mnist", ...}."""

    cfg: DictConfig
    choices: dict[str, str]


@lru_cache(maxsize=256)
def _compose(overrides: tuple[str, ...], search_path: tuple[str, ...] = ()) -> Composed:
    from hydra import compose, initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra

    register()
    state = GlobalHydra.instance().hydra
    try:
        GlobalHydra.instance().clear()
        with initialize_config_dir(str(conf_dir()), version_base="1.3"):
            more = [f"hydra.searchpath=[{','.join(search_path)}]"] if search_path else []
            cfg = compose("config", [*overrides, *more], return_hydra_config=True)
            choices = {str(group): str(name) for group, name in cfg.hydra.runtime.choices.items()}
            return Composed(OmegaConf.masked_copy(cfg, [str(key) for key in cfg if key != "hydra"]), choices)
    finally:
        GlobalHydra.instance().hydra = state


def compose_cell(overrides: Sequence[str], search_path: tuple[str, ...] = ()) -> Composed:
    """The configuration of one cell. Choices of groups are composed once and kept; plain values are set on a copy.

    Takes simple overrides only (no sweeps, no deletions); a milliseconds affair after the first of each combination.
    search_path: further folders of configs, as URLs (Hydra's ``--config-dir`` and ``hydra.searchpath``).
    """
    choices = tuple(override for override in overrides if chooses(override, search_path))
    composed = _compose(choices, search_path)
    cfg = composed.cfg.copy()
    assign(cfg, [override for override in overrides if override not in choices])
    return composed._replace(cfg=cfg)


def chooses(override: str, search_path: Sequence[str] = ()) -> bool:
    """Whether it takes a config of a group (or takes one away), and is no plain value."""
    if override.startswith("~"):
        return True
    if "." in group_of(override):  # names of groups have none, and most overrides do
        return False
    roots = [conf_dir(), experiments_dir(), *(Path(url.removeprefix("file://")) for url in search_path)]
    return not override.endswith("=null") and any((root / group_of(override)).is_dir() for root in roots)


def assign(cfg: DictConfig, overrides: Iterable[str]) -> None:
    """Set plain values in place, ``key=value`` as typed; NoveltyError for a key that is not there, but for ``+key``."""
    for override in overrides:
        key, value = override.lstrip("+").split("=", 1)
        parent, _, name = key.rpartition(".")
        node = OmegaConf.select(cfg, parent) if parent else cfg
        if not override.startswith("+") and OmegaConf.is_dict(node) and name not in node:
            raise _no_key(key, node)
        OmegaConf.update(cfg, key, _value(value), force_add=True)


@lru_cache(maxsize=1024)
def _value(text: str) -> Any:
    """A value as Hydra's command line reads it: 1e-3 a number, [a,b] a list, null nothing."""
    from hydra.core.override_parser.overrides_parser import OverridesParser

    return OverridesParser.create().parse_override(f"key={text}").value()


def _no_key(key: str, node: Any) -> NoveltyError:
    options = [str(option) for option in node]
    hint = close_to(key.rpartition(".")[2], options)
    return NoveltyError(f"{key} is no key of the configuration{hint} Allowed here: {', '.join(options)}.")


def close_to(word: str, options: Iterable[str]) -> str:
    """The end of a sentence about a misspelt word: ``"; did you mean x?"``, or a full stop."""
    found = difflib.get_close_matches(word, list(options), n=1, cutoff=0.6)
    return f"; did you mean {found[0]}?" if found else "."


def names_under(folder: Path) -> list[str]:
    """Names of the YAML files below ``folder``, as they are typed: ``piad/table2_mnist``."""
    return sorted(str(path.relative_to(folder).with_suffix("")) for path in folder.rglob("*.yaml"))


def tables_matching(pattern: str) -> list[str]:
    """Published tables that a name, a glob or ``all`` stands for."""
    return matching("table", pattern)


def matching(group: str, pattern: str) -> list[str]:
    """Names of the tables or figures (``group``) that a name, a glob or ``all`` stands for."""
    import fnmatch

    names = names_under(experiments_dir() / group)
    found = [name for name in names if pattern == "all" or fnmatch.fnmatch(name, pattern)]
    if not found:
        raise NoveltyError(
            f"There is no {group} {pattern}{close_to(pattern, names)} "
            f"Known: {', '.join(names) or 'none'}; globs and 'all' work."
        )
    return found


def explain(error: Exception) -> NoveltyError | Exception:
    """Hydra's complaint about an override in our words: what is wrong and what is allowed; other errors as they are."""
    import re

    if isinstance(error.__cause__, NoveltyError):  # what a plugin refused while Hydra made it
        return error.__cause__
    text = str(error)
    if re.search(r"Could not find 'hydra/launcher/joblib'", text):
        return NoveltyError("launcher=joblib needs a package: pip install 'novelty[joblib]', or take launcher=serial.")
    if found := re.search(r"Could not override '([\w.@/]+)'|Key '([\w.@/]+)' is not in", text):
        key = found.group(1) or found.group(2)
        parent = key.rpartition(".")[0]
        node = OmegaConf.select(_compose(()).cfg, parent) if parent else OmegaConf.structured(Root)
        if OmegaConf.is_dict(node) and key.rpartition(".")[2] not in node:
            return _no_key(key, node)
    if (found := re.search(r"Error merging override (\S+)", text)) and error.__cause__ is not None:
        return NoveltyError(f"{found.group(1).lstrip('+')} cannot be: {str(error.__cause__).splitlines()[0]}.")
    if found := re.search(r"Could not find '(\w+)/([^']*)'", text):
        group, name = found.groups()
        folder = next((root / group for root in (conf_dir(), experiments_dir()) if (root / group).is_dir()), None)
        if folder is not None:
            names = names_under(folder)
            return NoveltyError(
                f"There is no {group} {name}{close_to(name, names)} Known: {', '.join(names) or 'none yet'}."
            )
    if type(error).__name__ == "OverrideParseException":
        typed = str(getattr(error, "override", "The command line")).lstrip("+")
        return NoveltyError(
            f"{typed} cannot be read as key=value ({text.splitlines()[0]}); "
            "put brackets, commas and blanks in quotes, as in 'protocol.normal=[cat,dog]'."
        )
    return error
