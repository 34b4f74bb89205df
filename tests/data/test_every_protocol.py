"""What holds for every protocol below conf/protocol, found by globbing, on data that have whatever one may ask for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from annotated import for_any_protocol, node, same, yaml_protocol
from cells import options
from hypothesis import given, settings
from hypothesis import strategies as st

from novelty.check import parameters, target
from novelty.config import conf_dir
from novelty.data.protocols import Protocol, Split, cap
from novelty.data.protocols.base import DrawnProtocol
from novelty.data.protocols.index_file import write_split
from novelty.data.source import Annotations
from novelty.results.keys import array_digest

NAMES = options("protocol")


def takes(name: str) -> set[str]:
    """Options of the protocol's constructor."""
    return set(parameters(target(node(name), "protocol")))


def make(name: str, known: Annotations, folder: Path, **changed: Any) -> Protocol:
    """The protocol as its YAML has it, but for ``changed``; a file to read is made where one is asked for."""
    changes = {key: value for key, value in changed.items() if key in takes(name)}
    if "file" in takes(name):
        changes["file"] = str(folder / "split.npz")
        source = make("p1", known, folder, **{"normal": ["cat"]} | changed)
        write_split(folder / "split.npz", source.split(known), known, ("cat",))
    return yaml_protocol(name, **changes)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("splits")


def sides(protocol: Protocol, known: Annotations) -> tuple[np.ndarray, np.ndarray]:
    """Which images are normal and which are novel to the protocol, (N,) bool each; neither where they are left out."""
    chosen = protocol.normal_classes(known)
    if isinstance(protocol, DrawnProtocol):
        labels = protocol.labels(known)
        return np.isin(labels, chosen), (labels >= 0) & ~np.isin(labels, chosen)
    names = [known.classes.index(protocol.classes(known)[i]) for i in chosen]
    return np.isin(known.labels, names), ~np.isin(known.labels, names)


def pairs(split: Split) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    train, validation, test, _ = split
    yield from ((train, validation), (train, test), (validation, test))


def check(protocol: Protocol, known: Annotations, split: Split) -> None:
    normal, novel = sides(protocol, known)
    for index in split[:3]:
        assert index.dtype == np.int64
        assert (np.diff(index) >= 0).all()
        assert ((index >= 0) & (index < len(known.labels))).all()
    assert split.novel.dtype == bool
    assert len(split.novel) == len(split.test)
    assert normal[split.train].all()
    assert normal[split.validation].all()
    assert normal[split.test[~split.novel]].all()
    assert novel[split.test[split.novel]].all()
    assert split.novel.any()
    assert not split.novel.all()
    assert len(np.unique(split.train)) == len(split.train) > 0
    assert len(np.unique(split.validation)) == len(split.validation)
    for one, other in pairs(split):
        assert not np.isin(one, other).any()


@pytest.mark.parametrize("name", NAMES)
@settings(deadline=None, max_examples=25)
@given(
    seed=st.integers(0, 50),
    extra=st.integers(0, 20),
    repeat=st.integers(0, 4),
    normal=st.integers(0, 4),
    fraction=st.sampled_from([1.0, 0.5]),
    validation=st.sampled_from([0.0, 0.15]),
)
def test_properties(name, folder, seed, extra, repeat, normal, fraction, validation):
    """No novel image in training, one role an image, exact sizes, and the same split again."""
    known = for_any_protocol(seed, extra)
    changed = {"repeat": repeat, "train_fraction": fraction, "validation": validation}
    protocol = make(name, known, folder, **changed)
    if protocol.one_of:
        changed["normal"] = normal % len(protocol.classes(known))
        protocol = make(name, known, folder, **changed)
    split = protocol.split(known)
    check(protocol, known, split)
    check(protocol, known, cap(split, 20, 10))
    assert same(split, protocol.split(known))
    assert same(split, make(name, known, folder, **changed).split(known))
    if "validation" in takes(name) and "file" not in takes(name):
        whole = make(name, known, folder, **changed | {"train_fraction": 1.0, "validation": 0.0}).split(known)
        if len(whole.validation):  # a protocol that says itself who validates
            assert same(split, whole)
            return
        used = round(fraction * len(whole.train)) if "train_fraction" in takes(name) else len(whole.train)
        assert len(split.validation) == round(validation * used)
        assert len(split.train) == used - len(split.validation)
        assert np.isin(split.train, whole.train).all()
        assert np.isin(split.validation, whole.train).all()
        assert np.array_equal(split.test, whole.test)
        assert np.array_equal(split.novel, whole.novel)


