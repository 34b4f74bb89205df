"""Anomaly maps on disk: written while images are scored, so that memory never holds those of a whole test set."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
from torch import Tensor


class MapFiles:
    """One file a named score, ``<folder>/<name>.npy``: (count, H, W) float32, maps of the first ``count`` positions.

    Process r of w writes the positions r, r + w, ... (those of `IndexedBatches`) into a file of its own, and process 0
    puts them together in `joined`.
    """

    def __init__(self, folder: Path, count: int, rank: int = 0, world: int = 1) -> None:
        self.folder, self.count, self.rank, self.world = folder, count, rank, world
        self._mine: dict[str, np.memmap] = {}

    def _path(self, name: str, rank: int) -> Path:
        return self.folder / (f"{name}.npy" if self.world == 1 else f".{rank}.{name}.npy")

    def write(self, name: str, maps: Tensor, positions: Tensor) -> None:
        """Maps (B, 1, H, W) of the images at ``positions`` (B,), which ascend; those from ``count`` on are left out."""
        kept = positions < self.count
        rows = ((positions - self.rank) // self.world)[kept].numpy()
        if name not in self._mine:
            self.folder.mkdir(parents=True, exist_ok=True)
            shape = (len(range(self.rank, self.count, self.world)), *maps.shape[-2:])
            self._mine[name] = np.lib.format.open_memmap(
                self._path(name, self.rank), mode="w+", dtype=np.float32, shape=shape
            )
        self._mine[name][rows] = maps[kept.to(maps.device), 0].float().cpu().numpy()

    def close(self) -> None:
        """Everything on disk, where other processes read it."""
        for file in self._mine.values():
            file.flush()

    def joined(self) -> None:
        """After every process has closed its files: one file a score (process 0 alone)."""
        if self.world == 1:
            return
        for name, first in self._mine.items():
            whole = np.lib.format.open_memmap(
                self.folder / f"{name}.npy", mode="w+", dtype=np.float32, shape=(self.count, *first.shape[1:])
            )
            for rank in range(self.world):
                part = self._path(name, rank)
                if part.is_file():  # a process without an image wrote none
                    whole[rank :: self.world] = np.load(part, mmap_mode="r")
                    part.unlink()
            whole.flush()


def read_maps(folder: Path) -> dict[str, np.ndarray]:
    """The maps below ``folder`` by the name of their score, (n, H, W) float32, mapped from disk."""
    return {path.stem: np.load(path, mmap_mode="r") for path in sorted(folder.glob("[!.]*.npy"))}


def remove_maps(folder: Path) -> None:
    """The folder and what is in it."""
    shutil.rmtree(folder, ignore_errors=True)
