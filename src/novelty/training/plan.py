"""A cell before it runs: what it would train, on which images, and under which keys."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from omegaconf import DictConfig

from novelty.check import Node, build, check, defaults, parameters, target
from novelty.data import cache
from novelty.data.augment import Augmentation
from novelty.data.datamodule import data_info
from novelty.data.protocols import Split, cap
from novelty.data.source import Images, Source
from novelty.errors import NoveltyError
from novelty.evaluation import metrics
from novelty.hardware import Share, processes, settle_hardware
from novelty.info import WeightsFile
from novelty.methods.base import Method
from novelty.results.keys import array_digest, content_of, key
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
    steps: of the training, from its first to its last.
    """

    config: Node
    choices: dict[str, str]
    images: Images
    split: Split
    normal: tuple[str, ...]
    first_of: tuple[str, ...]
    weights: dict[str, str]
    record: Record
    steps: int

    @property
    def defaults(self) -> Node:
        """What constructors assume where the configuration is silent: reports compare cells without importing them."""
        config = self.config
        nodes = {"method": config["method"], "protocol": config["protocol"], "evaluation": config["evaluation"]}
        if config["data"]["augment"] is not None:
            nodes["augment"] = config["data"]["augment"]
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
    def samples(self) -> int:
        """Samples made of the training images, where these are augmented; 0 where they are taken as they are."""
        augmentation = augmentation_of(self.config)
        return len(augmentation) if augmentation else 0

    @property
    def title(self) -> str:
        """One line that tells this cell from others."""
        normal = "+".join(self.normal)
        data = " ".join(filter(None, (self.choices["data"], self.config["data"]["source"].get("category"))))
        return f"{self.choices['method']} · {data} · {normal} · seed {self.config['seed']}"


class Sources:
    """The data sets of cells that are planned together: files are listed once, and what is not there is missed once."""

    def __init__(self) -> None:
        self._found: dict[str, Source] = {}
        self._missed: dict[str, NoveltyError] = {}

    def images(self, data: Node, paths: Node) -> Images:
        """The images of a cell; NoveltyError where there are none."""
        place = key({"source": data["source"], "root": paths["data"]})
        form = key({"place": place, "size": data["image_size"], "channels": data["channels"], "cache": paths["cache"]})
        if form in self._missed:
            raise self._missed[form]
        try:
            if place not in self._found:
                self._found[place] = build(data["source"], root=Path(paths["data"]).expanduser())
            kept = Path(paths["cache"]).expanduser()
            return cache.load(self._found[place], data["image_size"], kept, channels=data["channels"])
        except NoveltyError as error:
            self._missed[form] = error
            raise


