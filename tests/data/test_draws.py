"""Random numbers by their place: what a place gives stays, whoever else is asked."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from novelty.data import draws
from novelty.data.draws import below, bits, shuffled, uniform

STREAM = st.lists(st.integers(-(2**63), 2**63), min_size=1, max_size=3).map(tuple)


def test_the_mixing_is_that_of_splitmix64() -> None:
    """The first three numbers of its reference implementation from seed 0."""
    states = (np.arange(3).astype(np.uint64) + np.uint64(1)) * draws._STEP
    assert [hex(int(n)) for n in draws._mixed(states)] == [
        "0xe220a8397b1dcdaf",
        "0x6e789e6aa1b965f4",
        "0x6c45d188009454f",
    ]


def test_a_stream_once_used_stays() -> None:
    assert bits((1, 2), np.arange(2)).tolist() == [4887950749284251676, 14097869393875395460]


@given(STREAM, st.integers(1, 200))
def test_a_number_does_not_depend_on_what_else_is_asked(stream: tuple[int, ...], count: int) -> None:
    places = np.arange(count)
    whole = bits(stream, places)
    assert np.array_equal(bits(stream, places[::-1]), whole[::-1])
    assert bits(stream, places[-1:]) == whole[-1]
    assert len(np.unique(whole)) == count
    assert sorted(shuffled(stream, count).tolist()) == list(range(count))
    assert ((uniform(stream, places, -3, 5) >= -3) & (uniform(stream, places, -3, 5) < 5)).all()
    assert set(below(stream, places, 3).tolist()) <= {0, 1, 2}


def test_streams_differ_and_numbers_are_even() -> None:
    places = np.arange(20_000)
    streams = [(0,), (1,), (0, 0), (0, 1), (1, 0), (-1,)]
    drawn = np.stack([uniform(stream, places) for stream in streams])
    assert np.abs(np.corrcoef(np.concatenate([drawn, np.roll(drawn, 1, axis=1)])) - np.eye(12)).max() < 0.04
    for row in drawn:
        counts = np.histogram(row, bins=20, range=(0, 1))[0]
        assert ((counts - 1000) ** 2 / 1000).sum() < 60  # chi-squared, 19 degrees of freedom: p = 5e-6
