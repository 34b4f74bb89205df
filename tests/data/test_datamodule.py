"""Batches: every image once a pass, an order that is a function of (seed, pass), shares that join to the whole."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from novelty.data.datamodule import IndexedBatches, TrainingBatches
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
