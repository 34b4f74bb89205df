"""Your own defects, in the layout of MVTec AD."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path, PurePosixPath

from novelty.data.source import Block, Source
from novelty.data.sources.mvtec_layout import NEEDS, MVTecLayout, read_folder
from novelty.data.sources.streaming import stream_own
from novelty.errors import NoveltyError


class MVTecFolder(Source):
    """``path/{train/good,test/good,test/<defect>}/*`` and, where there are masks, ``path/ground_truth/<defect>/*``.

    A mask has the size and the name of its image, with or without ``_mask``, in any image format; defects are white.

    path:        absolute, or below the data folder.
    masks:       whether to read ground_truth, where there is one; every defect then needs a mask.
    texture:     whether the images show a texture, not an object: some methods treat these differently.
    skip_broken: leave out, with a warning, images or masks that cannot be read, instead of stopping.
    """

    def __init__(
        self,
        root: Path,
        *,
        path: str = "defects",
        masks: bool = True,
        texture: bool = False,
        skip_broken: bool = False,
    ) -> None:
        super().__init__(root)
        self.path, self.masks = self.root / Path(path).expanduser(), masks
        self.texture, self.skip_broken = texture, skip_broken
        self._left_out: list[str] = []

    @property
    def classes(self) -> tuple[str, ...]:
        return self._place.classes

    def fingerprint(self) -> str:
        return f"{self._place.fingerprint()} skip_broken={self.skip_broken}"

    @property
    def count(self) -> int:
        return len(self._place.photos)

    def blocks(self, start: int = 0) -> Iterator[Block]:
        """In colour; grey images have three equal channels (and lose nothing where ``channels`` is 1)."""
        place = self._place
        load = place.loader(self.path.__truediv__, channels=3)
        yield from stream_own(place.photos, load, place.classes, self.skip_broken, self._left_out, start)

    @property
    def copy(self) -> str:
        kinds = sorted({PurePosixPath(photo.path).suffix[1:].upper() for photo in self._place.photos})
        masks = "with masks" if self._place.masked else "without masks"
        broken = f", {len(self._left_out)} broken images left out" if self._left_out else ""
        return f"{' and '.join(kinds)} images in MVTec AD's layout, {masks}{broken}"

    @property
    def traits(self) -> frozenset[str]:
        return frozenset({"texture" if self.texture else "object"})

    @cached_property
    def _place(self) -> MVTecLayout:
        if not self.path.is_dir():
            raise NoveltyError(
                f"There is no folder {self.path}: put images below it ({NEEDS}), or name another folder with "
                f"data.source.path=... (absolute, or below paths.data / NOVELTY_DATA)."
            )
        return read_folder(self.path, self.masks, "draw it, remove the image, or set data.source.masks=false")
