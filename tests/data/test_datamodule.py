"""Batches: every image once a pass, an order that is a function of (seed, pass), shares that join to the whole."""

from __future__ import annotations

import mmap
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from novelty.data import datamodule, paging
from novelty.data.datamodule import IndexedBatches, NoveltyData, TrainingBatches
from novelty.data.protocols import Split
from novelty.data.source import Images
from novelty.errors import NoveltyError
from novelty.info import Schedule


def _pixels(count: int) -> torch.Tensor:
    return torch.arange(count, dtype=torch.uint8).view(count, 1, 1, 1)


def _indices(batch: torch.Tensor) -> list[int]:
    return (batch.flatten() * 255).round().int().tolist()


@given(st.integers(1, 60), st.integers(1, 20), st.integers(1, 3))
def test_an_epoch_is_a_pass(count: int, batch: int, epochs: int) -> None:
    loader = TrainingBatches(_pixels(count), Schedule(batch_size=batch, epochs=epochs), seed=0)
    orders = []
    for _ in range(epochs):
        batches = [_indices(b) for b in loader]
        assert len(batches) == len(loader)
        orders.append(sum(batches, []))
        assert sorted(orders[-1]) == list(range(count))
    if count > 20 and epochs > 1:
        assert orders[0] != orders[1]


@given(st.integers(4, 60), st.integers(1, 20), st.integers(1, 3), st.integers(1, 30))
def test_iterations_follow_each_other_across_passes(count: int, batch: int, joined: int, iterations: int) -> None:
    schedule = Schedule(batch_size=batch, iterations=iterations, batches_per_step=joined, drop_last=True)
    loader = TrainingBatches(_pixels(count), schedule, seed=0)
    steps = [_indices(b) for b in loader]
    size = min(batch, count)
    assert len(steps) == iterations
    assert all(len(step) == joined * size for step in steps)
    parts = [step[i : i + size] for step in steps for i in range(0, len(step), size)]
    per_pass = count // size
    for start in range(0, len(parts) - per_pass + 1, per_pass):
        seen = sum(parts[start : start + per_pass], [])
        assert len(seen) == len(set(seen))


def test_a_resumed_stream_goes_on_where_it_was() -> None:
    schedule = Schedule(batch_size=4, epochs=3)
    whole = TrainingBatches(_pixels(10), schedule, seed=5)
    steps = [_indices(b) for _ in range(3) for b in whole]
    resumed = TrainingBatches(_pixels(10), schedule, seed=5)
    resumed.load_state_dict({"taken": 4})
    assert [_indices(b) for b in resumed] == steps[4:6]
    assert [_indices(b) for b in resumed] == steps[6:9]


@pytest.mark.parametrize("world", [1, 2, 4])
def test_the_shares_of_all_processes_are_the_batch(world: int) -> None:
    schedule = Schedule(batch_size=8, iterations=5, batches_per_step=2)
    whole = TrainingBatches(_pixels(30), schedule, seed=1)
    shares = [TrainingBatches(_pixels(30), schedule, seed=1, rank=rank, world=world) for rank in range(world)]
    for step in range(5):
        joined = sum((_indices(share.at(step)) for share in shares), [])
        assert sorted(joined) == sorted(_indices(whole.at(step)))


def test_a_batch_that_cannot_be_shared_is_an_error() -> None:
    with pytest.raises(NoveltyError, match="multiple of 3"):
        TrainingBatches(_pixels(30), Schedule(batch_size=8, epochs=1), seed=0, world=3)


@given(st.integers(1, 40), st.integers(1, 10), st.integers(1, 4))
def test_every_image_is_scored_once_over_all_processes(count: int, batch: int, world: int) -> None:
    seen: list[int] = []
    for rank in range(world):
        for images, positions in IndexedBatches(_pixels(count), batch, rank, world):
            assert _indices(images) == positions.tolist()
            seen += positions.tolist()
    assert sorted(seen) == list(range(count))


def test_orders_differ_by_seed_and_repeat_by_seed() -> None:
    def first(seed: int) -> list[int]:
        return _indices(TrainingBatches(_pixels(50), Schedule(batch_size=50, epochs=1), seed=seed).at(0))

    assert first(1) == first(1) != first(2)


