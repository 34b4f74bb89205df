"""P1, P2 and what all protocols share: names of classes, draws, validation, the smoke budget."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from annotated import MNIST_TEST, MNIST_TRAIN, TEN, annotated, check, layout, same, sizes
from hypothesis import given, settings
from hypothesis import strategies as st

from novelty.data.protocols import Protocol, Split, cap
from novelty.data.protocols.balanced import BalancedHoldout
from novelty.data.protocols.one_vs_all import OneVsAll
from novelty.data.source import Annotations
from novelty.errors import NoveltyError

counts = st.lists(st.integers(5, 40), min_size=2, max_size=5)


@settings(deadline=None, max_examples=60)
@given(
    train=counts,
    test_count=st.integers(2, 15),
    normal=st.sets(st.integers(0, 1), min_size=1, max_size=1) | st.sets(st.integers(0, 4), min_size=1, max_size=3),
    repeat=st.integers(0, 5),
    fraction=st.sampled_from([1.0, 0.5, 1 / 12]),
    validation=st.sampled_from([0.0, 0.15, 0.3]),
    kind=st.sampled_from([OneVsAll, BalancedHoldout]),
    official=st.booleans(),
    order=st.integers(0, 3),
)
def test_properties(train, test_count, normal, repeat, fraction, validation, kind, official, order):
    normal = {i % len(train) for i in normal}
    if len(normal) == len(train):
        normal = {0}
    known = layout(tuple(train), (test_count,) * len(train), seed=order)
    if not official:
        known = annotated(known.labels, classes=known.classes)
    protocol = kind(normal=sorted(normal), repeat=repeat, train_fraction=fraction, validation=validation)
    split = protocol.split(known)
    check(split, known, tuple(normal))
    assert same(split, protocol.split(known))
    by_name = [TEN[i] for i in sorted(normal, reverse=True)]
    again = kind(normal=by_name, repeat=repeat, train_fraction=fraction, validation=validation)
    assert same(split, again.split(known))
    if kind is OneVsAll and official:
        assert np.array_equal(split.test, np.flatnonzero(known.test))
        assert not known.test[split.train].any()
    if kind is BalancedHoldout and len(known.labels) >= 2 * np.isin(known.labels, list(normal)).sum():
        assert split.novel.mean() == 0.5
    if fraction == 1:
        whole = kind(normal=sorted(normal), repeat=repeat).split(known)
        assert len(split.validation) == round(validation * len(whole.train))
        assert np.array_equal(np.sort(np.concatenate([split.train, split.validation])), whole.train)
        assert np.array_equal(split.test, whole.test)


@pytest.mark.parametrize(
    "make",
    [BalancedHoldout, lambda **k: OneVsAll(train_fraction=0.5, **k), lambda **k: OneVsAll(validation=0.5, **k)],
    ids=["P1", "fraction", "validation"],
)
def test_another_repeat_is_another_draw(make):
    known = layout((40,) * 3, (10,) * 3)
    splits = [make(normal=1, repeat=repeat).split(known) for repeat in range(4)]
    assert not any(same(splits[i], splits[j]) for i in range(4) for j in range(i))


def test_p2_draws_nothing_by_itself():
    known = layout((40,) * 3, (10,) * 3)
    assert same(*(OneVsAll(normal=1, repeat=repeat).split(known) for repeat in (0, 7)))


def test_a_class_has_its_own_draw():
    known = annotated(np.tile([0, 1], 50))
    one, other = (BalancedHoldout(normal=i).split(known) for i in (0, 1))
    assert not np.array_equal(one.train, other.train - 1)


def test_draws_are_the_same_on_every_machine():
    """A worked example, written down: another numpy, process or platform must not change anyone's split."""
    split = BalancedHoldout(normal="b", repeat=2).split(layout((4,) * 3, (3,) * 3))
    assert [part.tolist() for part in split] == EXAMPLE
    code = (
        "from novelty.data.protocols.balanced import BalancedHoldout as B; import test_protocols as t;"
        "print([a.tolist() for a in B(normal='b', repeat=2).split(t.layout((4,)*3, (3,)*3))] == t.EXAMPLE)"
    )
    paths = [p for p in sys.path if p]
    environment = {"PYTHONPATH": ":".join(paths), "PYTHONHASHSEED": "12345"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True"


EXAMPLE = [[2, 3, 4, 13, 15], [], [1, 8, 9, 17], [True, False, True, False]]


def test_a_twelfth():
    assert len(OneVsAll(train_fraction=1 / 12).split(layout((6_000, 6_000), (10, 10))).train) == 500


def test_without_official_split_all_novel_images_are_tested():
    known = annotated(np.repeat([0, 1], [100, 7]))
    split = OneVsAll(normal=0).split(known)
    assert sizes(split) == (80, 0, 20, 7)
    assert not same(split, OneVsAll(normal=0, repeat=1).split(known))


def test_p1_takes_all_anomalies_where_they_are_few():
    assert sizes(BalancedHoldout().split(annotated(np.repeat([0, 1], [100, 7])))) == (80, 0, 20, 7)


def named(*classes: str) -> Annotations:
    return annotated(np.arange(len(classes)), classes=classes)


@pytest.mark.parametrize(
    ("given", "expected"),
    [(None, (0,)), ("cat", (1,)), (1, (1,)), ("1", (1,)), (["dog", 0], (0, 2)), ([1, "cat", "1"], (1,)), ("CAT", (1,))],
)
def test_normal_classes(given, expected):
    assert OneVsAll(normal=given).normal_classes(named("ankle_boot", "cat", "dog")) == expected


def test_names_win_over_indices_and_spelling_is_free():
    assert OneVsAll(normal=3).normal_classes(named("1", "3", "5", "7")) == (1,)
    assert OneVsAll(normal=0).normal_classes(named("1", "3", "5", "7")) == (0,)
    assert OneVsAll(normal="Ankle Boot").normal_classes(named("bag", "ankle_boot")) == (1,)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("automobil", ["automobil;", "did you mean automobile?", "airplane, automobile, bird"]),
        (3, ["no class 3.", "0 to 2"]),
        (-1, ["no class -1"]),
        (1.0, ["no class 1.0"]),
        (False, ["truth value", "quotes"]),
        ([], ["no class"]),
        (["bird", "airplane", "automobile"], ["All classes are normal"]),
    ],
)
def test_wrong_classes(given, words):
    with pytest.raises(NoveltyError) as caught:
        OneVsAll(normal=given).normal_classes(named("airplane", "automobile", "bird"))
    assert all(word in str(caught.value) for word in words), caught.value


