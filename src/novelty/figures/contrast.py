"""How losses depend on contrast: Figure 1 of PIAD (Tuluptceva et al. 2019)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from novelty.errors import NoveltyError
from novelty.figures import style, trunk
from novelty.figures.base import Columns, Figure, Material, Numbers, change, printed
from novelty.info import WeightsFile
from novelty.methods.piad.losses import absolute_error, relative_error, squared_error
from novelty.nn.backbones import Backbone, Statistics, VGGTrunk, normalise

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing

_IMAGENET, _AUTO = WeightsFile("imagenet"), WeightsFile("auto")

PERC, PERC_L1, REL_PERC_L1 = LOSSES = ("perc", "perc_l1", "rel_perc_l1")
LOOKS = {PERC: (style.ORANGE, "o"), PERC_L1: (style.GREEN, "s"), REL_PERC_L1: (style.BLUE, "D")}

PRINTED_AT = 0.2
"""The reduction of contrast at which the paper prints the fall of the perceptual loss (Figure 1b)."""


def reduce_contrast(images: Tensor, share: float) -> Tensor:
    """Images (B, C, H, W) whose range of values [a, b], over all channels, is narrowed symmetrically by ``share``.

    (0.1, 0.5, 0.9) with a share of 0.2 become (0.18, 0.5, 0.82). 0 leaves the image, 1 makes it (a + b) / 2: completely
    grey. The paper says "histogram stretching with reduced dynamic range"; the middle is kept in place [D].
    """
    low, high = images.flatten(1).aminmax(dim=1)
    middle = ((low + high) / 2).view(-1, *[1] * (images.dim() - 1))
    return torch.lerp(images, middle, share)


def shift_right(images: Tensor, pixels: int) -> Tensor:
    """Images (B, C, H, W) moved to the right; what opens on the left is filled by reflection at the border [D]."""
    return functional.pad(images, (pixels, 0, 0, 0), mode="reflect")[..., : images.shape[-1]]


def losses(network: VGGTrunk, statistics: Statistics, images: Tensor, others: Tensor) -> dict[str, Tensor]:
    """Each loss between two batches (B, C, H, W) in [0, 1], by its name: (B,), not symmetric in `rel_perc_l1`."""
    x, y = network(images), network(others)
    found = {PERC: squared_error(x, y)}
    x, y = (normalise(f, statistics.mean, statistics.std) for f in (x, y))
    return found | {PERC_L1: absolute_error(x, y), REL_PERC_L1: relative_error(x, y)}


class ContrastPairs(Figure):
    """Pairs of an image and itself shifted, at falling contrast, and what three losses say of each pair.

    shift:      to the right, in pixels [P: 5; the direction and the filled border are D, see `shift_right`].
    reductions: of contrast, from 0 on [P: 0, 0.2 and 0.4].
    images:     how many are measured; the paper shows one of LSUN [D].
    backbone, weights, statistics: the features, as of `novelty.methods.piad.PIAD`.
    """

    def __init__(
        self,
        *,
        shift: int = 5,
        reductions: Sequence[float] = (0.0, 0.2, 0.4),
        images: int = 64,
        backbone: Backbone = "vgg19",
        weights: WeightsFile = _IMAGENET,
        statistics: WeightsFile = _AUTO,
    ) -> None:
        super().__init__(images=images)
        if shift < 1:
            raise NoveltyError(f"figure.shift is {shift}: the image must move by at least one pixel.")
        ordered = len(reductions) > 1 and list(reductions) == sorted(set(reductions))
        if not ordered or reductions[0] != 0 or reductions[-1] > 1:
            raise NoveltyError(
                f"figure.reductions is {list(reductions)}: it must rise from 0 to at most 1, as [0,0.2]."
            )
        self.shift, self.reductions = shift, tuple(reductions)
        self.backbone, self.weights, self.statistics = backbone, weights, statistics

    def measure(self, material: Material) -> Numbers:
        """One table: image, reduction, and the three losses of the pair."""
        size = material.images.pixels.shape[-1]
        if self.shift >= size:
            raise NoveltyError(f"figure.shift is {self.shift}: it must be below the {size} pixels of an image.")
        network, statistics, about = trunk.load(self.backbone, self.weights, self.statistics, material.device, size)
        chosen, images = material.chosen(self.images), material.normal(self.images)
        columns: dict[str, list[np.ndarray]] = {name: [] for name in ("image", "reduction", *LOSSES)}
        for reduction in self.reductions:
            columns["image"].append(chosen)
            columns["reduction"].append(np.full(len(chosen), reduction))
            parts = [
                losses(network, statistics, *self.pair(part.to(material.device), reduction))
                for part in torch.split(images, material.batch)
            ]
            for name in LOSSES:
                columns[name].append(torch.cat([part[name] for part in parts]).cpu().numpy())
        table = {name: np.concatenate(values) for name, values in columns.items()}
        if not (table[PERC][: len(chosen)] > 0).any():
            raise NoveltyError(
                "No image changes when it is shifted, so there is no loss to compare: take other images."
            )
        return Numbers({"numbers": table}, about)

    def pair(self, images: Tensor, reduction: float) -> tuple[Tensor, Tensor]:
        """The images at this contrast, and the same ones shifted."""
        reduced = reduce_contrast(images, reduction)
        return reduced, shift_right(reduced, self.shift)

    def finding(self, numbers: Numbers) -> str:
        table = numbers.tables["numbers"]
        at = self.reductions[1]
        changes = {name: change(relative(table, name)[at]) for name in LOSSES}
        fall = printed("piad/fig1_perceptual_drop")
        paper = f" (printed, of one image of LSUN: {fall} %)" if at == PRINTED_AT else ""
        return (
            f"perceptual loss {changes[PERC]} at contrast -{at:g}{paper}, perceptual-L1 {changes[PERC_L1]}, "
            f"relative-perceptual-L1 {changes[REL_PERC_L1]}; mean ± std over {count(table)} images"
        )

    def draw(self, numbers: Numbers, material: Material) -> Drawing:
        """Left: the pairs of the first image; right: the losses relative to full contrast, mean and middle half."""
        table = numbers.tables["numbers"]
        drawing = style.sheet(height=2.75)
        halves = drawing.add_gridspec(1, 2, width_ratios=(1.3 * len(self.reductions), 2.3))
        columns = halves[0].subgridspec(1, len(self.reductions))
        pairs = [drawing.add_subplot(columns[place]) for place in range(len(self.reductions))]
        self._draw_pairs(pairs, table, material.normal(1))
        self._draw_lines(drawing.add_subplot(halves[1]), table)
        return drawing

    def _draw_pairs(self, pairs: Sequence[Axes], table: Columns, image: Tensor) -> None:
        """One column a reduction: the image above the shifted one, and two losses below them."""
        first = table["image"] == table["image"][0]
        for place, (axes, reduction) in enumerate(zip(pairs, self.reductions, strict=True)):
            style.show_images(axes, [shown[0] for shown in self.pair(image, reduction)])
            axes.set_title(f"({chr(ord('a') + place)}) " + (f"−{reduction:g}" if reduction else "original"))
            for line, name in enumerate((PERC, REL_PERC_L1)):
                full, here = table[name][first][0], table[name][first][place]
                text = f"{here:#.3g}".rstrip(".") + (f" ({signed(here / full - 1)})" if place and full > 0 else "")
                colour = LOOKS[name][0]
                style.write_below(axes, text, line, colour)
                if not place:
                    style.write_below(axes, named(name), line, colour, outside=True)
        size = image.shape[-1]
        pairs[0].set_yticks([size * 0.5, size * 1.5 + style.between(size)], ["image", f"shifted\nby {self.shift} px"])
        pairs[0].tick_params(axis="y", length=0, labelsize=8)

    def _draw_lines(self, axes: Axes, table: Columns) -> None:
        ends = {}
        for name in LOSSES:
            colour, marker = LOOKS[name]
            values = relative(table, name)
            mean = [float(v.mean()) for v in values.values()]
            lower, upper = np.array([np.quantile(v, (0.25, 0.75)) for v in values.values()]).T
            axes.fill_between(self.reductions, lower, upper, color=colour, alpha=0.15, linewidth=0)
            axes.plot(self.reductions, mean, color=colour, marker=marker)
            ends[named(name)] = (self.reductions[-1], mean[-1], colour)
        axes.axhline(1, color=style.FAINT, linewidth=0.8, zorder=0)
        axes.set_xticks(self.reductions)
        axes.set_ylim(bottom=0)
        axes.set_xlabel("reduction of contrast")
        axes.set_title("loss relative to (a)")
        style.remark(axes, 0.04, 0.05, f"mean and middle half\nof {count(table)} images")
        style.name_lines(axes, ends)


def signed(share: float) -> str:
    """A change in per cent: -0.336 is "−33.6 %"."""
    return f"{100 * share:+.1f} %".replace("-", "−")


def named(loss: str) -> str:
    """A loss as the paper writes it: rel-perc-L1."""
    return loss.replace("_l1", "_L1").replace("_", "-")


def count(table: Columns) -> int:
    """How many images were measured."""
    return len(np.unique(table["image"]))


def relative(table: Columns, loss: str) -> dict[float, np.ndarray]:
    """Reduction -> each image's loss divided by its loss at full contrast; images that do not change are left out."""
    full = table[loss][table["reduction"] == 0].astype(np.float64)
    at = {float(c): table[loss][table["reduction"] == c] for c in np.unique(table["reduction"])}
    return {reduction: found[full > 0] / full[full > 0] for reduction, found in at.items()}
