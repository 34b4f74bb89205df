"""The signature is the schema: typed constructors check, complete and build the nodes that have a `_target_`."""

from __future__ import annotations

import inspect
import math
import os
import sys
import types
from collections.abc import Hashable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, NewType, Union, cast, get_args, get_origin, get_type_hints

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from novelty.config import Root, close_to, conf_dir, names_under
from novelty.errors import NoveltyError, first_line

Node = dict[str, Any]
WANDB_MODES = ("auto", "online", "offline", "disabled")
PROVIDED = ("info", "root")
"""Constructor arguments that the framework gives, not the configuration."""


def target(node: Node, key: str, base: type | None = None) -> type:
    """The class that ``node["_target_"]`` names; NoveltyError where it cannot be imported or is no ``base``."""
    import importlib

    path = node.get("_target_") if isinstance(node, dict) else None
    if not isinstance(path, str) or "." not in path:
        raise NoveltyError(f"{key} needs a _target_: the import path of a class, such as novelty.methods.piad.PIAD.")
    module, name = path.rsplit(".", 1)
    if module.partition(".")[0] in sys.stdlib_module_names:  # before it is imported: some of Python's own act on it
        raise NoveltyError(
            f"{key}._target_ is {path}, which is no {base.__name__ if base else 'class'} but Python's own."
        )
    try:
        found = getattr(importlib.import_module(module), name)
    except Exception as error:  # whatever a module does while it is imported
        said = f"{type(error).__name__}: {first_line(error)}"
        raise NoveltyError(f"{key}._target_ is {path}, which cannot be imported ({said}).") from error
    if not inspect.isclass(found) or (base is not None and not issubclass(found, base)):
        raise NoveltyError(f"{key}._target_ is {path}, which is no {base.__name__ if base else 'class'}.")
    return found


@lru_cache(maxsize=512)
def parameters(cls: Hashable) -> dict[str, tuple[Any, Any]]:
    """Configurable constructor arguments of a class: name -> (type, default or ``inspect.Parameter.empty``)."""
    init = getattr(cls, "__init__")  # noqa: B009  (mypy distrusts cls.__init__)
    hints = get_type_hints(init)
    signature = inspect.signature(init).parameters.values()
    return {
        p.name: (hints.get(p.name, Any), p.default)
        for p in list(signature)[1:]
        if p.name not in PROVIDED and p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD)
    }


def bind(node: Node, key: str, base: type | None = None) -> Node:
    """``node`` complete with the defaults of its class, every value checked against its type."""
    cls = target(node, key, base)
    known = parameters(cls)
    for name in map(str, node):
        if name not in known and name != "_target_":
            raise NoveltyError(
                f"{key}.{name} is no option of {cls.__name__}{close_to(name, known)} Options: {', '.join(known)}."
            )
    full: Node = {"_target_": f"{cls.__module__}.{cls.__qualname__}"}
    for name, (kind, default) in known.items():
        if name in node:
            full[name] = _admit(node[name], kind, f"{key}.{name}")
        elif default is inspect.Parameter.empty:
            raise NoveltyError(f"{key}.{name} must be given: {cls.__name__} has no default for it.")
        else:
            full[name] = _plain(default)
    return full


def defaults(node: Node) -> Node:
    """Default values of a bound node's constructor, nested nodes included where they are used."""
    known = parameters(target(node, "node"))
    found = {n: _plain(default) for n, (_, default) in known.items() if default is not inspect.Parameter.empty}
    return found | {n: defaults(v) for n, v in node.items() if isinstance(v, dict) and "_target_" in v}


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, (tuple, frozenset, set)) else value


def _admit(value: Any, kind: Any, key: str) -> Any:
    """``value`` as ``kind`` would have it; NoveltyError names the key and what is allowed."""
    if isinstance(kind, NewType):
        kind = kind.__supertype__
    origin, arguments = get_origin(kind), get_args(kind)
    if kind is Any and not _holds_node(value):
        return value
    if origin is Literal:
        if (value in arguments and not isinstance(value, bool)) or any(value is option for option in arguments):
            return value
        options = ", ".join(map(str, arguments))
        raise NoveltyError(f"{key}={value} is no choice{close_to(str(value), map(str, arguments))} Allowed: {options}.")
    if origin in (Union, types.UnionType):
        errors = []
        for option in sorted(arguments, key=lambda o: o is not type(None)):
            try:
                return _admit(value, option, key)
            except NoveltyError as error:
                errors.append(error)
        raise errors[-1] if len(errors) <= 2 else NoveltyError(f"{key}={value} must be {_name(kind)}.")
    if kind is type(None):
        if value is None:
            return None
    elif kind is bool:
        if isinstance(value, bool):
            return value
    elif kind is int:
        if isinstance(value, int) and not isinstance(value, bool):
            return value
        if isinstance(value, float) and value.is_integer():
            return int(value)
    elif kind is float:
        if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value):
            return float(value)
    elif kind in (str, Path):
        if isinstance(value, str):
            return value
    elif origin in (list, tuple, Sequence) or (inspect.isclass(origin) and issubclass(origin, Sequence)):
        if isinstance(value, (list, tuple)):
            inner = arguments[0] if arguments else Any
            return [_admit(item, inner, f"{key}[{i}]") for i, item in enumerate(value)]
    elif origin in (dict, Mapping) or kind is dict:
        if isinstance(value, Mapping) and not _holds_node(value):
            return dict(value)
    elif inspect.isclass(kind) and isinstance(value, dict):
        return bind(value, key, kind)
    raise NoveltyError(f"{key}={value} must be {_name(kind)}.")