def test_long_lists_of_classes_are_cut():
    with pytest.raises(NoveltyError, match=r"fine19, \.\.\. \(100 in all\)"):
        OneVsAll(normal="coarse").normal_classes(named(*(f"fine{i}" for i in range(100))))


@pytest.mark.parametrize(
    ("protocol", "train", "test", "words"),
    [
        (OneVsAll(), (0, 5), (3, 3), "class a has none to train on"),
        (OneVsAll(), (5, 5), (0, 3), "class a holds no normal image"),
        (OneVsAll(), (5, 5), (3, 0), "class a holds no novel image"),
        (OneVsAll(validation=0.9), (1, 5), (3, 3), "class a has none to train on"),
        (OneVsAll(), (1, 5), (0, 0), "class a has none to train on"),
        (BalancedHoldout(), (1, 5), (0, 0), "class a has none to train on"),
        (BalancedHoldout(), (0, 5), (0, 0), "class a has none to train on"),
        (BalancedHoldout(), (5, 0), (0, 0), "class a holds no novel image"),
    ],
)
def test_too_few_images(protocol, train, test, words):
    with pytest.raises(NoveltyError, match=words):
        protocol.split(layout(train, test))


@pytest.mark.parametrize(
    "wrong",
    [{"repeat": -1}, {"train_fraction": 0.0}, {"train_fraction": 1.5}, {"validation": 1.0}, {"holdout": 0.0}],
)
def test_wrong_arguments_name_the_key(wrong):
    with pytest.raises(NoveltyError, match=f"protocol.{next(iter(wrong))}"):
        OneVsAll(**wrong)


def test_cap():
    known = layout(MNIST_TRAIN, MNIST_TEST)
    whole = OneVsAll(normal=1, validation=0.15).split(known)
    small = cap(whole, 256, 200)
    check(small, known, (1,))
    normal = round(200 * 1135 / 10_000)
    assert sizes(small) == (256, round(len(whole.validation) * 256 / len(whole.train)), normal, 200 - normal)
    for part, full in zip(small[:3], whole[:3], strict=True):
        assert np.isin(part, full).all()
    assert same(small, cap(whole, 256, 200))
    assert same(whole, cap(whole))
    assert same(whole, cap(whole, 10**6, 10**6))


@settings(deadline=None, max_examples=40)
@given(normal=st.integers(1, 30), novel=st.integers(1, 30), most=st.integers(2, 40))
def test_cap_keeps_both_kinds(normal, novel, most):
    flags = np.repeat([False, True], [normal, novel])
    split = Split(np.arange(100, 110), np.arange(0), np.arange(len(flags)), flags)
    small = cap(split, 3, most)
    assert len(small.test) == min(most, normal + novel)
    assert small.novel.any()
    assert not small.novel.all()
    assert (small.novel == flags[small.test]).all()
    assert len(small.train) == 3


def test_cap_needs_room():
    split = Split(np.arange(9), np.arange(0), np.arange(9), np.arange(9) > 4)
    with pytest.raises(NoveltyError, match=r"budget\.max_train"):
        cap(split, 0)
    with pytest.raises(NoveltyError, match=r"budget\.max_test"):
        cap(split, None, 1)


def test_one_choice_does_not_disturb_another():
    """Asking for validation or a smaller training set leaves the test set (and its evaluation key) as it was."""
    known = layout((40,) * 3, (10,) * 3)
    plain: Protocol = BalancedHoldout(normal=2, repeat=3)
    for other in (
        BalancedHoldout(normal=2, repeat=3, validation=0.3),
        BalancedHoldout(normal=2, repeat=3, train_fraction=0.5),
    ):
        one, two = (p.split(known) for p in (plain, other))
        assert np.array_equal(one.test, two.test)
        assert set(two.train) < set(one.train)
