"""The sizes and draws of the fact sheet's tables (protocols.md sections 1 to 9 and 11, oracles of section 13)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from annotated import MNIST_TEST, MNIST_TRAIN, annotated, check, layout, sizes, yaml_protocol

from novelty.data.protocols.balanced import BalancedHoldout, RandomClass
from novelty.data.protocols.gpnd import GPNDFolds, repeated
from novelty.data.protocols.one_vs_all import Attribute, OneVsAll, Superclass
from novelty.data.protocols.outliers import OutlierShare
from novelty.data.source import Annotations

# train good, test good, test defective, alphabetical position of "good" among the defects, 15 % of train
MVTEC = {
    "bottle": (209, 20, 63, 3, 31),
    "cable": (224, 58, 92, 5, 34),
    "capsule": (219, 23, 109, 2, 33),
    "carpet": (280, 28, 89, 2, 42),
    "grid": (264, 21, 57, 3, 40),
    "hazelnut": (391, 40, 70, 2, 59),
    "leather": (245, 32, 92, 4, 37),
    "metal_nut": (220, 22, 93, 3, 33),
    "pill": (267, 26, 141, 5, 40),
    "screw": (320, 41, 119, 0, 48),
    "tile": (230, 33, 84, 2, 34),
    "toothbrush": (60, 12, 30, 1, 9),
    "transistor": (213, 60, 40, 3, 32),
    "wood": (247, 19, 60, 2, 37),
    "zipper": (240, 32, 119, 4, 36),
}
PARTS = (1380, 1575, 1398, 1428, 1364, 1262, 1375, 1458, 1365, 1391)
OUTLIERS = {
    10: (109, 126, 115, 112, 109, 99, 106, 114, 108, 112),
    20: (245, 284, 258, 252, 246, 223, 240, 257, 244, 252),
    30: (420, 486, 442, 433, 421, 382, 411, 441, 417, 432),
    50: MNIST_TEST,
}
CELEBA = (162_770, 19_867, 19_962)
POSITIVES = {"Bald": 4_547, "Mustache": 8_417, "Bangs": 30_709, "Eyeglasses": 13_193, "Wearing_Hat": 9_818}


@pytest.fixture(scope="module")
def mnist() -> Annotations:
    return layout(MNIST_TRAIN, MNIST_TEST)


@pytest.mark.parametrize("digit", range(10))
def test_p2_mnist(mnist, digit):
    split = OneVsAll(normal=digit).split(mnist)
    check(split, mnist, (digit,))
    assert sizes(split) == (MNIST_TRAIN[digit], 0, MNIST_TEST[digit], 10_000 - MNIST_TEST[digit])


@pytest.mark.parametrize(
    ("classes", "train", "test"),
    [(10, 6_000, 1_000), (10, 5_000, 1_000), (30, 1_300, 100), (30, 1_300, 50)],
    ids=["Fashion-MNIST", "CIFAR-10", "ImageNet-30", "ImageNet-30 of a plain ImageNet"],
)
def test_p2_balanced(classes, train, test):
    names = tuple(f"class{i}" for i in range(classes))
    known = layout((train,) * classes, (test,) * classes, names)
    assert sizes(OneVsAll(normal=classes - 1).split(known)) == (train, 0, test, (classes - 1) * test)


def test_p2_lsun_and_a_declared_subset():
    """Conference rooms are tested only; a subset of the bedrooms is a fraction."""
    bedrooms = 3_033_042
    known = annotated(np.repeat([0, 0, 1], [bedrooms, 300, 300]), np.repeat([False, True], [bedrooms, 600]))
    assert sizes(OneVsAll(normal="class0").split(known)) == (bedrooms, 0, 300, 300)
    assert sizes(OneVsAll(train_fraction=300_000 / bedrooms).split(known)) == (300_000, 0, 300, 300)


def test_p2_of_one_data_set_against_another():
    """All ten classes of one data set are normal, the test images of the other are novel."""
    known = layout((500,) * 10 + (0,), (100,) * 10 + (2_600,), (*"abcdefghij", "other"))
    split = OneVsAll(normal=list("abcdefghij")).split(known)
    assert sizes(split) == (5_000, 0, 1_000, 2_600)
    assert (known.labels[split.test[split.novel]] == 10).all()


@pytest.mark.parametrize(("count", "carved"), [(5923, 888), (6742, 1011), (5000, 750), (6000, 900), (57, 9), (230, 34)])
def test_puzzle_ae_validation(count, carved):
    assert sizes(OneVsAll(validation=0.15).split(layout((count, 5), (3, 3))))[:2] == (count - carved, carved)


@pytest.mark.parametrize("table", ["official", "csi_repo"])
def test_superclasses(table):
    order = np.random.default_rng(0 if table == "official" else 1).permutation(100)
    groups = {f"group {i}": tuple(map(int, sorted(order[5 * i : 5 * i + 5]))) for i in range(20)}
    known = layout((500,) * 100, (100,) * 100, tuple(f"fine{i}" for i in range(100)), groupings={table: groups})
    protocol = Superclass(normal="Group 7", table=table)
    split = protocol.split(known)
    check(split, known, groups["group 7"])
    assert sizes(split) == (2_500, 0, 500, 9_500)
    assert protocol.classes(known) == tuple(groups)
    assert protocol.normal_classes(known) == (7,)


def test_p1():
    fashion, mnist = layout((6_000,) * 10, (1_000,) * 10), layout(MNIST_TRAIN, MNIST_TEST)
    coil = annotated(np.repeat(np.arange(100), 72))
    for known, trained, tested in [(fashion, 5_600, 1_400), (mnist, 5_522, 1_381), (coil, 57, 15)]:
        split = BalancedHoldout().split(known)
        check(split, known, (0,))
        assert sizes(split) == (trained, 0, tested, tested)


def test_coil_draws_thirty_objects():
    known = annotated(np.repeat(np.arange(100), 72))
    drawn = [RandomClass(repeat=repeat, validation=0.15) for repeat in range(30)]
    assert {sizes(protocol.split(known)) for protocol in drawn} == {(48, 9, 15, 15)}
    objects = [protocol.normal_classes(known) for protocol in drawn]
    assert len(set(objects)) == 30
    one = drawn[4].split(known)
    p1 = BalancedHoldout(normal=objects[4][0], repeat=4, validation=0.15).split(known)
    assert all(np.array_equal(a, b) for a, b in zip(one, p1, strict=True))


@pytest.mark.parametrize("category", MVTEC)
def test_mvtec(category):
    """Puzzle-AE's sizes, whatever place "good" has among the defects."""
    train, good, defective, place, carved = MVTEC[category]
    classes = [f"defect{i}" for i in range(6)]
    classes.insert(place, "good")
    test = [defective // 6 + (i < defective % 6) for i in range(6)]
    test.insert(place, good)
    known = layout(tuple(train * (name == "good") for name in classes), tuple(test), tuple(classes))
    split = yaml_protocol("mvtec").split(known)
    check(split, known, (place,))
    assert sizes(split) == (train, 0, good, defective)
    assert sizes(yaml_protocol("mvtec", validation=0.15).split(known)) == (train - carved, carved, good, defective)


def test_mvtec_totals():
    assert [sum(column) for column in zip(*MVTEC.values(), strict=True)][:3] == [3_629, 467, 1_258]


def celeba() -> Annotations:
    """The official partition, with attributes on random faces."""
    total = sum(CELEBA)
    rng = np.random.default_rng(0)
    part = np.repeat([0, 1, 2], CELEBA)
    attributes = {name: rng.permutation(total) < positives for name, positives in POSITIVES.items()}
    return annotated(np.zeros(total), part == 2, ("face",), attributes=attributes | {"validation": part == 1})


def test_celeba_attributes():
    known = celeba()
    validation = known.attributes["validation"]
    for name, positives in POSITIVES.items():
        has = known.attributes[name]
        split = Attribute(attribute=name.lower()).split(known)
        assert (len(split.train), len(split.test)) == (int((~has[: CELEBA[0]]).sum()), CELEBA[2])
        assert not has[split.train].any()
        assert np.array_equal(split.novel, has[split.test])
        assert not validation[np.concatenate([split.train, split.test])].any()
        left = validation.sum() + has[: CELEBA[0]].sum()
        assert len(split.train) + len(split.test) + left == len(has)
        assert has.sum() == positives
    assert Attribute(attribute="Bald").classes(known) == ("without Bald", "with Bald")


def test_celeba_turned_round():
    known = celeba()
    without, turned = (Attribute(attribute="Bangs", normal=n).split(known) for n in (None, "with bangs"))
    assert known.attributes["Bangs"][turned.train].all()
    assert np.array_equal(turned.novel, ~without.novel)


@pytest.mark.parametrize("share", [10, 20, 30, 40, 50])
def test_outlier_shares(mnist, share):
    for digit, inliers in enumerate(MNIST_TEST):
        split = OutlierShare(normal=digit, share=share).split(mnist)
        check(split, mnist, (digit,))
        train, _, normal, novel = sizes(split)
        assert (train, normal) == (MNIST_TRAIN[digit], inliers)
        assert novel == (OUTLIERS[share][digit] if share in OUTLIERS else round(inliers * 2 / 3))
        assert mnist.test[split.test].all()


def test_a_larger_share_keeps_the_outliers_of_a_smaller_one(mnist):
    splits = [OutlierShare(normal=8, share=share, repeat=2).split(mnist) for share in (10, 30, 50)]
    novel = [set(split.test[split.novel].tolist()) for split in splits]
    assert novel[0] < novel[1] < novel[2]
    assert all(np.array_equal(split.train, splits[0].train) for split in splits)


@pytest.fixture(scope="module")
def folds(mnist) -> dict[tuple[int, int], Any]:
    return {(digit, fold): GPNDFolds(normal=digit, repeat=fold).split(mnist) for digit in (0, 8) for fold in range(5)}


def test_gpnd_parts(mnist, folds):
    """60/20/20 of whole fifths; the five tests are disjoint, and every class has the same parts whoever is normal."""
    for digit in (0, 8):
        own = [folds[digit, fold] for fold in range(5)]
        for split in own:
            assert (len(split.train), len(split.validation)) == (3 * PARTS[digit], PARTS[digit])
            assert len(np.unique(split.test[~split.novel])) == PARTS[digit]
            assert len(np.unique(split.test[split.novel])) == sum(PARTS) - PARTS[digit]
        tests = np.concatenate([np.unique(split.test) for split in own])
        assert len(np.unique(tests)) == len(tests) == 5 * sum(PARTS)
        assert np.array_equal(own[1].validation, np.unique(own[0].test[~own[0].novel]))
        assert np.array_equal(own[0].validation, np.unique(own[1].test[~own[1].novel]))
        assert all(np.array_equal(own[1].validation, split.validation) for split in own[2:])
    zeros = np.unique(folds[0, 3].test[~folds[0, 3].novel])
    among_others = np.unique(folds[8, 3].test[folds[8, 3].novel])
    assert np.isin(zeros, among_others).all()


@pytest.mark.parametrize("share", [10, 20, 30, 40, 50])
def test_gpnd_repeats_the_short_side(mnist, share):
    split = GPNDFolds(normal=0, share=share).split(mnist)
    _, _, normal, novel = sizes(split)
    outliers = sum(PARTS) - PARTS[0]
    assert (normal, novel) == (outliers * (100 - share) // share, outliers)
    times = np.bincount(split.test[~split.novel])
    times = times[times > 0]
    assert times.max() - times.min() <= 1
    assert (np.diff(split.test) >= 0).all()


def test_gpnd_repeats_outliers_where_they_are_few():
    known = annotated(np.repeat([0, 1], [20, 10]))  # parts of 4 and 2
    assert sizes(GPNDFolds(share=50).split(known)) == (12, 4, 4, 4)
    assert sizes(GPNDFolds(share=10).split(known)) == (12, 4, 18, 2)
    assert sizes(GPNDFolds(share=33).split(known)) == (12, 4, 4, 2)


def test_repeated():
    rng = np.random.default_rng(0)
    assert sorted(repeated(np.array([7, 9]), 4, rng).tolist()) == [7, 7, 9, 9]
    assert sorted(np.bincount(repeated(np.array([0, 1, 2]), 8, rng)).tolist()) == [2, 3, 3]
    assert repeated(np.array([7, 9]), 1, rng).tolist() == [7, 9]
    assert repeated(np.array([], dtype=int), 4, rng).tolist() == []
