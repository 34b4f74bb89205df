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
from novelty.config import close_to
from novelty.data import cache
from novelty.data.datamodule import data_info
from novelty.data.protocols import Split, cap
from novelty.data.source import Images
from novelty.errors import NoveltyError
from novelty.evaluation import metrics
from novelty.info import WeightsFile
from novelty.results.keys import array_digest, file_digest, key
from novelty.results.records import Record

VERSION = 1
"""Bumped by hand when the framework's own rules change numbers: batch order, seeding, draws of the protocols."""

REFERENCE_IMAGES = 1000
"""Normal images scored beside the test images, for thresholds."""


@dataclass(frozen=True)
class Plan:
    """A checked cell.

    config:  complete and plain, with `protocol.normal` as class names where classes are chosen from.
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
    def identity(self) -> Node:
        """What record and failure note alike say of the cell."""
        cls = target(self.config["method"], "method")
        return {
            "keys": {
                "training": self.record.training,
                "scoring": self.record.scoring,
                "evaluation": self.record.evaluation,
            },
            "choices": self.choices,
            "config": self.config,
            "defaults": self.defaults,
            "versions": {"framework": VERSION, "method": getattr(cls, "version", 1), "metrics": metrics.VERSION},
            "processes": processes(self.config["hardware"]),
            "seed": self.config["seed"],
            "normal": list(self.normal),
            "split": split_sizes(self),
            "data": {"digest": self.images.digest, "copy": self.images.copy},
            "weights": self.weights,
        }

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
    config["hardware"] = settle_hardware(config["hardware"])
    data, budget, paths = config["data"], config["budget"], config["paths"]
    source = build(data["source"], root=Path(paths["data"]).expanduser())
    images = cache.load(source, data["image_size"], Path(paths["cache"]).expanduser(), channels=data["channels"])
    protocol = build(config["protocol"])
    classes = protocol.classes(images)
    first_of = classes if protocol.one_of and config["protocol"]["normal"] is None else ()
    normal = tuple(classes[i] for i in protocol.normal_classes(images))
    split = cap(protocol.split(images), budget["max_train"], budget["max_test"])
    if protocol.one_of:
        config["protocol"]["normal"] = list(normal)
    with torch.device("meta"):  # what a constructor refuses is refused here, before anything is written
        build(config["method"], info=data_info(images, split))

    training_method, scoring, weights = _method_payload(config["method"])
    training = {
        "framework": [VERSION, cache.FORMAT],
        "method": training_method,
        "data": {"digest": images.digest, "channels": data["channels"], "image_size": images.pixels.shape[-1]},
        "split": array_digest(split.train, split.validation),
        "seed": config["seed"],
        "precision": config["hardware"]["precision"],
        "processes": processes(config["hardware"]),
    }
    training_key = key(training)
    scoring_key = key(
        {
            "training": training_key,
            "scoring": scoring,
            "split": array_digest(split.test, split.novel),
            "reference": REFERENCE_IMAGES,
            "maps": config["maps"],
        }
    )
    evaluation_key = key({"scoring": scoring_key, "evaluation": config["evaluation"], "metrics": metrics.VERSION})
    runs = Path(paths["runs"]).expanduser()
    record = Record(runs, choices["method"], choices["data"], training_key, scoring_key, evaluation_key)
    chosen = {name: choices[name] for name in ("method", "data", "protocol", "budget")}
    return Plan(config, chosen, images, split, normal, first_of, weights, record)


def processes(hardware: Node) -> int:
    """Number of processes that share a batch: part of what is computed, unlike the device they run on."""
    devices = hardware["devices"]
    return len(devices) if isinstance(devices, list) else int(devices)


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
            value = _content(value, getattr(cls, "known_weights", {}))
            if value is not None:
                weights[name] = value
        (scoring if name in getattr(cls, "scoring", ()) else training)[name] = value
    return training, scoring, weights


def _content(value: Any, known: dict[str, str]) -> str | None:
    """A digest for a file; a keyword such as "imagenet" for itself and for the file ``known`` by it."""
    path = Path(str(value)).expanduser()
    if value is None or not path.is_file():
        return value
    stat = path.stat()
    digest = _digest_once(str(path), stat.st_size, stat.st_mtime_ns)
    return next((word for beginning, word in known.items() if digest.startswith(beginning)), "sha256:" + digest)


@lru_cache(maxsize=64)
def _digest_once(path: str, size: int, modified: int) -> str:
    return file_digest(Path(path))


def split_sizes(plan: Plan) -> dict[str, int]:
    """Numbers of images by role, for the record."""
    novel = int(np.count_nonzero(plan.split.novel))
    return {
        "train": len(plan.split.train),
        "validation": len(plan.split.validation),
        "test_normal": len(plan.split.test) - novel,
        "test_novel": novel,
    }


ACCELERATORS = ("auto", "cpu", "gpu", "cuda", "mps")
PRECISIONS = ("32-true", "bf16-mixed", "16-mixed")
STRATEGIES = ("auto", "ddp")
COMPILE = (None, "default", "reduce-overhead", "max-autotune")


def settle_hardware(hardware: Node) -> Node:
    """``hardware`` with nothing left open: null becomes what suits the device.

    Refuses what Lightning would only refuse later, in its own words, or quietly replace; and a GPU where there is none.
    """
    choices = {"accelerator": ACCELERATORS, "precision": PRECISIONS, "strategy": STRATEGIES, "compile": COMPILE}
    for name, allowed in choices.items():
        if hardware[name] not in allowed:
            words = [str(word) if word is not None else "null" for word in allowed]
            raise NoveltyError(
                f"hardware.{name}={hardware[name]} is no choice{close_to(str(hardware[name]), words)} "
                f"Allowed: {', '.join(words)}."
            )
    cuda = torch.cuda.is_available()
    if hardware["accelerator"] in ("gpu", "cuda") and not cuda:
        raise NoveltyError(
            "hardware.accelerator=gpu, but torch sees no GPU here: take hardware=cpu or hardware=auto, "
            "or look at nvidia-smi and CUDA_VISIBLE_DEVICES."
        )
    on_cpu = hardware["accelerator"] == "cpu" or (hardware["accelerator"] == "auto" and not cuda)
    if on_cpu and hardware["precision"] == "16-mixed":
        raise NoveltyError("hardware.precision=16-mixed needs a GPU: on the CPU take bf16-mixed (hardware=cpu_fast).")
    settled = dict(hardware)
    settled["devices"] = _devices(hardware["devices"], on_cpu)
    if hardware["channels_last"] is None:
        settled["channels_last"] = on_cpu or hardware["precision"] != "32-true"
    if hardware["score_batch"] is None:
        settled["score_batch"] = 64 if on_cpu else 250
    return settled


def _devices(devices: Any, on_cpu: bool) -> int | list[int]:
    """A number of processes from 1 on, or a list of GPU indices; -1 stands for all GPUs."""
    if devices == -1 and not on_cpu:
        return torch.cuda.device_count()
    if isinstance(devices, list) and devices and all(type(index) is int for index in devices) and not on_cpu:
        return devices
    if type(devices) is int and devices >= 1:
        return devices
    raise NoveltyError(
        f"hardware.devices={devices} must be a number of devices from 1 on"
        + ("." if on_cpu else ", a list of their indices, or -1 for all.")
    )
