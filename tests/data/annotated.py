"""Annotations of data sets that nobody has to own: counts in, labels and flags out."""

from __future__ import annotations

from typing import Any

import numpy as np
import yaml

from novelty.check import bind, build
from novelty.config import conf_dir
from novelty.data.protocols import Protocol, Split
from novelty.data.source import Annotations

MNIST_TRAIN = (5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949)
MNIST_TEST = (980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009)
TEN = tuple("abcdefghij")


def annotated(labels: Any, test: Any = None, classes: tuple[str, ...] | None = None, **more: Any) -> Annotations:
    """``labels`` with what a protocol sees beside them; no two images alike and none flagged as test unless given."""
    labels = np.asarray(labels, dtype=np.int64)
    flags = np.zeros(len(labels), dtype=bool) if test is None else np.asarray(test, dtype=bool)
    names = classes or tuple(f"class{i}" for i in range(int(labels.max()) + 1))
    return Annotations(
        labels=labels,
        test=flags,
        classes=names,
        contents=more.pop("contents", np.arange(len(labels), dtype=np.uint64)),
        **more,
    )


def layout(
    train: tuple[int, ...], test: tuple[int, ...], classes: tuple[str, ...] | None = None, seed: int = 0, **more: Any
) -> Annotations:
    """A data set with so many training and test images a class, each part in haphazard order."""
    rng = np.random.default_rng(seed)
    parts = [rng.permutation(np.repeat(np.arange(len(counts)), counts)) for counts in (train, test)]
    flags = np.repeat([False, True], [sum(train), sum(test)])
    return annotated(np.concatenate(parts), flags, classes or TEN[: len(train)], **more)


def check(split: Split, known: Annotations, chosen: tuple[int, ...]) -> None:
    """What holds for every split of every protocol that keeps the data set's own classes."""
    train, validation, test, novel = split
    for index in (train, validation, test):
        assert index.dtype == np.int64
        assert (np.diff(index) > 0).all()
    joined = np.concatenate([train, validation, test])
    assert len(np.unique(joined)) == len(joined)
    assert joined.min() >= 0
    assert joined.max() < len(known.labels)
    assert np.isin(known.labels[train], chosen).all()
    assert np.isin(known.labels[validation], chosen).all()
    assert novel.dtype == bool
    assert (novel == ~np.isin(known.labels[test], chosen)).all()
    assert len(train)
    assert novel.any()
    assert not novel.all()


def sizes(split: Split) -> tuple[int, int, int, int]:
    """Numbers of training, validation, normal test and novel test images."""
    novel = int(split.novel.sum())
    return len(split.train), len(split.validation), len(split.test) - novel, novel


def same(one: Split, other: Split) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def for_any_protocol(seed: int = 0, extra: int = 0, official: bool = True) -> Annotations:
    """Small annotations that have whatever some protocol asks for: ``good``, clutter, attributes, groups, copies.

    extra: more images in every class.  official: whether there is a test split.
    """
    rng = np.random.default_rng(seed)
    classes = ("crack", "good", "cat", "dog", "257.clutter")
    train, test = ([int(n) + extra for n in rng.integers(40, 60, 5)], [int(n) + extra for n in rng.integers(30, 50, 5)])
    train[-1] = 160
    known = layout(tuple(train), tuple(test), classes, seed)
    count = len(known.labels)
    contents = np.arange(count, dtype=np.uint64)
    for label in range(len(classes)):  # copies lie within a class
        own = np.flatnonzero(known.labels == label)
        contents[rng.choice(own, 12, replace=False)] = contents[rng.choice(own, 12)]
    return annotated(
        known.labels,
        known.test if official else None,
        classes,
        contents=contents,
        attributes={
            "Bald": rng.random(count) < 0.3,
            "Bangs": rng.random(count) < 0.5,
            "validation": rng.random(count) < 0.1,
        },
        groupings={
            "official": {"things": (0, 4), "pets": (2, 3), "others": (1,)},
            "csi_repo": {"things": (0, 1), "pets": (2, 3)},
        },
    )


def node(name: str) -> dict[str, Any]:
    """The YAML of a protocol."""
    return dict(yaml.safe_load((conf_dir() / "protocol" / f"{name}.yaml").read_text(encoding="utf-8")))


def yaml_protocol(name: str, **changed: Any) -> Protocol:
    """The protocol as its YAML has it, but for ``changed``."""
    protocol: Protocol = build(bind({**node(name), **changed}, "protocol", Protocol))
    return protocol
