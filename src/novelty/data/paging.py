"""Reading here and there in mapped images that memory cannot hold."""

from __future__ import annotations

import ctypes
import mmap
import os
import sys
from collections.abc import Callable
from functools import cache

from torch import Tensor


@cache
def physical_memory() -> int:
    """Bytes of memory that this machine has; endless where the system does not tell."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else sys.maxsize


@cache
def _advise() -> Callable[[int, int], object]:
    """madvise(start, length) with MADV_WILLNEED; nothing where the system has no such call."""
    if not hasattr(mmap, "MADV_WILLNEED"):
        return lambda start, length: None
    call = ctypes.CDLL(None).madvise
    call.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    return lambda start, length: call(start, length, mmap.MADV_WILLNEED)


def fetch(images: Tensor, index: Tensor) -> None:
    """Have the images ``index`` of ``images`` (N, ...), mapped from disk, read side by side before they are touched.

    Touching alone reads page after page: from a cold disk 2,000 images (64x64, colour) a second, 10,000 this way. It
    costs some microseconds an image where all is in memory already, so nothing is done for images that take less than
    half of the memory.
    """
    if images.device.type != "cpu" or not images.is_contiguous() or 2 * images.nbytes < physical_memory():
        return
    advise, first, length = _advise(), images.data_ptr(), images[0].nbytes
    for number in index.tolist():
        start = first + number * length
        page = start - start % mmap.PAGESIZE
        advise(page, start + length - page)
