"""What the features themselves look like: Figure 3 of PIAD (Tuluptceva et al. 2019)."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

import numpy as np
import torch

from novelty.errors import NoveltyError
from novelty.figures import style, trunk
from novelty.figures.base import Columns, Figure, Material, Numbers, printed
from novelty.figures.contrast import count, reduce_contrast
from novelty.info import WeightsFile
from novelty.nn.backbones import Backbone, feature_statistics

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing

_IMAGENET, _AUTO = WeightsFile("imagenet"), WeightsFile("auto")

SHOWN = (0.2, 0.4)
"""Reductions of contrast that Figure 1 shows as (b) and (c)."""


class FilterResponses(Figure):
    """Left: how much the filters of the layer differ in scatter; right: how their responses shrink with contrast.

    steps:  reductions of contrast from 0 to 1, both included, evenly spaced [D: 11].
    images: how many are measured on the right; the paper shows one of LSUN [D].
    backbone, weights, statistics: the features, as of `novelty.methods.piad.PIAD`. The left side shows the
    statistics; where there are none (none; auto with random weights) they are measured on the images.
    """

    def __init__(
        self,
        *,
        steps: int = 11,
        images: int = 64,
        backbone: Backbone = "vgg19",
        weights: WeightsFile = _IMAGENET,
        statistics: WeightsFile = _AUTO,
    ) -> None:
        super().__init__(images=images)
        if steps < 2:
            raise NoveltyError(f"figure.steps is {steps}: full contrast and complete grey are two already.")
        self.reductions = [step / (steps - 1) for step in range(steps)]
        self.backbone, self.weights, self.statistics = backbone, weights, statistics

    def measure(self, material: Material) -> Numbers:
        """numbers: image, reduction, l1 = ||f||_1 / (C H W) of the raw features; filters: filter, mean, std."""
        network, statistics, about = trunk.load(
            self.backbone, self.weights, self.statistics, material.device, material.images.pixels.shape[-1]
        )
        chosen, images = material.chosen(self.images), material.normal(self.images)
        batches = torch.split(images, material.batch)
        if (statistics.std == 1).all():
            statistics = feature_statistics(network, batches)
            about["statistics"] = statistics.source
        norms = []
        for reduction in self.reductions:
            parts = [reduce_contrast(part.to(material.device), reduction) for part in batches]
            norms += [network(part).abs().flatten(1).mean(1).cpu().numpy() for part in parts]
        numbers = {
            "image": np.tile(chosen, len(self.reductions)),
            "reduction": np.repeat(self.reductions, len(chosen)),
            "l1": np.concatenate(norms),
        }
        mean, std = statistics.mean.cpu().numpy(), statistics.std.cpu().numpy()
        return Numbers(
            {"numbers": numbers, "filters": {"filter": np.arange(len(std)), "mean": mean, "std": std}}, about
        )

    def finding(self, numbers: Numbers) -> str:
        std = numbers.tables["filters"]["std"]
        low, high = spread(std)
        factor = (
            f"a factor of {high / low:.1f} apart" if low > 0 else "without limit apart (some filters never respond)"
        )
        paper = "-".join(map(str, printed("piad/fig3_std_factor")))
        table = numbers.tables["numbers"]
        norms = {reduction: values.mean() for reduction, values in by_reduction(table).items()}
        kept = [f"{norms[c] / norms[0.0]:.2f} at contrast -{c:g}" for c in SHOWN if c in norms]
        return (
            f"90 % of the {len(std)} filters' std lie between {low:.2f} and {high:.2f}, {factor} (printed: {paper}); "
            f"relative to the image the features' L1 norm is {', '.join(kept)}"
            f"{' and ' if kept else ''}{norms[1.0] / norms[0.0]:.2f} at complete grey; mean of {count(table)} images"
        )

    def draw(self, numbers: Numbers, material: Material) -> Drawing:
        drawing = style.sheet(height=2.4)
        left, right = drawing.subplots(1, 2, gridspec_kw={"wspace": 0.08})
        self._draw_filters(left, numbers)
        self._draw_norms(right, numbers.tables["numbers"])
        return drawing

    def _draw_filters(self, axes: Axes, numbers: Numbers) -> None:
        std = numbers.tables["filters"]["std"]
        axes.hist(std, bins=32, color=style.BLUE, edgecolor="white", linewidth=0.4)
        low, high = spread(std)
        top = axes.get_ylim()[1]
        axes.plot([low, high], [1.04 * top] * 2, color=style.INK, linewidth=0.8, marker="|")
        text = "90 % of the filters" + (f": factor {high / low:.1f}" if low > 0 else "")
        axes.annotate(text, (low, 1.04 * top), (0, 5), textcoords="offset points", fontsize=7)
        axes.set_ylim(0, 1.22 * top)
        source = textwrap.shorten(numbers.provenance["statistics"].split(";")[0], 60, placeholder=" ...")
        axes.set_xlabel(f"std of a filter's responses\n{source}")
        axes.set_ylabel("filters")
        axes.set_title(
            f"{len(std)} filters of {numbers.provenance['backbone'].split()[0]}, {numbers.provenance['layer']}"
        )

    def _draw_norms(self, axes: Axes, table: Columns) -> None:
        norms = by_reduction(table)
        reductions = list(norms)
        mean = [float(v.mean()) for v in norms.values()]
        lower, upper = np.array([np.quantile(v, (0.25, 0.75)) for v in norms.values()]).T
        for reduction, name in zip(SHOWN, "bc", strict=True):
            axes.axvline(reduction, ymax=0.94, color=style.FAINT, linewidth=0.8, zorder=0)
            style.remark(axes, reduction, 0.95, f"({name})", ha="center", transform=axes.get_xaxis_transform())
        axes.fill_between(reductions, lower, upper, color=style.BLUE, alpha=0.15, linewidth=0)
        axes.plot(reductions, mean, color=style.BLUE, marker="o")
        axes.set_ylim(bottom=0)
        axes.set_xlabel("reduction of contrast")
        axes.set_ylabel("$\\|f\\|_1$ / (C H W)")
        axes.set_title("L1 norm of the features")
        style.remark(axes, 0.98, 0.8, f"mean and middle half\nof {count(table)} images", ha="right", va="top")


def spread(std: np.ndarray) -> tuple[float, float]:
    """The 5 and the 95 % quantile."""
    low, high = np.quantile(std, (0.05, 0.95))
    return float(low), float(high)


def by_reduction(table: Columns) -> dict[float, np.ndarray]:
    """Reduction -> the norms of all images, float64."""
    return {float(c): table["l1"][table["reduction"] == c].astype(np.float64) for c in np.unique(table["reduction"])}
