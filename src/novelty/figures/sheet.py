"""Pictures of trained methods at work: images, what the method makes of them, where it finds them novel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from matplotlib.patches import Rectangle
from torch import Tensor

from novelty.data.datamodule import to_float
from novelty.errors import NoveltyError
from novelty.evaluation.corruptions import SEVERITIES, Kind, corrupt
from novelty.figures import style
from novelty.figures.base import Columns, Numbers
from novelty.figures.cells import CellFigure, Run, Trained, distinct, one_cell_each
from novelty.figures.overlay import HEAT
from novelty.methods.base import Method
from novelty.methods.tiles import by_tiles
from novelty.results.keys import array_digest
from novelty.scores import Scores
from novelty.tables import Layout

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing

INPUT, MASK, MAP, FOUND = "input", "mask", "map", "found"
LARGEST, GAP, LEFT, TEXT, HEAD = 1.15, 0.05, 0.55, 0.17, 0.42
"""Inches: the side of an image at most, between images, for labels, below each image, above each block."""


class Sheet(CellFigure):
    """A block a column of the figure: its test images below each other, beside each what every row's method shows.

    Rows that were tested on the same images share a block; the scores stand below the last picture of each method.

    normal, novel: test images of each kind.
    order:     "first": as they stand in the test set; "most", "least": by the recorded score of the first row.
    maps:      whether anomaly maps are shown, where there are any; each has its own scale of colours over the block.
    threshold: of the map: what lies above it is shown as a region over the input, in place of the map.
    corruption, severity: done to the images that are shown before a method sees them, as `evaluation.robustness` does;
               where records have scores of images so disturbed, the finding has both AUROCs of the whole test set.
    training:  show what methods are given while they train and make of it, not what they do when they score. Scores,
               which are of the image all the same, then stand below that.
    """

    trained = True

    def __init__(
        self,
        *,
        normal: int = 4,
        novel: int = 4,
        order: Literal["first", "most", "least"] = "first",
        maps: bool = True,
        threshold: float | None = None,
        corruption: Kind | None = None,
        severity: int = 1,
        training: bool = False,
        names: Mapping[str, str] | None = None,
        paper: str = "",
    ) -> None:
        super().__init__(names=names, paper=paper)
        if min(normal, novel) < 0 or normal + novel < 1:
            raise NoveltyError(f"figure.normal is {normal} and figure.novel {novel}: at least one image must be shown.")
        self.normal, self.novel, self.order = normal, novel, order
        self.maps, self.threshold = maps, threshold
        if not 1 <= severity <= SEVERITIES:
            raise NoveltyError(f"figure.severity is {severity}: it is one of 1 to {SEVERITIES}.")
        self.corruption, self.severity, self.training = corruption, severity, training

    def admit(self, layout: Layout) -> None:
        one_cell_each(layout, seeds=False)

    def gather(self, runs: Sequence[Run]) -> Numbers:
        """Table "numbers": block, row, image (its place in the data set), label, novel, score, value, and the pictures.
        Where images are corrupted, table "aurocs": block, row, of all test images as they are, and of all corrupted.

        Pictures have the keys (block, row, name); those of the images themselves have an empty row.
        """
        found: list[tuple[Any, ...]] = []
        aurocs: list[tuple[Any, ...]] = []
        pictures: dict[tuple[str, ...], Tensor] = {}
        tested: dict[str, tuple[str, np.ndarray]] = {}
        for run in (run for run in runs if run.record is not None):
            assert run.load is not None
            trained = run.load()
            split, block = trained.split, run.cell.column
            digest = f"{trained.images.pixels.shape[1:]} {trained.images.digest} {array_digest(split.test)}"
            if block in tested and tested[block][0] != digest:
                block = f"{run.cell.column} · {run.cell.row}"
            if block not in tested:
                tested[block] = (digest, self._choose(run, trained))
            places = tested[block][1]
            score = run.row.score or run.done["primary"]
            shown, scores = self._show(trained, places, score)
            pictures |= {(block, "" if name in (INPUT, MASK) else run.cell.row, name): p for name, p in shown.items()}
            if score not in scores:
                raise NoveltyError(f"{run.title} gives no score {score}; it gives {', '.join(scores)}.")
            for place, value in zip(places.tolist(), scores[score].tolist(), strict=True):
                image = int(split.test[place])
                label = trained.images.classes[trained.images.labels[image]]
                found.append((block, run.cell.row, image, label, bool(split.novel[place]), score, value))
            if self.corruption is not None and f"{score}@{self._corruption}" in run.done["metrics"]:
                both = (run.metric("auroc", score), run.metric("auroc", f"{score}@{self._corruption}"))
                aurocs.append((block, run.cell.row, *both))
        tables = {"numbers": _columns(("block", "row", "image", "label", "novel", "score", "value"), found)}
        if aurocs:
            tables["aurocs"] = _columns(("block", "row", "auroc", "auroc_corrupted"), aurocs)
        return Numbers(tables, {}, pictures)

    @property
    def _corruption(self) -> str:
        """What scores of such images are called in records, behind the "@"."""
        return f"{self.corruption}" if self.corruption == "grey" else f"{self.corruption}-{self.severity}"

    def _choose(self, run: Run, trained: Trained) -> np.ndarray:
        """Places in the test set of the images to show: normal ones first."""
        novel = trained.split.novel
        chosen = []
        for kind, count in ((False, self.normal), (True, self.novel)):
            places = np.flatnonzero(novel == kind)
            if self.order != "first":
                values = run.scores()
                sign = -1 if self.order == "most" else 1
                places = places[np.argsort(sign * values[places], kind="stable")]
            chosen.append(places[:count])
        return np.concatenate(chosen)

    def _show(self, trained: Trained, tested: np.ndarray, score: str) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Named pictures (n, C, S, S) and the map of ``score`` (n, 1, S, S), and named scores (n,), on the CPU.

        tested: (n,) places in the test set.
        """
        where, method = torch.from_numpy(trained.split.test[tested]), trained.method
        images = to_float(trained.images.pixels[where])
        if self.corruption is not None:
            images = corrupt(self.corruption, images, torch.from_numpy(tested), self.severity)
        shown = {INPUT: images}
        if trained.images.masks is not None and trained.images.masks[where].any():
            shown[MASK] = trained.images.masks[where].float().unsqueeze(1)
        said: list[dict[str, Scores]] = []
        made: list[dict[str, Tensor]] = []
        with torch.inference_mode():
            for places in torch.split(torch.arange(len(images)), trained.batch):
                part = images[places].to(trained.device)
                said.append(method.test_step((part, places), 0))
                made.append(pictures_of(method, part, self.training))
        if self.training and not made[0]:
            raise NoveltyError(f"figure.training is true, and {type(method).__name__} shows nothing of its training.")
        shown |= {name: torch.cat([part[name].float().cpu() for part in made]) for name in made[0]}
        maps = [part[score].map for part in said if score in part]
        if self.maps and maps and all(map_ is not None for map_ in maps):
            shown[MAP if self.threshold is None else FOUND] = torch.cat(
                [m.float().cpu() for m in maps if m is not None]
            )
        return shown, {name: torch.cat([part[name].image.float().cpu() for part in said]) for name in said[0]}

    def finding(self, numbers: Numbers) -> str:
        table = numbers.tables["numbers"]
        said = []
        for row in distinct(table["row"]):
            here = table["row"] == row
            kinds = {kind: table["value"][here & (table["novel"] == kind)] for kind in (False, True)}
            parts = [
                f"{'novel' if kind else 'normal'} {values.mean():.4g}" for kind, values in kinds.items() if len(values)
            ]
            said.append(f"{self.name(row)} {self.name(distinct(table['score'][here])[0])}: {', '.join(parts)}")
        shown = len(distinct(table["image"])) if len(distinct(table["block"])) == 1 else len(table["image"])
        told = f"mean score of the {shown} images shown{self._how}: {'; '.join(said)}"
        if "aurocs" not in numbers.tables:
            return told
        aurocs = [
            f"{self.name(block)}{f' {self.name(row)}' if len(said) > 1 else ''} {before:.3f} to {after:.3f}"
            for block, row, before, after in zip(*numbers.tables["aurocs"].values(), strict=True)
        ]
        return f"AUROC of all test images, as they are and{self._how[1:]}: {', '.join(aurocs)}; {told}"

    @property
    def _how(self) -> str:
        """What was done to the images, in words: ", grey"."""
        return f", {self.name(self._corruption)}" if self.corruption is not None else ""

    def draw(self, numbers: Numbers) -> Drawing:
        """Placed by hand, to the hundredth of an inch: a sheet of several hundred pictures is no grid of plots."""
        table = numbers.tables["numbers"]
        blocks = distinct(table["block"])
        shown = {block: [key for key in numbers.pictures if key[0] == block] for block in blocks}
        ordered = {block: _in_order(keys) for block, keys in shown.items()}
        most = max(len(keys) for keys in ordered.values())
        side = min(LARGEST, (style.WIDTH - LEFT) / most - GAP)
        counts = {block: len(numbers.pictures[keys[0]]) for block, keys in ordered.items()}
        height = sum(HEAD + count * (side + TEXT) for count in counts.values()) + 0.2
        width = max(LEFT + most * (side + GAP), 3.2)
        drawing = style.sheet(height=height, width=width)
        drawing.set_layout_engine("none")
        axes = drawing.add_axes((0, 0, 1, 1), frame_on=False, xticks=[], yticks=[])
        top = height
        for block, keys in ordered.items():
            self._draw_block(axes, numbers, block, keys, top, side)
            top -= HEAD + counts[block] * (side + TEXT)
        axes.set(xlim=(0, width), ylim=(0, height), aspect="auto")  # every picture has set its own
        return drawing

    def _draw_block(
        self, axes: Axes, numbers: Numbers, block: str, keys: Sequence[tuple[str, ...]], top: float, side: float
    ) -> None:
        table = numbers.tables["numbers"]
        several = len(distinct(table["row"])) > 1
        novel = table["novel"][table["block"] == block]  # of each image, over and over
        scores = self._values(table, block, keys)
        axes.text(0.04, top - 0.14, self.name(block), fontsize=8, fontweight="bold", va="center")
        for place, key in enumerate(keys):
            _, row, name = key
            left = LEFT + place * (side + GAP)
            if several and row and (place == 0 or keys[place - 1][1] != row):
                axes.text(left, top - 0.14, self.name(row), fontsize=8, va="center", color=style.BLUE)
            axes.text(left + side / 2, top - HEAD + 0.04, self._heading(name), fontsize=7, ha="center", va="bottom")
            below = [values for last, values in scores if last == key]
            drawn = _coloured(numbers, key, self.threshold)
            for line, image in enumerate(drawn):
                bottom = top - HEAD - (line + 1) * side - line * TEXT
                axes.imshow(image, extent=(left, left + side, bottom, bottom + side), interpolation="nearest")
                if name == MAP:
                    axes.add_patch(Rectangle((left, bottom), side, side, fill=False, color=style.FAINT, linewidth=0.5))
                if below:
                    text = " / ".join(f"{values[line]:.3g}" for values in below)
                    axes.text(left + side / 2, bottom - 0.03, text, fontsize=7, ha="center", va="top")
                if place == 0:
                    kind, colour = ("novel", style.ORANGE) if novel[line] else ("normal", style.MUTED)
                    axes.text(left - 0.07, bottom + side / 2, kind, fontsize=7, ha="right", va="center", color=colour)

    def _values(
        self, table: Columns, block: str, keys: Sequence[tuple[str, ...]]
    ) -> list[tuple[tuple[str, ...], np.ndarray]]:
        """Pictures of a block with what stands below each of their images: a row's scores under its last one, or under
        the image itself, where what is shown of training is not what was scored."""
        own = {row: (table["block"] == block) & (table["row"] == row) for row in distinct(table["row"])}
        return [
            (_last_of(keys, "" if self.training else row), table["value"][here])
            for row, here in own.items()
            if here.any()
        ]

    def _heading(self, name: str) -> str:
        if name == FOUND:
            return f"map ≥ {self.threshold:g}"
        return self.name(name) + (self._how if name == INPUT else "")


