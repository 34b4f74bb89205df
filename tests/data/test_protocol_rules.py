"""The rules of single protocols: copies of images, drawn categories, and a sentence where data lack what is needed."""

from __future__ import annotations

import numpy as np
import pytest
from annotated import annotated, check, layout, same, sizes

from novelty.data.protocols.balanced import RandomClass
from novelty.data.protocols.caltech import CategoriesVsClutter
from novelty.data.protocols.gpnd import GPNDFolds
from novelty.data.protocols.medical import MedicalHoldout
from novelty.data.protocols.one_vs_all import Attribute, Superclass
from novelty.data.protocols.outliers import OutlierShare
from novelty.data.source import Annotations
from novelty.errors import NoveltyError

HEAD_CT = annotated(np.repeat([0, 1], [100, 100]), classes=("normal", "hemorrhage"))
REPEATS = range(5)


def brain_mri(seed: int = 0) -> Annotations:
    """98 normal files of 87 contents and 155 tumours of 141, in haphazard order; some lie there three times."""
    rng = np.random.default_rng(seed)
    normal = np.concatenate([np.arange(87), [3, 3, *range(10, 19)]])
    tumour = 100 + np.concatenate([np.arange(141), [7, 7, *range(20, 32)]])
    contents, labels = np.concatenate([normal, tumour]), np.repeat([0, 1], [98, 155])
    order = rng.permutation(253)
    return annotated(labels[order], classes=("normal", "tumour"), contents=contents[order].astype(np.uint64))


@pytest.mark.parametrize("repeat", REPEATS)
def test_head_ct(repeat):
    split = MedicalHoldout(repeat=repeat).split(HEAD_CT)
    check(split, HEAD_CT, (0,))
    assert sizes(split) == (90, 0, 10, 100)
    assert sizes(MedicalHoldout(repeat=repeat, validation=0.15).split(HEAD_CT)) == (76, 14, 10, 100)


@pytest.mark.parametrize("repeat", range(20))
def test_brain_mri_keeps_copies_on_one_side(repeat):
    known = brain_mri()
    split = MedicalHoldout(repeat=repeat).split(known)
    check(split, known, (0,))
    assert sizes(split) == (88, 0, 10, 155)
    held = known.contents[split.test[~split.novel]]
    assert not np.isin(held, known.contents[split.train]).any()
    assert sizes(MedicalHoldout(repeat=repeat, validation=0.15).split(known)) == (75, 13, 10, 155)


def test_brain_mri_with_copies_dropped_or_ignored():
    known = brain_mri()
    parted = 0
    for repeat in REPEATS:
        dropped = MedicalHoldout(repeat=repeat, duplicates="drop").split(known)
        assert sizes(dropped) == (77, 0, 10, 141)
        everyone = np.concatenate([dropped.train, dropped.test])
        assert len(np.unique(known.contents[everyone])) == len(everyone)
        assert all(index == np.flatnonzero(known.contents == known.contents[index])[0] for index in everyone)
        ignored = MedicalHoldout(repeat=repeat, duplicates="ignore").split(known)
        assert sizes(ignored) == (88, 0, 10, 155)
        parted += np.isin(known.contents[ignored.test[~ignored.novel]], known.contents[ignored.train]).any()
    assert parted


def test_a_group_that_would_overshoot_is_passed_over():
    """Five copies of one image and three single ones: two can be held only as two single ones."""
    known = annotated(np.repeat([0, 1], [8, 3]), contents=np.array([0] * 5 + [1, 2, 3, 4, 5, 6], dtype=np.uint64))
    held = {tuple(MedicalHoldout(repeat=r, holdout=2).split(known).test[:2]) for r in range(40)}
    assert held == {(5, 6), (5, 7), (6, 7)}


def test_copies_that_cannot_be_parted():
    known = annotated(np.repeat([0, 1], [8, 3]), contents=np.array([0, 0, 1, 1, 2, 2, 3, 3, 4, 5, 6], dtype=np.uint64))
    with pytest.raises(NoveltyError, match=r"No 3 normal test images .* protocol\.duplicates=drop"):
        MedicalHoldout(holdout=3).split(known)
    assert sizes(MedicalHoldout(holdout=3, duplicates="drop").split(known)) == (1, 0, 3, 3)
    with pytest.raises(NoveltyError, match="none to train on"):
        MedicalHoldout(holdout=8).split(known)


def test_medical_ignores_official_splits_and_which_class_is_normal_can_be_said():
    flagged = annotated(HEAD_CT.labels, np.arange(200) % 2, HEAD_CT.classes)
    assert same(MedicalHoldout().split(flagged), MedicalHoldout().split(HEAD_CT))
    assert sizes(MedicalHoldout(normal="hemorrhage", holdout=20).split(HEAD_CT)) == (80, 0, 20, 100)


def caltech() -> Annotations:
    """256 categories of 80 to 335 images, and 827 of clutter, in the order of their folders."""
    counts = [80 + label for label in range(256)] + [827]
    names = tuple(f"{i + 1:03d}.thing-{i}" for i in range(256))
    return annotated(np.repeat(np.arange(257), counts), classes=(*names, "257.clutter"))


