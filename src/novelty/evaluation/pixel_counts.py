"""Alarms at every threshold over the pooled pixels of a test set: exact, and within a stated amount of memory.

float32 numbers become uint32 keys of the same order. A first pass over the maps counts keys by their upper 16 bits and
measures the regions; keys are then sorted in buckets of adjacent bins, highest first, each as large as memory allows
and read in a pass of its own. A bin with very many defective pixels, or more pixels than fit (clipped maps are mostly
zero), is counted key by key instead: it has only 65,536 of them.

No threshold but the values at defective pixels matters: between two of them only false alarms are added.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import NamedTuple

import numpy as np

from novelty.errors import NoveltyError

_BINS = 1 << 16
_BLOCK_BYTES = 36  # a pixel of a block: value, key and its bin as an index, flags and their positions
_STEP_BYTES = 128  # a defective pixel of a sorted bucket while its steps are made and summed up


class Steps(NamedTuple):
    """Alarms (``map >= threshold``) at falling thresholds, each the value of at least one defective pixel; (G,) each.

    thresholds: float32.  true: int64, defective pixels that have just this value.  overlap: float64, what they add to
    the mean overlap of the regions.  false: int64, normal pixels at or above it.  passed: int64, normal pixels above.
    """

    thresholds: np.ndarray
    true: np.ndarray
    overlap: np.ndarray
    false: np.ndarray
    passed: np.ndarray


class _Block(NamedTuple):
    """Pixels of some whole images: their keys, and where among them the defective ones lie and of which region.

    keys: (m,) uint32.  defective: (m,) bool.  regions: (p,) uint32, numbered through the test set.
    """

    keys: np.ndarray
    defective: np.ndarray
    regions: np.ndarray


class PixelCounts:
    """The pooled pixels of maps (n, H, W) float32 with masks (n, H, W) bool, both of which may lie on disk.

    Regions are the 8-connected components of each mask, as in the evaluation script of MVTec AD.
    memory: megabytes for keys and what is made of them; one whole image is worked on at once, however large.

    Raises NoveltyError for maps of another kind or shape, and for values that are not finite.
    """

    def __init__(self, maps: np.ndarray, masks: np.ndarray, memory: float) -> None:
        if maps.ndim != 3 or maps.dtype != np.float32 or masks.dtype != bool or masks.shape != maps.shape:
            raise NoveltyError(
                f"Maps must be float32 (n, H, W) and masks bool of the same shape: "
                f"got {maps.dtype} {maps.shape} and {masks.dtype} {masks.shape}."
            )
        self.maps, self.masks = maps, masks
        bytes_ = memory * 2**20
        self._per_block = max(1, int(bytes_ / 4 / _BLOCK_BYTES) // max(1, maps[:1].size))
        self._per_bucket = bytes_ / 2
        self._per_step = max(1, int(bytes_ / 4 / _STEP_BYTES))
        self._survey()

    def _survey(self) -> None:
        """The first pass: counts by bin, and what a pixel of each region adds to the mean overlap."""
        normal, defective, sizes, wrong = np.zeros(_BINS, np.int64), np.zeros(_BINS, np.int64), [], 0
        regions = 0
        for start in range(0, len(self.maps), self._per_block):
            wrong += int(np.count_nonzero(~np.isfinite(self.maps[start : start + self._per_block])))
            block = self._block(start, regions)
            bins = (block.keys >> 16).astype(np.intp)
            marked = np.bincount(bins[block.defective], minlength=_BINS)
            defective += marked
            normal += np.bincount(bins, minlength=_BINS) - marked
            if len(block.regions):
                sizes.append(np.bincount(block.regions - regions))
                regions += len(sizes[-1])
        if wrong:
            raise NoveltyError(
                f"{wrong:,} of {self.maps.size:,} pixels of the maps are not finite: the method diverged, "
                f"so nothing is ranked."
            )
        self._normal, self._defective = normal, defective
        self.normal, self.defective, self.regions = int(normal.sum()), int(defective.sum()), regions
        self._shares = 1 / (regions * np.concatenate(sizes)) if sizes else np.empty(0)

    @cached_property
    def _buckets(self) -> list[tuple[int, int]]:
        """Ranges of bins (first, one past the last), highest first, without those that hold no defective pixel."""
        held = np.r_[0, np.cumsum(4 * self._normal + 8 * self._defective)]
        alone = np.flatnonzero((np.diff(held) > self._per_bucket) | (self._defective > self._per_step))
        found, high = [], _BINS
        while high:
            fits = int(np.searchsorted(held, held[high] - self._per_bucket))
            below = int(np.searchsorted(alone, high)) - 1  # the highest of `alone` under `high`
            edge = int(alone[below]) if below >= 0 else -1
            low = high - 1 if edge == high - 1 else max(fits, edge + 1)
            if self._defective[low:high].any():
                found.append((low, high))
            high = low
        return found

    def steps(self) -> Iterator[Steps]:
        """All steps, from the highest threshold down, some at a time."""
        for low, high in self._buckets:
            above = int(self._normal[high:].sum())
            alone = high - low == 1
            for steps in [self._counted(low)] if alone else self._sorted(low, high):
                yield steps._replace(false=steps.false + above, passed=steps.passed + above)

    def _sorted(self, low: int, high: int) -> Iterator[Steps]:
        """Steps of the bins ``low`` to ``high``, whose keys fit into memory; false alarms within them only."""
        normal = np.empty(self._normal[low:high].sum(), np.uint32)
        defective = np.empty(self._defective[low:high].sum(), np.uint64)  # key and region, so that they sort as one
        normals = defectives = 0
        for block in self._blocks():
            bins = block.keys >> 16
            inside = (bins >= low) & (bins < high)
            marked = block.keys[block.defective].astype(np.uint64) << 32 | block.regions
            marked = marked[inside[block.defective]]
            kept = block.keys[inside & ~block.defective]
            normal[normals : normals + len(kept)] = kept
            defective[defectives : defectives + len(marked)] = marked
            normals, defectives = normals + len(kept), defectives + len(marked)
        normal.sort()
        defective.sort()
        stop = len(defective)
        while stop:
            start = max(0, stop - self._per_step)
            if start:  # not within equal keys, which are fewer than a step holds
                start = int(np.searchsorted(defective, ((defective[start - 1] >> 32) + 1) << 32))
            part = defective[start:stop]
            keys = (part >> 32).astype(np.uint32)
            first = np.flatnonzero(np.r_[True, keys[1:] != keys[:-1]])
            overlap = np.add.reduceat(self._shares[(part & 0xFFFFFFFF).astype(np.intp)], first)
            true, keys = np.diff(first, append=len(part)), keys[first]
            false = len(normal) - np.searchsorted(normal, keys)
            passed = len(normal) - np.searchsorted(normal, keys, side="right")
            yield Steps(*(column[::-1] for column in (_values(keys), true, overlap, false, passed)))
            stop = start

    def _counted(self, bin_: int) -> Steps:
        """Steps of one bin, key by key; false alarms within it only."""
        normal, true, overlap = np.zeros(_BINS, np.int64), np.zeros(_BINS, np.int64), np.zeros(_BINS)
        for block in self._blocks():
            inside = block.keys >> 16 == bin_
            low = (block.keys & 0xFFFF).astype(np.intp)
            normal += np.bincount(low[inside & ~block.defective], minlength=_BINS)
            here = inside[block.defective]
            marked = low[block.defective][here]
            true += np.bincount(marked, minlength=_BINS)
            overlap += np.bincount(marked, self._shares[block.regions[here]], minlength=_BINS)
        found = np.flatnonzero(true)[::-1]
        false = normal[::-1].cumsum()[::-1][found]
        thresholds = _values((found + (bin_ << 16)).astype(np.uint32))
        return Steps(thresholds, true[found], overlap[found], false, false - normal[found])

    def _blocks(self) -> Iterator[_Block]:
        regions = 0
        for start in range(0, len(self.maps), self._per_block):
            block = self._block(start, regions)
            if len(block.regions):
                regions = int(block.regions.max()) + 1
            yield block

    def _block(self, start: int, regions: int) -> _Block:
        """The block of the images from ``start`` on; ``regions`` came before them."""
        masks = np.asarray(self.masks[start : start + self._per_block])
        numbers = []
        for mask in masks[masks.any((1, 2))]:
            labels = _regions(mask)
            numbers.append(labels + np.uint32(regions))
            regions += int(labels.max()) + 1
        ids = np.concatenate(numbers) if numbers else np.empty(0, np.uint32)
        return _Block(_keys(np.asarray(self.maps[start : start + self._per_block])).ravel(), masks.ravel(), ids)


def _regions(mask: np.ndarray) -> np.ndarray:
    """(p,) uint32: number of the region, from 0, of every defective pixel of a mask (H, W) with at least one."""
    from scipy.ndimage import label

    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    window = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    labels, _ = label(window, structure=np.ones((3, 3)))
    return (labels[window] - 1).astype(np.uint32)


def _keys(values: np.ndarray) -> np.ndarray:
    """uint32 of the same order as float32 ``values``; minus zero is zero."""
    bits = (values + np.float32(0)).view(np.uint32)
    # All bits are turned where the number is negative, otherwise the sign alone.
    bits ^= (bits.view(np.int32) >> 31).view(np.uint32) | np.uint32(0x80000000)
    return bits


def _values(keys: np.ndarray) -> np.ndarray:
    """The float32 numbers of uint32 ``keys``."""
    return np.where(keys >> 31, keys ^ np.uint32(0x80000000), ~keys).view(np.float32)