def pictures_of(method: Method, images: Tensor, training: bool = False) -> dict[str, Tensor]:
    """`Method.pictures` (or `training_pictures`) in float32, of images larger than those of the training by tiles."""
    show = method.training_pictures if training else method.pictures

    def as_maps(tiles: Tensor) -> dict[str, Scores]:
        return {name: Scores(tiles.new_zeros(len(tiles)), shown) for name, shown in show(tiles).items()}

    with torch.autocast(images.device.type, enabled=False):
        joined = by_tiles(as_maps, images, method.info.image_size)
    return {name: shown.map for name, shown in joined.items() if shown.map is not None}


def _columns(names: Sequence[str], lines: Sequence[tuple[Any, ...]]) -> Columns:
    return {name: np.array(column) for name, column in zip(names, zip(*lines, strict=True), strict=True)}


def _last_of(keys: Sequence[tuple[str, ...]], row: str) -> tuple[str, ...]:
    """The last picture of a row, under which its score stands: of the images themselves where it shows nothing."""
    return ([key for key in keys if key[1] == row] or [key for key in keys if not key[1]])[-1]


def _in_order(keys: Sequence[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """The images themselves first, then row by row."""
    rows = list(dict.fromkeys(key[1] for key in keys))
    return sorted(keys, key=lambda key: (bool(key[1]), rows.index(key[1])))


def _coloured(numbers: Numbers, key: tuple[str, ...], threshold: float | None) -> list[np.ndarray]:
    """Pictures (S, S, 3) in [0, 1]: grey where they have one channel, maps in colours, regions over the input."""
    picture = numbers.pictures[key]
    if key[-1] == MAP:
        low, high = float(picture.min()), float(picture.max())
        scaled = ((picture - low) / max(high - low, 1e-12)).numpy()[:, 0]
        return [HEAT(image)[..., :3] for image in scaled]
    if key[-1] == FOUND:
        assert threshold is not None
        inputs = _colour(numbers.pictures[key[0], "", INPUT])
        red = np.array([0.9, 0.1, 0.1])
        inside = (picture >= threshold).numpy()[:, 0, ..., None]
        return list(np.where(inside, 0.45 * inputs + 0.55 * red, inputs))
    return list(_colour(picture))


def _colour(picture: Tensor) -> np.ndarray:
    """(n, C, S, S) as (n, S, S, 3) in [0, 1]."""
    return np.asarray(picture.clamp(0, 1).expand(-1, 3, -1, -1).permute(0, 2, 3, 1).numpy())