@pytest.mark.parametrize("inliers", [1, 3, 5])
@pytest.mark.parametrize("repeat", range(0, 20, 3))
def test_caltech(inliers, repeat):
    known = caltech()
    protocol = CategoriesVsClutter(inliers=inliers, repeat=repeat)
    chosen = protocol.normal_classes(known)
    assert len(chosen) == inliers
    assert 256 not in chosen
    available = sum(min(150, 80 + label) for label in chosen)
    split = protocol.split(known)
    check(split, known, chosen)
    tested = available - int(0.8 * available)
    assert sizes(split) == (available - tested, 0, tested, tested)
    own = np.concatenate([split.train, split.test[~split.novel]])
    for label in chosen:  # the first 150 by file name
        first = np.flatnonzero(known.labels == label)[:150]
        assert np.array_equal(np.sort(own[known.labels[own] == label]), first)
    assert (known.labels[split.test[split.novel]] == 256).all()
    transductive = CategoriesVsClutter(inliers=inliers, repeat=repeat, mode="transductive").split(known)
    assert sizes(transductive) == (available, 0, available, available)
    assert np.array_equal(transductive.train, transductive.test[~transductive.novel])
    assert np.array_equal(transductive.train, np.sort(own))


def test_caltech_draws_categories_by_the_repeat_and_nests_them():
    known = caltech()
    drawn = {n: [CategoriesVsClutter(inliers=n, repeat=r).normal_classes(known) for r in range(20)] for n in (1, 3, 5)}
    assert len(set(drawn[5])) == 20
    assert len({one for (one,) in drawn[1]}) > 15
    assert all(set(a) < set(b) < set(c) for a, b, c in zip(*drawn.values(), strict=True))


def test_caltech_without_enough_clutter():
    known = layout((100, 100, 30), (0, 0, 0), ("cat", "dog", "clutter"))
    assert sizes(CategoriesVsClutter().split(known)) == (80, 0, 20, 20)
    with pytest.raises(NoveltyError, match=r"40 inliers .* class clutter has 30"):
        CategoriesVsClutter(inliers=2).split(known)


def with_attributes() -> Annotations:
    return annotated(
        np.zeros(4), classes=("face",), attributes={"Bald": np.arange(4) > 1, "validation": np.zeros(4) > 0}
    )


PLAIN = layout((5, 5, 5), (3, 3, 3))
GROUPED = annotated([0, 1, 2], classes=("a", "b", "c"), groupings={"official": {"x": (0,), "y": (1, 2)}})


@pytest.mark.parametrize(
    ("make", "known", "words"),
    [
        (lambda: Attribute(attribute="Bold"), with_attributes(), "protocol.attribute is Bold.* attributes are Bald."),
        (lambda: Attribute(attribute="validation"), with_attributes(), "protocol.attribute is validation"),
        (lambda: Attribute(attribute="Bald"), PLAIN, "this data set has none: take protocol=p2"),
        (lambda: Attribute(attribute="Bald", normal="beard"), with_attributes(), "no class beard.*without Bald"),
        (lambda: Superclass(), PLAIN, "protocol.table is official.* it has none: take protocol=p2"),
        (lambda: Superclass(table="mine"), GROUPED, "protocol.table is mine.* it has official"),
        (lambda: Superclass(normal="a"), GROUPED, "no class a.* Classes: x, y"),
        (lambda: CategoriesVsClutter(), PLAIN, "protocol.outliers is clutter.* Classes: a, b, c"),
        (lambda: CategoriesVsClutter(outliers="a", inliers=3), PLAIN, "protocol.inliers is 3, and there are 2"),
        (lambda: CategoriesVsClutter(inliers=0), PLAIN, "protocol.inliers is 0"),
        (lambda: CategoriesVsClutter(per_category=0), PLAIN, "protocol.per_category is 0"),
        (lambda: MedicalHoldout(holdout=0), PLAIN, "protocol.holdout is 0"),
        (lambda: OutlierShare(share=70), PLAIN, "share=70 asks for 7 novel test images beside 3 normal ones.* are 6"),
        (lambda: OutlierShare(share=0), PLAIN, "protocol.share is 0"),
        (lambda: GPNDFolds(share=100), PLAIN, "protocol.share is 100"),
        (lambda: GPNDFolds(repeat=5), PLAIN, "protocol.repeat is 5.* 0 to 4"),
        (lambda: RandomClass(repeat=3), PLAIN, "protocol.repeat is 3.* 0 to 2"),
    ],
)
def test_sentences(make, known, words):
    with pytest.raises(NoveltyError, match=words):
        make().split(known)


def test_images_in_no_group_are_left_out():
    known = layout((5,) * 4, (3,) * 4, groupings={"official": {"x": (0,), "y": (1, 2)}})
    split = Superclass().split(known)
    assert sizes(split) == (5, 0, 3, 6)
    assert not (known.labels[np.concatenate([split.train, split.test])] == 3).any()