def test_an_order_once_used_stays() -> None:
    """What (seed, step) gives is part of published numbers: pass p is torch's permutation of this seed."""
    loader = TrainingBatches(_pixels(50), Schedule(batch_size=8, iterations=20), seed=7)
    for step in range(20):
        order = torch.randperm(50, generator=torch.Generator().manual_seed(7 * 1_000_003 + step // 6))
        assert _indices(loader.at(step)) == order[step % 6 * 8 :][:8].tolist()


@given(st.integers(4, 40), st.sampled_from([1, 2]), st.sampled_from([1, 3]), st.booleans(), st.integers(0, 9))
def test_an_index_gives_what_a_copy_would(count: int, world: int, joined: int, last: bool, seed: int) -> None:
    pixels = torch.randint(0, 256, (97, 3, 4, 4), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))
    index = torch.randperm(97, generator=torch.Generator().manual_seed(seed))[:count]
    schedule = Schedule(batch_size=4, epochs=2, batches_per_step=joined)
    for rank in range(world):
        ours = TrainingBatches(pixels, schedule, seed, rank, world, last, index)
        copied = TrainingBatches(pixels[index], schedule, seed, rank, world, last)
        for step in range(2 * len(copied)):
            batch = ours.at(step)
            assert torch.equal(batch, copied.at(step))
            assert torch.equal(batch, pixels[index[ours.positions]].float() / 255)
            assert batch.is_contiguous(memory_format=torch.channels_last if last else torch.contiguous_format)
        scored = IndexedBatches(pixels, 3, rank, world, last, index)
        for (one, at), (two, where) in zip(scored, IndexedBatches(pixels[index], 3, rank, world, last), strict=True):
            assert torch.equal(one, two)
            assert torch.equal(at, where)


def _novelty_data(pixels: torch.Tensor) -> NoveltyData:
    count = len(pixels)
    test = np.arange(count) >= count // 2
    images = Images(
        pixels=pixels,
        labels=np.arange(count) % 2,
        test=test,
        classes=("a", "b"),
        contents=np.arange(count, dtype=np.uint64),
        digest="",
    )
    train = np.flatnonzero(~test & (images.labels == 0))
    tested = np.flatnonzero(test)
    data = NoveltyData(
        images, Split(train, train[:0], tested, images.labels[tested] == 1), seed=0, reference=3, score_batch=4
    )
    data.schedule = Schedule(batch_size=4, epochs=1)
    return data


def test_batches_read_the_images_where_they_lie() -> None:
    pixels = _pixels(40)
    data = _novelty_data(pixels)
    training, scored = data.train_dataloader(), data.test_dataloader()
    assert training.pixels is scored.pixels is pixels
    assert sorted(sum((_indices(batch) for batch in training), [])) == list(range(0, 20, 2))
    assert sum((_indices(batch) for batch, _ in scored), []) == [*range(20, 40), 0, 2, 4]
    assert [_indices(batch) for batch in data.normal_batches()] == [[0, 2, 4, 6], [8, 10, 12, 14], [16, 18]]


@pytest.mark.parametrize(("free", "copied"), [(79, False), (80, False), (82, True)])
def test_a_gpu_gets_images_that_fit_into_half_of_its_free_memory(
    free: int, copied: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (free, 1000))
    monkeypatch.setattr(datamodule, "_COPY_BYTES", 12)
    to_gpu = datamodule._copied
    monkeypatch.setattr(datamodule, "_copied", lambda pixels, index, device: to_gpu(pixels, index, torch.device("cpu")))
    pixels = torch.arange(80, dtype=torch.uint8).view(20, 1, 2, 2)
    wanted = torch.tensor([3, 19, 0, 0, 7, 5, 11, 2, 1, 4])
    placed, index = datamodule._placed(pixels, wanted, torch.device("cuda"))
    assert (placed is not pixels) == copied
    assert torch.equal(placed[index], pixels[wanted])


@pytest.mark.parametrize("large", [False, True])
def test_images_beyond_the_memory_are_asked_for_before_they_are_read(
    large: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Whole pages, around each image and within the mapping; the system takes what it is told."""
    shape, asked = (500, 3, 16, 16), []
    file = np.lib.format.open_memmap(tmp_path / "x.npy", "w+", np.uint8, shape)
    file[:] = np.arange(500)[:, None, None, None] % 251
    advise = paging._advise()
    monkeypatch.setattr(paging, "_advise", lambda: lambda *pages: asked.append((*pages, advise(*pages))))
    monkeypatch.setattr(paging, "physical_memory", lambda: 2 * file.nbytes + (0 if large else 1))
    pixels, index = torch.from_numpy(file), torch.tensor([0, 499, 7, 120])
    (batch, _), *rest = IndexedBatches(pixels, 4, index=index)
    assert not rest
    assert _indices(batch[:, 0, 0, 0]) == [0, 499 - 251, 7, 120]
    starts = [pixels[i].data_ptr() for i in index] if large else []
    assert len(asked) == len(starts)
    for start, (page, length, code) in zip(starts, asked, strict=True):
        assert page % mmap.PAGESIZE == 0
        assert start - mmap.PAGESIZE < page <= start
        assert page + length == start + 3 * 16 * 16
        assert code in (0, None)