def make_plan(
    cfg: DictConfig, choices: dict[str, str], sources: Sources | None = None, share: Share | None = None
) -> Plan:
    """Check the configuration, find the images, split them and name the keys; nothing is trained or written.

    sources: of cells that are planned together.  share: what a launcher will give the cell, if it is not to run here.
    Raises NoveltyError for everything a person can get wrong up to here.
    """
    config = check(cfg)
    config["hardware"] = settle_hardware(config["hardware"], share)
    data, budget, paths = config["data"], config["budget"], config["paths"]
    images = (sources or Sources()).images(data, paths)
    protocol = build(config["protocol"])
    classes = protocol.classes(images)
    first_of = classes if protocol.one_of and config["protocol"]["normal"] is None else ()
    normal = tuple(classes[i] for i in protocol.normal_classes(images))
    split = cap(protocol.split(images), budget["max_train"], budget["max_test"])
    if protocol.one_of:
        config["protocol"]["normal"] = list(normal)
    augmentation = augmentation_of(config)
    with torch.device("meta"):  # what a constructor refuses is refused here, before anything is written
        method: Method = build(config["method"], info=data_info(images, split, augmentation))
    if config["evaluation"]["pixel"] is not None:
        _refuse_pixels(method.maps, images, split, choices)

    training_method, scoring, weights = _method_payload(config["method"])
    wraps: str | None = getattr(target(config["method"], "method"), "wraps", None)
    training = {
        "framework": [VERSION, cache.FORMAT],
        "method": training_method,
        "data": {"digest": images.digest, "channels": data["channels"], "image_size": images.pixels.shape[-1]},
        "split": array_digest(split.train, split.validation),
        "seed": config["seed"],
        "precision": config["hardware"]["precision"],
        "processes": processes(config["hardware"]),
    }
    if augmentation is not None:
        training["augment"] = [data["augment"], augmentation.version, len(augmentation)]
    training_key = key(training)
    scoring_key = key(
        {
            "training": training_key,
            "scoring": scoring,
            "split": array_digest(split.test, split.novel),
            "reference": REFERENCE_IMAGES,
            "maps": config["maps"],
            **_score_precision(config["hardware"]),
            **{part: config["evaluation"][part] for part in ("robustness", "stability")},
        }
    )
    evaluation_key = key({"scoring": scoring_key, "evaluation": config["evaluation"], "metrics": metrics.VERSION})
    runs = Path(paths["runs"]).expanduser()
    trained = choices[f"method@method.{wraps}"] if wraps else choices["method"]
    record = Record(runs, trained, choices["data"], training_key, scoring_key, evaluation_key)
    kept = ("method", "data", "protocol", "budget", *([f"method@method.{wraps}"] if wraps else []))
    chosen = {name: choices[name] for name in kept}
    count = len(split.train) if augmentation is None else len(augmentation)
    steps = method.schedule.steps(count, processes(config["hardware"]))
    return Plan(config, chosen, images, split, normal, first_of, weights, record, steps)


def _score_precision(hardware: Node) -> Node:
    """What the scoring key says of it: nothing of the default, which keys are older than."""
    precision = hardware["score_precision"]
    return {} if precision == "32-true" else {"precision": precision}


def _refuse_pixels(maps: bool, images: Images, split: Split, choices: dict[str, str]) -> None:
    """NoveltyError where no pixel can be evaluated: before hours of training, not after."""
    remedy = "leave out evaluation=pixel"
    if not maps:
        raise NoveltyError(f"method={choices['method']} gives no anomaly map with its primary score: {remedy}.")
    if images.masks is None or not images.masks[torch.from_numpy(split.test[split.novel])].any():
        raise NoveltyError(
            f"data={choices['data']} has no masks of defects to hold anomaly maps to: choose data=mvtec_ad, "
            f"a folder with masks (data=mvtec_folder), or {remedy}."
        )


def augmentation_of(config: Node) -> Augmentation | None:
    """What makes samples of the training images, within the budget; None where they stay as they are."""
    if config["data"]["augment"] is None:
        return None
    augmentation: Augmentation = build(config["data"]["augment"])
    augmentation.limit = config["budget"]["max_train"]
    return augmentation


def _method_payload(node: Node) -> tuple[Node, Node, dict[str, str]]:
    """What of a method's arguments is trained, what only scores, and the digests of its weight files.

    Nested methods are taken apart alike; a weight file is replaced by its content's digest. What a method `wraps` is
    what is trained: it scores by a class of its own.
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
            value = content_of(value, getattr(cls, "known_weights", {}))
            if value is not None:
                weights[name] = value
        (scoring if name in getattr(cls, "scoring", ()) else training)[name] = value
    if wraps := getattr(cls, "wraps", None):
        inner = training.pop(wraps)
        return inner, scoring | {"wrapped by": training}, weights
    return training, scoring, weights


def split_sizes(plan: Plan) -> dict[str, int]:
    """Numbers of images by role, for the record."""
    novel = int(np.count_nonzero(plan.split.novel))
    return {
        "train": len(plan.split.train),
        "validation": len(plan.split.validation),
        "test_normal": len(plan.split.test) - novel,
        "test_novel": novel,
    }