def _holds_node(value: Any) -> bool:
    """Whether something would be built of ``value`` whose class no signature has named."""
    if isinstance(value, Mapping):
        return "_target_" in value or any(map(_holds_node, value.values()))
    return isinstance(value, list) and any(map(_holds_node, value))


def _name(kind: Any) -> str:
    words = {int: "a whole number", float: "a number", str: "a word", bool: "true or false", type(None): "null"}
    if kind in words:
        return words[kind]
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return " or ".join(_name(a) for a in arguments)
    if origin is Literal:
        return "one of " + ", ".join(map(str, arguments))
    if arguments:
        return "a list of " + " or ".join(_name(a) for a in arguments if a is not ...)
    return f"a {getattr(kind, '__name__', kind)} (a node with a _target_)"


def build(node: Node, **provided: Any) -> Any:
    """The object that a bound node describes; ``provided`` goes to every constructor that asks for it by name."""
    cls = target(node, "node")
    wanted = inspect.signature(cls).parameters
    arguments = {name: _build(value, provided) for name, value in node.items() if name != "_target_"}
    return cls(**arguments, **{name: value for name, value in provided.items() if name in wanted})


def _build(value: Any, provided: dict[str, Any]) -> Any:
    if isinstance(value, dict):
        return build(value, **provided) if "_target_" in value else value
    return tuple(_build(item, provided) for item in value) if isinstance(value, list) else value


def _chosen(augment: Any) -> Node:
    """``data.augment`` where a class was chosen for it; NoveltyError where only its keys, or a name, were given."""
    if isinstance(augment, dict) and "_target_" in augment:
        return augment
    names = names_under(conf_dir() / "augment")
    given = "has no _target_" if isinstance(augment, dict) else f"is {augment}"
    raise NoveltyError(f"data.augment {given}: choose one with augment={'|'.join(names)}.")


def check(cfg: DictConfig) -> Node:
    """The whole configuration of a cell as plain containers: complete, typed, interpolations resolved.

    Raises NoveltyError, naming the key and what is allowed, before any data is touched.
    """
    from novelty.data.augment import Augmentation
    from novelty.data.protocols import Protocol
    from novelty.data.source import Source
    from novelty.evaluation.evaluation import Evaluation
    from novelty.methods.base import Method

    known = list(Root.__dataclass_fields__)
    for name in map(str, cfg):
        if name not in known and name != "hydra":
            raise NoveltyError(
                f"{name} is no key of the configuration{close_to(name, known)} Keys: {', '.join(known)}."
            )
    own = OmegaConf.masked_copy(cfg, [str(name) for name in cfg if name != "hydra"])
    plain = _resolved(own)
    for name in known:
        if name not in plain:
            raise NoveltyError(f"{name} is missing: leave out ~{name}.")
    if not isinstance(plain["seed"], int) or not -(2**63) <= plain["seed"] < 2**63:
        raise NoveltyError(f"seed={plain['seed']} must be a whole number of at most 63 bits.")
    plain["method"] = bind(plain["method"], "method", Method)
    plain["protocol"] = bind(plain["protocol"], "protocol", Protocol)
    plain["evaluation"] = bind(plain["evaluation"], "evaluation", Evaluation)
    plain["data"]["source"] = bind(plain["data"]["source"], "data.source", Source)
    if plain["data"]["augment"] is not None:
        plain["data"]["augment"] = bind(_chosen(plain["data"]["augment"]), "data.augment", Augmentation)
    if plain["data"]["channels"] not in (1, 3):
        raise NoveltyError(f"data.channels={plain['data']['channels']} must be 1 (grey) or 3 (colour).")
    mode = plain["logger"]["mode"]
    if mode not in WANDB_MODES:
        raise NoveltyError(
            f"logger.mode={mode} is no choice{close_to(mode, WANDB_MODES)} Allowed: {', '.join(WANDB_MODES)}."
        )
    return plain


def _resolved(cfg: DictConfig) -> Node:
    """Plain containers without interpolations; NoveltyError where one leads nowhere, or where a value is left open."""
    try:
        if not 0 < cfg.budget.scale < math.inf:
            raise NoveltyError(f"budget.scale={cfg.budget.scale} must be above 0 (1 = the published length).")
        plain = cast(Node, OmegaConf.to_container(cfg, resolve=True, enum_to_str=True, throw_on_missing=True))
    except OmegaConfBaseException as error:
        key = getattr(error, "full_key", None) or "A value"
        raise NoveltyError(f"{key} cannot be resolved: {first_line(error)}.") from error
    if (secret := os.environ.get("WANDB_API_KEY")) and secret in repr(plain):
        raise NoveltyError(
            "The configuration holds the key in WANDB_API_KEY, and would go into records: take it out, W&B finds it by "
            "itself."
        )
    return plain
