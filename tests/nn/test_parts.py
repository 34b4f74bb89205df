"""Marks in a training step: right sums under a clock, nothing without one."""

from __future__ import annotations

import os
import threading
import time
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from novelty.nn import parts
from novelty.nn.parts import Clock, part, timed


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time that clocks see: ``now[0]``, moved by hand."""
    moment = [100.0]
    monkeypatch.setattr(parts, "time", SimpleNamespace(perf_counter=lambda: moment[0]))
    return moment


def test_time_belongs_to_the_innermost_part(now: list[float]) -> None:
    with timed(Clock("rest")) as clock:
        now[0] += 1
        with part("outer"):
            now[0] += 2
            with part("inner"):
                now[0] += 4
            now[0] += 8
        now[0] += 16
        with part("inner"):
            now[0] += 32
        now[0] += 64
        clock.charge()
    assert clock.seconds == {"rest": 1 + 16 + 64, "outer": 2 + 8, "inner": 4 + 32}


def test_a_part_that_fails_is_left(now: list[float]) -> None:
    clock = Clock("rest")

    def fail() -> None:
        with part("failing"):
            now[0] += 1
            raise ZeroDivisionError

    with timed(clock), pytest.raises(ZeroDivisionError):
        fail()
    now[0] += 2
    clock.charge()
    assert clock.seconds == {"rest": 2, "failing": 1}


def test_the_clock_waits_at_every_border(now: list[float]) -> None:
    """What the device still works on at a border belongs to the part before it."""

    def wait() -> None:
        now[0] += 10

    with timed(Clock("rest", wait)) as clock, part("a"):
        now[0] += 1
    assert clock.seconds == {"rest": 10, "a": 11}


def test_without_a_clock_a_mark_costs_next_to_nothing() -> None:
    def block(marked: bool, count: int = 20_000) -> float:
        start = time.perf_counter()
        if marked:
            for _ in range(count):
                with part("anything"):
                    pass
        else:
            for _ in range(count):
                pass
        return (time.perf_counter() - start) / count

    # 0.1 µs on a quiet machine; the best of many, because this one may not be quiet.
    assert min(block(True) for _ in range(20)) - min(block(False) for _ in range(20)) < 1e-6


def test_a_clock_is_removed_and_the_one_before_it_comes_back() -> None:
    with timed(Clock("rest")) as outer:
        with timed(Clock("rest")) as inner, part("a"):
            pass
        with part("b"):
            pass
    with part("c"):
        pass
    assert set(inner.seconds) == {"rest", "a"}
    assert set(outer.seconds) == {"rest", "b"}


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_other_threads_and_forked_processes_are_not_timed() -> None:
    def work() -> None:
        with part("elsewhere"):
            pass

    with timed(Clock("rest")) as clock:
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        child = os.fork()
        if child == 0:
            work()
            os._exit(1 if clock.seconds else 0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert clock.seconds == {}
        with part("here"):
            pass
    assert "here" in clock.seconds


def test_marks_stand_around_compiled_modules() -> None:
    layer = nn.Linear(2, 2)
    layer.compile(backend="eager")
    x = torch.ones(1, 2)
    with part("before"):
        plain = layer(x)
    with timed(Clock("rest")) as clock, part("compiled"):
        marked = layer(x)
    assert torch.equal(plain, marked)
    assert set(clock.seconds) == {"rest", "compiled"}
