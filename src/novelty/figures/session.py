"""A composed figure in front of a person: measured, drawn, written, and what it shows in one line."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig
from rich.console import Console
from rich.text import Text

from novelty.check import Node, bind, build, check, parameters, target
from novelty.config import experiments_dir, names_under
from novelty.data import cache
from novelty.errors import NoveltyError
from novelty.figures import style
from novelty.figures.base import Figure, Material, Numbers
from novelty.figures.writing import write_figure
from novelty.hardware import on_cpu, settle_hardware
from novelty.info import WeightsFile
from novelty.nn.backbones import DIGITS
from novelty.results.environment import environment
from novelty.results.keys import array_digest, content_of, key

VERSION = 1
"""Bumped by hand when a figure's numbers change for another reason than its options and data."""


def draw_composed(cfg: DictConfig, choices: dict[str, str], overrides: list[str]) -> Path:
    """Measure and draw the figure of a configuration; the folder that holds it.

    ``<paths.runs>/figures/<paper>/<figure>/<data>-<key>/``: numbers.csv (and further tables), figure.png, figure.svg,
    about.json. Equal options on equal images share a folder, and a second run writes it anew.
    """
    console = Console(highlight=False, markup=False)
    config = check(cfg)
    name = choices.get("figure", "None")
    if name == "None":
        known = ", ".join(names_under(experiments_dir() / "figure"))
        raise NoveltyError(f"An option of a figure is set, but no figure is named: add figure=NAME, one of {known}.")
    config["figure"] = bind(config["figure"], "figure", Figure)
    figure: Figure = build(config["figure"])
    material, normal, first_of = _material(config)
    folder = _folder(config, choices, material)
    title = f"{name} · {choices['data']} · {'+'.join(normal)}"
    if config["dry_run"]:
        console.print(f"{title}: it would be drawn into {folder}", soft_wrap=True)
        return folder
    if first_of:
        console.print(f"No normal class was named, so the first of {first_of}, {normal[0]} (protocol.normal).")
    with torch.no_grad():
        numbers = figure.measure(material)
    with style.styled():
        drawing = figure.draw(numbers, material)
    finding = figure.finding(numbers)
    command = "python -m novelty.run " + shlex.join(override.removeprefix("++") for override in overrides)
    chosen = {group: choices[group] for group in ("figure", "data", "protocol", "hardware")}
    about = {"finding": finding, "choices": chosen, "normal": list(normal), "command": command}
    write_figure(folder, numbers, drawing, about | _about(config, material, numbers))
    said = Text.assemble((title, "bold"), f": {finding}; data copy: {material.images.copy}.")
    console.print(said, soft_wrap=True)
    console.print(f"Figure: {folder / 'figure.png'}", soft_wrap=True)
    return folder


def _material(config: Node) -> tuple[Material, tuple[str, ...], int]:
    """What the figure is measured on, the normal classes, and of how many the first was taken (0: one was named)."""
    data, paths, hardware = config["data"], config["paths"], settle_hardware(config["hardware"])
    device = torch.device("cpu" if on_cpu(hardware["accelerator"]) or hardware["accelerator"] == "mps" else "cuda")
    if hardware["threads"]:
        torch.set_num_threads(hardware["threads"])
    torch.backends.cudnn.allow_tf32 = False  # float32 means it
    torch.hub.set_dir(Path(paths["weights"]).expanduser())
    source = build(data["source"], root=Path(paths["data"]).expanduser())
    images = cache.load(source, data["image_size"], Path(paths["cache"]).expanduser(), channels=data["channels"])
    protocol = build(config["protocol"])
    classes = protocol.classes(images)
    normal = tuple(classes[i] for i in protocol.normal_classes(images))
    first_of = len(classes) if protocol.one_of and config["protocol"].get("normal") is None else 0
    return Material(images, protocol.split(images), device, hardware["score_batch"]), normal, first_of


def _folder(config: Node, choices: dict[str, str], material: Material) -> Path:
    """Named after what the numbers depend on; weight files count by content, torchvision's own by their keyword."""
    node = config["figure"]
    known = parameters(target(node, "figure"))
    options = dict(node)
    for name, (kind, _) in known.items():
        if kind is WeightsFile:
            options[name] = content_of(options[name], dict.fromkeys(DIGITS.values(), "imagenet"))
    payload = {
        "version": VERSION,
        "figure": options,
        "data": [material.images.digest, *material.images.pixels.shape[1:]],
        "images": array_digest(material.split.train),
    }
    runs = Path(config["paths"]["runs"]).expanduser()
    return runs / "figures" / choices["figure"] / f"{choices['data']}-{key(payload)[:8]}"


def _about(config: Node, material: Material, numbers: Numbers) -> dict[str, Any]:
    return {
        "provenance": numbers.provenance,
        "data": {"digest": material.images.digest, "copy": material.images.copy},
        "config": {name: config[name] for name in ("figure", "data", "protocol", "hardware")},
        "environment": environment(config["hardware"]["accelerator"]),
    }
