"""Holes of noise in images, and what an autoencoder and its projection fill them with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from novelty.data.datamodule import to_float
from novelty.errors import NoveltyError
from novelty.figures.base import Columns, Numbers
from novelty.figures.cells import Run, Trained, distinct
from novelty.figures.sheet import INPUT, Sheet
from novelty.methods.energy_projection.inpaint import Holes, baseline, inpaint, noise_squares, quality
from novelty.methods.energy_projection.projection import EnergyProjection

SHARE = 20 / 64
"""Side of a hole as a share of the image's [D]."""

HOLE, KNOWN, BLIND = "hole", "known", "blind"
ONE_PASS, PROJECTED, FREE = "one pass", "projected", "lambda 0"
WORDS = {
    INPUT: "original",
    HOLE: "with a hole",
    KNOWN: "place of the hole known: PSNR inside in dB",
    BLIND: "place not known",
    FREE: "lambda = 0",
}


class Inpainting(Sheet):
    """A block a column (and row, where there are several): normal test images below each other, each with a square of
    noise and with what fills it, by one pass of the autoencoder and by the projection; below them the PSNR in the hole.

    images: of the test set, the first normal ones.
    hole:   pixels of a side of the square; None: 20 of 64 [D], in proportion.
    seed:   of place and noise.
    blind:  whether it is filled without its place, too (eq. 8 in place of eq. 7).
    """

    def __init__(
        self,
        *,
        images: int = 6,
        hole: int | None = None,
        seed: int = 0,
        blind: bool = True,
        names: Mapping[str, str] | None = None,
        paper: str = "",
    ) -> None:
        for option, value in (("images", images), ("hole", hole)):
            if value is not None and value < 1:
                raise NoveltyError(f"figure.{option} is {value}: it must be at least 1.")
        super().__init__(normal=images, novel=0, maps=False, names={**WORDS, **(names or {})}, paper=paper)
        self.hole, self.seed, self.blind = hole, seed, blind

    def gather(self, runs: Sequence[Run]) -> Numbers:
        """One table: block, row (is the place known), picture (what filled it), image, novel, psnr, ssim, l1."""
        several = len({run.cell.row for run in runs}) > 1
        found: list[tuple[Any, ...]] = []
        pictures: dict[tuple[str, ...], Tensor] = {}
        for run in (run for run in runs if run.record is not None):
            assert run.load is not None
            trained = run.load()
            block = f"{run.cell.column} · {run.cell.row}" if several else run.cell.column
            places = self._choose(run, trained)
            index = trained.split.test[places]
            images = to_float(trained.images.pixels[torch.from_numpy(index)])
            holes = noise_squares(images, self.hole or max(1, round(images.shape[-1] * SHARE)), self.seed)
            pictures |= {(block, "", INPUT): images, (block, "", HOLE): holes.images}
            for (way, name), filled in self._fill(run, trained, holes).items():
                pictures[block, way, name] = filled.clamp(0, 1)
                measured = [values.tolist() for values in quality(images, filled, holes.mask)]
                for image, *values in zip(index.tolist(), *measured, strict=True):
                    found.append((block, way, name, image, False, *values))
        names = ("block", "row", "picture", "image", "novel", "psnr", "ssim", "l1")
        columns = {n: np.array(c) for n, c in zip(names, zip(*found, strict=True), strict=True)}
        return Numbers({"numbers": columns}, {}, pictures)

    def _fill(self, run: Run, trained: Trained, holes: Holes) -> dict[tuple[str, str], Tensor]:
        """(way, picture) -> images (n, C, S, S) on the CPU."""
        method = trained.method
        if not isinstance(method, EnergyProjection):
            raise NoveltyError(
                f"{run.title} fills no holes: choose method=energy_projection, its autoencoder with "
                "method@method.autoencoder=NAME."
            )
        parts: list[dict[tuple[str, str], Tensor]] = []
        with torch.inference_mode(), torch.autocast(trained.device.type, enabled=False):
            for images, mask in zip(*(torch.split(part, trained.batch) for part in holes), strict=True):
                here = Holes(images.to(trained.device), mask.to(trained.device))
                made = {
                    (KNOWN, ONE_PASS): baseline(method, here),
                    (KNOWN, PROJECTED): inpaint(method, here).images,
                    (KNOWN, FREE): inpaint(method, here, l1=0.0).images,
                }
                if self.blind:
                    made |= {
                        (BLIND, ONE_PASS): baseline(method, here, blind=True),
                        (BLIND, PROJECTED): inpaint(method, here, blind=True).images,
                    }
                parts.append({key: filled.float().cpu() for key, filled in made.items()})
        return {key: torch.cat([part[key] for part in parts]) for key in parts[0]}

    def _values(
        self, table: Columns, block: str, keys: Sequence[tuple[str, ...]]
    ) -> list[tuple[tuple[str, ...], np.ndarray]]:
        found = []
        for key in (key for key in keys if key[1]):
            here = (table["block"] == block) & (table["row"] == key[1]) & (table["picture"] == key[2])
            found.append((key, table["psnr"][here]))
        return found

    def finding(self, numbers: Numbers) -> str:
        table = numbers.tables["numbers"]
        said = []
        for way in distinct(table["row"]):
            parts = []
            for name in distinct(table["picture"][table["row"] == way]):
                here = (table["row"] == way) & (table["picture"] == name)
                psnr, ssim, l1 = (table[value][here].mean() for value in ("psnr", "ssim", "l1"))
                parts.append(f"{self.name(name)} {psnr:.2f} dB, SSIM {ssim:.3f}, L1 {l1:.3f}")
            said.append(f"{'place known' if way == KNOWN else 'place not known'}: {'; '.join(parts)}")
        return f"inside the hole, mean over images: {'. '.join(said)}"
