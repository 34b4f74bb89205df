"""Splits: the properties that every split has, and the sizes of the fact sheet (protocols.md sections 1, 2, 13)."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from novelty.data.protocols import BalancedHoldout, OneVsAll, Protocol, Split, cap
from novelty.errors import NoveltyError

MNIST_TRAIN = (5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949)
MNIST_TEST = (980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009)
TEN = tuple("abcdefghij")


def layout(train: tuple[int, ...], test: tuple[int, ...], seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Labels in haphazard order and test flags of a data set with so many images a class."""
    rng = np.random.default_rng(seed)
    parts = [rng.permutation(np.repeat(np.arange(len(counts)), counts)) for counts in (train, test)]
    return np.concatenate(parts), np.repeat([False, True], [sum(train), sum(test)])


def check(split: Split, labels: np.ndarray, chosen: tuple[int, ...]) -> None:
    """What holds for every split of every protocol."""
    train, validation, test, novel = split
    for index in (train, validation, test):
        assert index.dtype == np.int64
        assert (np.diff(index) > 0).all()
    joined = np.concatenate([train, validation, test])
    assert len(np.unique(joined)) == len(joined)
    assert joined.min() >= 0
    assert joined.max() < len(labels)
    assert np.isin(labels[train], chosen).all()
    assert np.isin(labels[validation], chosen).all()
    assert novel.dtype == bool
    assert (novel == ~np.isin(labels[test], chosen)).all()
    assert len(train)
    assert novel.any()
    assert not novel.all()


def same(one: Split, other: Split) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


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
    labels, test = layout(tuple(train), (test_count,) * len(train), order)
    test = test & official
    protocol = kind(normal=sorted(normal), repeat=repeat, train_fraction=fraction, validation=validation)
    split = protocol.split(labels, test, TEN[: len(train)])
    check(split, labels, tuple(normal))
    assert same(split, protocol.split(labels, test, TEN[: len(train)]))
    by_name = [TEN[i] for i in sorted(normal, reverse=True)]
    again = kind(normal=by_name, repeat=repeat, train_fraction=fraction, validation=validation)
    assert same(split, again.split(labels, test, TEN[: len(train)]))
    if kind is OneVsAll and official:
        assert np.array_equal(split.test, np.flatnonzero(test))
        assert not test[split.train].any()
    if kind is BalancedHoldout and len(labels) >= 2 * np.isin(labels, list(normal)).sum():
        assert split.novel.mean() == 0.5
    if fraction == 1:
        whole = kind(normal=sorted(normal), repeat=repeat).split(labels, test, TEN[: len(train)])
        assert len(split.validation) == round(validation * len(whole.train))
        assert np.array_equal(np.sort(np.concatenate([split.train, split.validation])), whole.train)
        assert np.array_equal(split.test, whole.test)


@pytest.mark.parametrize("digit", range(10))
def test_p2_mnist_sizes(digit):
    labels, test = layout(MNIST_TRAIN, MNIST_TEST)
    split = OneVsAll(normal=digit).split(labels, test, tuple("0123456789"))
    check(split, labels, (digit,))
    assert (len(split.train), len(split.validation), len(split.test)) == (MNIST_TRAIN[digit], 0, 10_000)
    assert (~split.novel).sum() == MNIST_TEST[digit]


@pytest.mark.parametrize(("train", "test"), [(6_000, 1_000), (5_000, 1_000)], ids=["Fashion-MNIST", "CIFAR-10"])
def test_p2_balanced_sizes(train, test):
    labels, flags = layout((train,) * 10, (test,) * 10)
    split = OneVsAll(normal=9).split(labels, flags, TEN)
    assert (len(split.train), len(split.test), (~split.novel).sum()) == (train, 10 * test, test)


def test_p2_superclass_sizes():
    labels, flags = layout((500,) * 100, (100,) * 100)
    names = tuple(f"fine{i}" for i in range(100))
    split = OneVsAll(normal=[4, 30, 55, 72, 95]).split(labels, flags, names)
    assert (len(split.train), len(split.test), (~split.novel).sum()) == (2_500, 10_000, 500)


def test_p1_sizes():
    fashion, flags = layout((6_000,) * 10, (1_000,) * 10)
    mnist, mnist_flags = layout(MNIST_TRAIN, MNIST_TEST)
    coil = np.repeat(np.arange(100), 72)
    objects = tuple(f"obj{i}" for i in range(100))
    for labels, test, names, trained, tested in [
        (fashion, flags, TEN, 5_600, 1_400),
        (mnist, mnist_flags, TEN, 5_522, 1_381),
        (coil, np.zeros(7_200, dtype=bool), objects, 57, 15),
    ]:
        split = BalancedHoldout().split(labels, test, names)
        check(split, labels, (0,))
        assert (len(split.train), (~split.novel).sum(), split.novel.sum()) == (trained, tested, tested)


@pytest.mark.parametrize(
    "make",
    [BalancedHoldout, lambda **k: OneVsAll(train_fraction=0.5, **k), lambda **k: OneVsAll(validation=0.5, **k)],
    ids=["P1", "fraction", "validation"],
)
def test_another_repeat_is_another_draw(make):
    labels, test = layout((40,) * 3, (10,) * 3)
    splits = [make(normal=1, repeat=repeat).split(labels, test, TEN[:3]) for repeat in range(4)]
    assert not any(same(splits[i], splits[j]) for i in range(4) for j in range(i))


