"""A cell before it runs: what it would train, on which images, and under which keys."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from omegaconf import DictConfig

from novelty.check import Node, build, check, defaults, parameters, target
from novelty.data.cache import load
from novelty.data.datamodule import data_info
from novelty.data.protocols import Split, cap
from novelty.data.source import Images
from novelty.errors import NoveltyError
from novelty.evaluation import metrics
from novelty.info import WeightsFile
from novelty.results.keys import file_digest, key
from novelty.results.records import Record


@dataclass(frozen=True)
class Plan:
    """A checked cell.

    config:  complete and plain, with `protocol.normal` as class names.
    choices: names of the chosen configs, ``{"method": "piad", "data": "mnist"}``: for people and folders, not hashed.
    first_of: the classes, where `protocol.normal` was left open and the first one runs; otherwise empty.
    weights: content digests of the weight files that the method reads, by argument.
    """

    config: Node
    choices: dict[str, str]
    images: Images
    split: Split
    normal: tuple[str, ...]
    first_of: tuple[str, ...]
    weights: dict[str, str]
    record: Record

    @property
    def defaults(self) -> Node:
        """What constructors assume where the configuration is silent: reports compare cells without importing them."""
        config = self.config
        nodes = {"method": config["method"], "protocol": config["protocol"], "evaluation": config["evaluation"]}
        return {name: defaults(node) for name, node in nodes.items()}

    @property
    def title(self) -> str:
        """One line that tells this cell from others."""
        normal = "+".join(self.normal)
        return f"{self.choices['method']} · {self.choices['data']} · {normal} · seed {self.config['seed']}"


def make_plan(cfg: DictConfig, choices: dict[str, str]) -> Plan:
    """Check the configuration, find the images, split them and name the keys; nothing is trained or written.

    Raises NoveltyError for everything a person can get wrong up to here.
    """
    config = check(cfg)
    data, budget, paths = config["data"], config["budget"], config["paths"]
    source = build(data["source"], root=Path(paths["data"]).expanduser())
    images = load(source, data["image_size"], Path(paths["cache"]).expanduser(), channels=data["channels"])
    protocol = build(config["protocol"])
    indices = protocol.normal_classes(images.classes)
    first_of = images.classes if config["protocol"].get("normal") is None else ()
    normal = tuple(images.classes[i] for i in indices)
    split = cap(protocol.split(images.labels, images.test, images.classes), budget["max_train"], budget["max_test"])
    config["protocol"]["normal"] = list(normal)
    with torch.device("meta"):  # what a constructor refuses is refused here, before anything is written
        build(config["method"], info=data_info(images, split))

    training_method, scoring, weights = _method_payload(config["method"])
    test_only = {name: config["protocol"][name] for name in sorted(protocol.test_only)}
    train_protocol = {name: value for name, value in config["protocol"].items() if name not in protocol.test_only} | {
        "normal": list(indices)
    }
    training = {
        "method": training_method,
        "data": {"digest": images.digest, "channels": data["channels"], "image_size": images.pixels.shape[-1]},
        "protocol": train_protocol,
        "max_train": budget["max_train"],
        "seed": config["seed"],
        "precision": config["hardware"]["precision"],
        "processes": processes(config["hardware"]),
    }
    training_key = key(training)
    scoring_key = key(
        {"training": training_key, "scoring": scoring, "protocol": test_only, "max_test": budget["max_test"]}
        | ({"maps": True} if config["maps"] else {})
    )
    evaluation_key = key({"scoring": scoring_key, "evaluation": config["evaluation"], "metrics": metrics.VERSION})
    runs = Path(paths["runs"]).expanduser()
    record = Record(runs, choices["method"], choices["data"], training_key, scoring_key, evaluation_key)
    chosen = {name: choices[name] for name in ("method", "data", "protocol", "budget")}
    return Plan(config, chosen, images, split, normal, first_of, weights, record)


def processes(hardware: Node) -> int:
    """Number of processes that share a batch: part of what is computed, unlike the device they run on."""
    devices = hardware["devices"]
    if isinstance(devices, int):
        return max(1, devices)
    if isinstance(devices, list):
        return len(devices)
    raise NoveltyError(f"hardware.devices={devices} must be a number of devices or a list of their indices.")


def _method_payload(node: Node) -> tuple[Node, Node, dict[str, str]]:
    """What of a method's arguments is trained, what only scores, and the digests of its weight files.

    Nested methods are taken apart alike; a weight file is replaced by its content's digest.
    """
    cls = target(node, "method")
    training: Node = {"_target_": node["_target_"], "version": getattr(cls, "version", 1)}
    scoring: Node = {}
    weights: dict[str, str] = {}
    for name, (kind, _) in parameters(cls).items():
        value = node[name]
        if isinstance(value, dict) and "_target_" in value:
            training[name], inner_scoring, inner_weights = _method_payload(value)
            scoring |= {f"{name}.{k}": v for k, v in inner_scoring.items()}
            weights |= {f"{name}.{k}": v for k, v in inner_weights.items()}
            continue
        if kind is WeightsFile or WeightsFile in getattr(kind, "__args__", ()):
            value = _content(value)
            if value is not None:
                weights[name] = value
        (scoring if name in getattr(cls, "scoring", ()) else training)[name] = value
    return training, scoring, weights


def _content(value: Any) -> str | None:
    """A digest for a file, the word itself for a keyword such as "imagenet"."""
    path = Path(str(value)).expanduser()
    if value is None or not path.is_file():
        return value
    stat = path.stat()
    return _digest_once(str(path), stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=64)
def _digest_once(path: str, size: int, modified: int) -> str:
    return "sha256:" + file_digest(Path(path))


def split_sizes(plan: Plan) -> dict[str, int]:
    """Numbers of images by role, for the record."""
    novel = int(np.count_nonzero(plan.split.novel))
    return {
        "train": len(plan.split.train),
        "validation": len(plan.split.validation),
        "test_normal": len(plan.split.test) - novel,
        "test_novel": novel,
    }
