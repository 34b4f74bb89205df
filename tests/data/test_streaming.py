"""Sets that do not fit in memory: what a process keeps to itself does not grow with them, and reading them is quick."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from fake_layouts import noise
from PIL import Image

from novelty.data import cache
from novelty.data.datamodule import TrainingBatches
from novelty.data.sources.folder import Folder
from novelty.info import Schedule

linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

CHILD = """
import ctypes, json, sys
sys.path.insert(0, {tests!r})
from pathlib import Path
import numpy as np, torch
from generated import Generated
from novelty.data import cache
from novelty.data.datamodule import NoveltyData
from novelty.data.protocols import Split
from novelty.info import Schedule

torch.set_num_threads(1)

def private():
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)  # what is free but not given back says nothing
    status = Path("/proc/self/status").read_text()
    return int(status.split("RssAnon:")[1].split()[0]) / 1000  # MB

class Watched(Generated):
    def blocks(self, start=0):
        for block in super().blocks(start):
            self.most = max(getattr(self, "most", 0), private())
            self.given.clear()
            yield block

def use(count):
    cache._memo.clear()
    before = private()
    source = Watched(count, {side}, masks=True)
    images = cache.load(source, None, Path({folder!r}))
    test = np.flatnonzero(images.test)
    train = np.flatnonzero(~images.test & (images.labels == 0))
    data = NoveltyData(images, Split(train, train[:0], test, images.labels[test] == 1), seed=0, reference=100)
    data.schedule = Schedule(batch_size=64, iterations=200)
    seen = sum(len(batch) for batch in data.train_dataloader())
    assert seen == 200 * 64
    assert all(any(True for batch in batches) for batches in (data.test_dataloader(), data.normal_batches()))
    grown = private() - before
    return grown, source.most - before

use(1000)
print(json.dumps([use(count) for count in {counts}]))
"""


def grown(folder: Path, side: int, counts: tuple[int, int]) -> list[list[float]]:
    """MB of private memory, for a small set and a large one: by loading and using it, and at most while decoding it."""
    code = CHILD.format(tests=str(Path(__file__).parent), side=side, folder=str(folder), counts=counts)
    child = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=True)
    found: list[list[float]] = json.loads(child.stdout)
    print(f"\nprivate memory in MB (after use, at most while decoding): {dict(zip(counts, found, strict=True))}")
    return found


@linux
def test_private_memory_does_not_grow_with_the_set(tmp_path):
    """18,000 images more are 55 MB of pixels and 18 MB of masks; their indices, labels and hashes are less than 2."""
    small, large = grown(tmp_path, 32, (2_000, 20_000))
    assert large[0] - small[0] < 4
    assert large[1] - small[1] < 6


@linux
@pytest.mark.slow
def test_private_memory_does_not_grow_with_a_set_of_gigabytes(tmp_path):
    if shutil.disk_usage(tmp_path).free < 10e9:
        pytest.skip("needs 10 GB of disk")
    try:
        small, large = grown(tmp_path / "cache", 64, (3_000, 300_000))
    finally:
        shutil.rmtree(tmp_path / "cache", ignore_errors=True)
    assert large[0] - small[0] < 20
    assert large[1] - small[1] < 20


@pytest.mark.slow
def test_the_mapped_set_is_read_ten_times_as_fast_as_files(tmp_path):
    for number in range(4_000):
        rough = Image.fromarray(noise(number, 8, 8, 3)).resize((64, 64), Image.Resampling.BICUBIC)
        path = tmp_path / "files" / "ab"[number % 2] / f"{number:04d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        rough.save(path, quality=90)
    source = Folder(tmp_path, path="files")
    images = cache.load(source, 64, tmp_path / "cache")

    def decoded() -> int:
        return sum(len(block.pixels) for block in source.blocks())

    def mapped() -> int:
        return sum(len(batch) for batch in TrainingBatches(images.pixels, Schedule(batch_size=64, epochs=1), seed=0))

    def rate(read) -> float:
        taken = []
        for _ in range(3):
            start = time.perf_counter()
            assert read() == 4_000
            taken.append(time.perf_counter() - start)
        return 4_000 / min(taken)

    from_files, from_cache = rate(decoded), rate(mapped)
    print(f"\n64x64 JPEG: {from_files:,.0f} images/s from files, {from_cache:,.0f} from the mapped cache")
    assert from_cache >= 10 * from_files
    assert np.array_equal(images.pixels[0].numpy(), next(source.blocks()).pixels[0].transpose(2, 0, 1))