def test_p2_draws_nothing_by_itself():
    labels, test = layout((40,) * 3, (10,) * 3)
    assert same(*(OneVsAll(normal=1, repeat=repeat).split(labels, test, TEN[:3]) for repeat in (0, 7)))


def test_a_class_has_its_own_draw():
    labels = np.tile([0, 1], 50)
    one, other = (BalancedHoldout(normal=i).split(labels, labels > 5, TEN[:2]) for i in (0, 1))
    assert not np.array_equal(one.train, other.train - 1)


def test_draws_are_the_same_on_every_machine():
    """A worked example, written down: another numpy, process or platform must not change anyone's split."""
    labels, test = layout((4,) * 3, (3,) * 3)
    split = BalancedHoldout(normal="b", repeat=2).split(labels, test, TEN[:3])
    assert [part.tolist() for part in split] == EXAMPLE
    code = (
        "import numpy as np; from novelty.data.protocols import BalancedHoldout as B; import test_protocols as t;"
        "print([a.tolist() for a in B(normal='b', repeat=2).split(*t.layout((4,)*3, (3,)*3), t.TEN[:3])] == t.EXAMPLE)"
    )
    paths = [p for p in sys.path if p]
    environment = {"PYTHONPATH": ":".join(paths), "PYTHONHASHSEED": "12345"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True"


EXAMPLE = [[2, 3, 4, 13, 15], [], [1, 8, 9, 17], [True, False, True, False]]


def test_puzzle_ae_validation_sizes():
    for count, carved in [(90, 14), (88, 13)]:
        labels, test = layout((count, 5), (3, 3))
        assert len(OneVsAll(validation=0.15).split(labels, test, TEN[:2]).validation) == carved


def test_a_twelfth():
    labels, test = layout((6_000, 6_000), (10, 10))
    assert len(OneVsAll(train_fraction=1 / 12).split(labels, test, TEN[:2]).train) == 500


def test_without_official_split_all_novel_images_are_tested():
    labels = np.repeat([0, 1], [100, 7])
    split = OneVsAll(normal="a").split(labels, np.zeros(107, dtype=bool), TEN[:2])
    assert (len(split.train), (~split.novel).sum(), split.novel.sum()) == (80, 20, 7)
    other = OneVsAll(normal="a", repeat=1).split(labels, np.zeros(107, dtype=bool), TEN[:2])
    assert not same(split, other)


def test_p1_takes_all_anomalies_where_they_are_few():
    labels = np.repeat([0, 1], [100, 7])
    split = BalancedHoldout().split(labels, labels > 5, TEN[:2])
    assert (len(split.train), (~split.novel).sum(), split.novel.sum()) == (80, 20, 7)


@pytest.mark.parametrize(
    ("given", "expected"),
    [(None, (0,)), ("cat", (1,)), (1, (1,)), ("1", (1,)), (["dog", 0], (0, 2)), ([1, "cat", "1"], (1,)), ("CAT", (1,))],
)
def test_normal_classes(given, expected):
    assert OneVsAll(normal=given).normal_classes(("ankle_boot", "cat", "dog")) == expected


def test_names_win_over_indices_and_spelling_is_free():
    assert OneVsAll(normal=3).normal_classes(("1", "3", "5", "7")) == (1,)
    assert OneVsAll(normal=0).normal_classes(("1", "3", "5", "7")) == (0,)
    assert OneVsAll(normal="Ankle Boot").normal_classes(("bag", "ankle_boot")) == (1,)


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
        OneVsAll(normal=given).normal_classes(("airplane", "automobile", "bird"))
    assert all(word in str(caught.value) for word in words), caught.value


def test_long_lists_of_classes_are_cut():
    with pytest.raises(NoveltyError, match=r"fine19, \.\.\. \(100 in all\)"):
        OneVsAll(normal="coarse").normal_classes(tuple(f"fine{i}" for i in range(100)))


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
    labels, flags = layout(train, test)
    with pytest.raises(NoveltyError, match=words):
        protocol.split(labels, flags, TEN[:2])


@pytest.mark.parametrize(
    "wrong",
    [{"repeat": -1}, {"train_fraction": 0.0}, {"train_fraction": 1.5}, {"validation": 1.0}, {"holdout": 0.0}],
)
def test_wrong_arguments_name_the_key(wrong):
    with pytest.raises(NoveltyError, match=f"protocol.{next(iter(wrong))}"):
        OneVsAll(**wrong)


def test_cap():
    labels, test = layout(MNIST_TRAIN, MNIST_TEST)
    whole = OneVsAll(normal=1, validation=0.15).split(labels, test, tuple("0123456789"))
    small = cap(whole, 256, 200)
    check(small, labels, (1,))
    assert (len(small.train), len(small.test)) == (256, 200)
    assert (~small.novel).sum() == round(200 * 1135 / 10_000)
    assert len(small.validation) == round(len(whole.validation) * 256 / len(whole.train))
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
    labels, test = layout((40,) * 3, (10,) * 3)
    plain: Protocol = BalancedHoldout(normal=2, repeat=3)
    for other in (
        BalancedHoldout(normal=2, repeat=3, validation=0.3),
        BalancedHoldout(normal=2, repeat=3, train_fraction=0.5),
    ):
        one, two = (p.split(labels, test, TEN[:3]) for p in (plain, other))
        assert np.array_equal(one.test, two.test)
        assert set(two.train) < set(one.train)
