"""`python -m novelty.data`: which data sets are here, and feature statistics from any folder of images.

usage: python -m novelty.data info [data=NAME]
       python -m novelty.data stats backbone=vgg19|vgg16 weights=imagenet|FILE images=FOLDER [out=stats.json] [size=224]

info    each data set's classes, whether it is there in paths.data (NOVELTY_DATA), and what copy; downloads nothing.
stats   mean and standard deviation of every relu4_2 filter over the images of FOLDER (short side resized to `size`,
        centre cut out): what PIAD normalises its features with. The published values are of VGG-19 on ImageNet.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, cast

from novelty.config import close_to, compose_cell, conf_dir, names_under
from novelty.doors import door
from novelty.errors import NoveltyError

if TYPE_CHECKING:
    from torch import Tensor

BATCH = 64


def _options(arguments: list[str], allowed: dict[str, str]) -> dict[str, str]:
    chosen = dict(allowed)
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if not equals or name not in allowed:
            raise NoveltyError(
                f"{argument} is no option{close_to(name, allowed)} Options: {', '.join(allowed)} (name=value)."
            )
        chosen[name] = value
    return chosen


def info(arguments: list[str]) -> None:
    """Print what is known of each data set and of the copy that lies here."""
    from rich.console import Console
    from rich.table import Table

    from novelty.check import bind, build
    from novelty.data.source import Source

    known = names_under(conf_dir() / "data")
    wanted = _options(arguments, {"data": ""})["data"]
    if wanted and wanted not in known:
        raise NoveltyError(f"data={wanted} is no data set{close_to(wanted, known)} Known: {', '.join(known)}.")
    grid = Table(box=None, pad_edge=False)
    for heading in ("data", "here", "classes", "about"):
        grid.add_column(heading)
    root = None
    for name in [wanted] if wanted else known:
        cfg = compose_cell([f"data={name}"]).cfg
        root = Path(cfg.paths.data).expanduser()
        node = bind(dict(cfg.data.source), "data.source", Source)
        if "download" in node:
            node["download"] = False
        about = (conf_dir() / "data" / f"{name}.yaml").read_text(encoding="utf-8").splitlines()[0].lstrip("# ")
        source: Source = build(node, root=root)
        try:
            source.fingerprint()
            grid.add_row(name, source.copy, _few(source.classes), about)
        except NoveltyError as error:
            grid.add_row(name, "missing", "", str(error) if wanted else about)
    console = Console(highlight=False)
    console.print(grid)
    console.print(f"Looked in {root} (paths.data, NOVELTY_DATA).", soft_wrap=True)


def _few(names: tuple[str, ...]) -> str:
    return ", ".join(names[:4]) + (f", ... ({len(names)})" if len(names) > 4 else "")


def stats(arguments: list[str]) -> None:
    """Measure and write the statistics of a backbone's features."""
    import torch

    from novelty.nn.backbones import Backbone, feature_statistics, load_trunk, save_statistics

    defaults = {"backbone": "vgg19", "weights": "imagenet", "images": "", "out": "stats.json", "size": "224"}
    chosen = _options(arguments, defaults)
    if chosen["backbone"] not in ("vgg19", "vgg16"):
        raise NoveltyError(f"backbone={chosen['backbone']} is no choice. Allowed: vgg19, vgg16.")
    if not chosen["size"].isdigit() or int(chosen["size"]) < 8:
        raise NoveltyError(f"size={chosen['size']} must be a whole number of pixels, at least 8.")
    folder = Path(chosen["images"]).expanduser()
    if not chosen["images"] or not folder.is_dir():
        raise NoveltyError(f"images={chosen['images']} must be a folder of images.")
    out = Path(chosen["out"]).expanduser()
    if not out.parent.is_dir():
        raise NoveltyError(f"out={out} cannot be written: there is no folder {out.parent}.")
    torch.hub.set_dir(Path(compose_cell([]).cfg.paths.weights).expanduser())
    trunk = load_trunk(cast(Backbone, chosen["backbone"]), chosen["weights"])
    found = feature_statistics(trunk, _batches(folder, int(chosen["size"])))
    found = found._replace(source=f"{found.source} of {folder.name} at {chosen['size']} px")
    save_statistics(out, trunk, found)
    print(
        f"{out}: {found.source}; mean {found.mean.mean():.3f} ({found.mean.min():.3f} to {found.mean.max():.3f}), "
        f"std {found.std.mean():.3f} ({found.std.min():.3f} to {found.std.max():.3f}) over {len(found.mean)} filters. "
        f"Use it with method.statistics={out}"
    )


def _batches(folder: Path, size: int) -> Iterator[Tensor]:
    """Every image below ``folder`` as float batches (B, 3, size, size)."""
    import torch
    from rich.progress import track

    from novelty.data.cache import to_square
    from novelty.data.datamodule import to_float
    from novelty.data.decode import SUFFIXES, decode

    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    for start in track(range(0, len(paths), BATCH), "Measuring", transient=True):
        yield to_float(torch.cat([to_square(decode(path, 3)[None], size) for path in paths[start : start + BATCH]]))


VERBS = {"info": info, "stats": stats}


def _main() -> None:
    verb, *arguments = sys.argv[1:] or ["--help"]
    if {"-h", "--help"} & {verb, *arguments}:
        print(__doc__)
        return
    if verb not in VERBS:
        raise NoveltyError(f"{verb} is no verb{close_to(verb, VERBS)} Verbs: {', '.join(VERBS)}.")
    VERBS[verb](arguments)


if __name__ == "__main__":
    door(_main)