@pytest.mark.parametrize("name", NAMES)
def test_a_test_image_is_repeated_only_under_gpnd(name, folder):
    known = for_any_protocol()
    test = make(name, known, folder).split(known).test
    assert (len(np.unique(test)) < len(test)) == (name == "gpnd")


@pytest.mark.parametrize("name", [n for n in NAMES if "repeat" in takes(n)])
def test_another_repeat_is_another_draw(name, folder):
    known = for_any_protocol()
    splits = [make(name, known, folder, repeat=repeat, train_fraction=0.5).split(known) for repeat in range(5)]
    assert not any(same(splits[i], splits[j]) for i in range(5) for j in range(i))


@pytest.mark.parametrize("name", [n for n in NAMES if "normal" in takes(n)])
def test_the_order_and_the_spelling_of_normal_classes_are_free(name, folder):
    known = for_any_protocol()
    classes = make(name, known, folder).classes(known)
    one_of = target(node(name), "protocol").one_of  # type: ignore[attr-defined]
    chosen = [classes[0], classes[2]] if one_of else [classes[1]]
    spellings = [chosen, chosen[::-1], [*chosen, chosen[0]], [c.upper() for c in chosen]]
    spellings = [[classes.index(c) for c in chosen], *spellings] if one_of else [[c] for c in (1, *chosen)]
    splits = [
        make(name, known, folder, normal=given if one_of else given[0], repeat=1).split(known) for given in spellings
    ]
    assert all(same(splits[0], other) for other in splits[1:])


@pytest.mark.parametrize("name", NAMES)
def test_a_normal_class_that_nobody_named_is_the_first(name, folder):
    """`one_of` says that "the first of so many runs" is true: `normal` may be any class, and null is the first."""
    known = for_any_protocol()
    protocol = make(name, known, folder)
    if not protocol.one_of:
        return
    assert "normal" in takes(name)
    if node(name)["normal"] is None:
        assert protocol.normal_classes(known) == (0,)
    for label in range(len(protocol.classes(known))):
        assert make(name, known, folder, normal=label).normal_classes(known) == (label,)


@pytest.mark.parametrize("name", ["attribute", "medical", "caltech", "p1_random_class", "index_file"])
def test_where_one_run_is_all_there_is_no_class_is_the_first_of_many(name, folder):
    assert not make(name, for_any_protocol(), folder).one_of


@pytest.mark.parametrize("name", NAMES)
def test_every_yaml_opens_with_its_papers_and_roles(name):
    lines = (conf_dir() / "protocol" / f"{name}.yaml").read_text(encoding="utf-8").splitlines()
    assert all(line.startswith("#") for line in lines[:2])
    assert max(map(len, lines)) <= 120


@pytest.mark.parametrize("name", NAMES)
def test_a_split_survives_its_file(name, folder, tmp_path):
    known = for_any_protocol()
    protocol = make(name, known, folder)
    split, classes = protocol.split(known), protocol.classes(known)
    normal = tuple(classes[i] for i in protocol.normal_classes(known))
    write_split(tmp_path / "kept.npz", split, known, normal)
    again = yaml_protocol("index_file", file=str(tmp_path / "kept.npz"))
    assert same(split, again.split(known))
    assert again.classes(known) == normal
    assert again.normal_classes(known) == tuple(range(len(normal)))


def test_without_an_official_split_protocols_that_pool_are_unmoved(folder):
    official, pooled = for_any_protocol(), for_any_protocol(official=False)
    for name in ("p1", "p1_random_class", "gpnd", "medical", "caltech"):
        assert same(*(make(name, known, folder).split(known) for known in (official, pooled)))


DRAWN = {
    "p1": "1a2f0be8",
    "p1_random_class": "516dc661",
    "gpnd": "2e1807cb",
    "medical": "324dffbb",
    "caltech": "cd75193c",
    "outliers": "1af0809c",
}
"""Digests of what repeat 1 draws from `for_any_protocol()`: nobody's split may change unnoticed."""


@pytest.mark.parametrize("name", DRAWN)
def test_draws_stay_what_they_were(name, folder):
    split = make(name, for_any_protocol(), folder, repeat=1).split(for_any_protocol())
    assert array_digest(*split)[:8] == DRAWN[name]
