"""`stats`: what the filters of a backbone answer to a folder of images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

from novelty.config import compose_cell
from novelty.errors import NoveltyError
from novelty.options import options

if TYPE_CHECKING:
    from torch import Tensor

BATCH = 64


def main(typed: Sequence[str]) -> None:
    """Measure and write the statistics of a backbone's features."""
    import torch

    from novelty.nn.backbones import Backbone, feature_statistics, load_trunk, save_statistics

    defaults = {"backbone": "vgg19", "weights": "imagenet", "images": "", "out": "stats.json", "size": "224"}
    chosen = options(typed, defaults)
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

    from novelty.data.datamodule import to_float
    from novelty.data.decode import SUFFIXES, decode
    from novelty.data.resize import to_square

    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    for start in track(range(0, len(paths), BATCH), "Measuring", transient=True):
        yield to_float(torch.cat([to_square(decode(path, 3)[None], size) for path in paths[start : start + BATCH]]))
