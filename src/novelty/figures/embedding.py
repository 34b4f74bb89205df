"""Groups of images in the plane, as a method's own features place them (t-SNE)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from novelty.data.datamodule import to_float
from novelty.errors import NoveltyError
from novelty.figures import style
from novelty.figures.base import Columns, Numbers
from novelty.figures.cells import CellFigure, Run, Trained, distinct, one_cell_each
from novelty.tables import Layout

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing

NOVEL = "novel"


@runtime_checkable
class Embeds(Protocol):
    """What a method offers that can be drawn so."""

    def embed(self, images: Tensor) -> dict[str, Tensor]:
        """Features (B, d) of images (B, C, H, W), of what the method makes of them, by name.

        First comes what it looks at when it scores an image; what it trains against (negatives) follows.
        """


class Embedding(CellFigure):
    """t-SNE of all that a method makes of normal test images, beside novel ones as it scores them; one panel a cell.

    images:     the first so many normal test images, and as many novel ones.
    perplexity: of t-SNE; lowered where there are few images.
    seed:       of t-SNE: it is drawn alike every time.
    """

    trained = True

    def __init__(
        self,
        *,
        images: int = 300,
        perplexity: float = 30.0,
        seed: int = 0,
        names: Mapping[str, str] | None = None,
        paper: str = "",
    ) -> None:
        super().__init__(names=names, paper=paper)
        if images < 2 or perplexity <= 0:
            raise NoveltyError(
                f"figure.images is {images} and figure.perplexity {perplexity}: at least 2 images, and above 0."
            )
        self.images, self.perplexity, self.seed = images, perplexity, seed

    def admit(self, layout: Layout) -> None:
        one_cell_each(layout, seeds=False)

    def gather(self, runs: Sequence[Run]) -> Numbers:
        """One table: panel, group, x, y, and the other group that holds the nearest neighbour among the features."""
        several = len({run.cell.row for run in runs}) > 1
        found: list[tuple[Any, ...]] = []
        for run in (run for run in runs if run.record is not None):
            assert run.load is not None
            features, groups = self._features(run, run.load())
            nearest = nearest_groups(features, groups)
            parts = (run.cell.row if several else "", run.cell.column)
            panel = " · ".join(self.name(part) for part in parts if part)
            for group, other, (x, y) in zip(groups.tolist(), nearest, self._plane(features).tolist(), strict=True):
                found.append((panel, group, other, x, y))
        names = ("panel", "group", "nearest", "x", "y")
        return Numbers({"numbers": {n: np.array(c) for n, c in zip(names, zip(*found, strict=True), strict=True)}}, {})

    def _features(self, run: Run, trained: Trained) -> tuple[np.ndarray, np.ndarray]:
        """Features (n, d) float64 and the group of each, (n,)."""
        method, split = trained.method, trained.split
        if not isinstance(method, Embeds):
            raise NoveltyError(f"{type(method).__name__} of {run.title} has no features to show: it has no `embed`.")
        normal, novel = (split.test[split.novel == kind][: self.images] for kind in (False, True))
        parts = self._embedded(method, trained, normal)
        scored = next(iter(parts))
        parts[NOVEL] = self._embedded(method, trained, novel)[scored]
        features = torch.cat(list(parts.values())).double().cpu().numpy()
        if not np.isfinite(features).all():
            raise NoveltyError(f"The features of {run.title} are not finite.")
        return features, np.repeat(list(parts), [len(part) for part in parts.values()])

    def _embedded(self, method: Embeds, trained: Trained, index: np.ndarray) -> dict[str, Tensor]:
        images = to_float(trained.images.pixels[torch.from_numpy(index)])
        with torch.inference_mode(), torch.autocast(trained.device.type, enabled=False):
            parts = [method.embed(part.to(trained.device)) for part in torch.split(images, trained.batch)]
        return {name: torch.cat([part[name].float() for part in parts]) for name in parts[0]}

    def _plane(self, features: np.ndarray) -> np.ndarray:
        """(n, 2), the same on every call."""
        from sklearn.manifold import TSNE

        perplexity = min(self.perplexity, (len(features) - 1) / 3)
        plane = TSNE(perplexity=perplexity, init="pca", random_state=self.seed).fit_transform(features)
        return np.asarray(plane, dtype=np.float64)

    def finding(self, numbers: Numbers) -> str:
        table = numbers.tables["numbers"]
        novel = table["group"] == NOVEL
        others = [group for group in distinct(table["group"]) if group != NOVEL]
        shares = {group: float((table["nearest"][novel] == group).mean()) for group in others}
        return f"in the features {np.count_nonzero(novel)} novel images are nearest to " + ", ".join(
            f"{self.name(group)} {100 * share:.0f} %" for group, share in shares.items()
        )

    def draw(self, numbers: Numbers) -> Drawing:
        table = numbers.tables["numbers"]
        titles, groups = distinct(table["panel"]), distinct(table["group"])
        across = min(3, len(titles))
        side = style.WIDTH / across if across > 1 else 4.2
        drawing = style.sheet(height=(side + 0.25) * -(-len(titles) // across), width=side * across)
        for axes, title in zip(style.panels(drawing, titles, across), titles, strict=True):
            self._draw_panel(axes, table, title, groups)
        return drawing

    def _draw_panel(self, axes: Axes, table: Columns, panel: str, groups: Sequence[str]) -> None:
        for place, group in enumerate(groups):
            here = (table["panel"] == panel) & (table["group"] == group)
            axes.scatter(
                table["x"][here], table["y"][here], s=7, color=style.COLOURS[place], marker="osD^v<"[place],
                alpha=0.75, linewidths=0,
            )  # fmt: skip
        axes.set_xticks([])
        axes.set_yticks([])
        axes.spines[:].set_visible(False)  # neither axis means anything
        style.key(axes, [(self.name(group), style.COLOURS[place]) for place, group in enumerate(groups)])


def nearest_groups(features: np.ndarray, groups: np.ndarray) -> list[str]:
    """For each of features (n, d) the group (of another name) that holds its nearest neighbour."""
    from scipy.spatial.distance import cdist

    found = np.empty(len(features), dtype=object)
    for group in distinct(groups):
        inside = groups == group
        if inside.all():
            found[inside] = group
            continue
        found[inside] = groups[~inside][cdist(features[inside], features[~inside]).argmin(1)]
    return [str(name) for name in found]
