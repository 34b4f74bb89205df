"""Your own images, one folder per class."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

from novelty.data.decode import BrokenImage
from novelty.data.source import Block, Source
from novelty.data.sources.class_folders import ClassFolders, has_split, read_split, read_unsplit
from novelty.data.sources.streaming import may_be_skipped
from novelty.errors import NoveltyError


class Folder(Source):
    """Images of any size below ``path``, in one of two layouts, each class folder with subfolders or without:

    - ``path/{train,test}/<class>/*``: your split is the official one. Classes with training images come first, in
      alphabetical order, then those that are only tested (``good`` before its defects, in MVTec AD's layout);
    - ``path/<class>/*``, for example ``normal/`` and ``novel/``: no image is flagged as test, the protocol draws the
      split (P2 tests 20 % of the normal images and all others; P1 as always). Classes in alphabetical order.

    path:        absolute, or below the data folder.
    skip_broken: leave out, with a warning, image files that cannot be read, instead of stopping.
    """

    def __init__(self, root: Path, *, path: str = "images", skip_broken: bool = False) -> None:
        super().__init__(root)
        self.path, self.skip_broken = self.root / Path(path).expanduser(), skip_broken

    @property
    def classes(self) -> tuple[str, ...]:
        return self._place.classes

    def fingerprint(self) -> str:
        return f"{self._place.fingerprint()} skip_broken={self.skip_broken}"

    @property
    def count(self) -> int:
        return len(self._place.items)

    def blocks(self, start: int = 0) -> Iterator[Block]:
        """In colour; grey images have three equal channels (and lose nothing where ``channels`` is 1)."""
        try:
            yield from self._place.blocks(channels=3, skip_broken=self.skip_broken, start=start)
        except BrokenImage as error:
            raise may_be_skipped(error) from None

    @property
    def copy(self) -> str:
        return self._place.describe()

    @cached_property
    def _place(self) -> ClassFolders:
        if not self.path.is_dir():
            raise NoveltyError(
                f"There is no folder {self.path}: put images into <class>/ or {{train,test}}/<class>/ below it, or "
                f"name another folder with data.source.path=... (absolute, or below paths.data / NOVELTY_DATA)."
            )
        if has_split(self.path):
            return read_split(self.path)
        for split in ("train", "test"):
            if (self.path / split).is_dir():
                raise NoveltyError(
                    f"{self.path} has a folder {split} alone: a split needs train/<class>/ and test/<class>/."
                )
        return read_unsplit(self.path)
