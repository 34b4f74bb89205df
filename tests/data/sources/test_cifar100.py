"""CIFAR-100: its files, its names, its superclasses."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from data.fake_layouts import noise, write_images
from data.fakes.cifar100 import cifar100_batch, cifar100_files, write_cifar100
from data.fakes.files import goes_on_from_anywhere, seen

from novelty.data.download import md5
from novelty.data.sources.cifar100 import CIFAR100
from novelty.errors import NoveltyError


@pytest.mark.parametrize("packed", [True, False], ids=["archive", "unpacked"])
@pytest.mark.parametrize("below", ["", "cifar100"])
def test_layouts(tmp_path, monkeypatch, packed, below):
    files, pixels, labels = cifar100_files()
    write_cifar100(tmp_path / below, files, packed=packed)
    source = CIFAR100(tmp_path, download=False)
    found = seen(source)
    assert [image.pixels for image in found] == [image.tobytes() for image in pixels]
    assert [image.label for image in found] == labels.tolist()
    assert [image.test for image in found] == [False] * 200 + [True] * 100
    assert goes_on_from_anywhere(source)
    assert source.copy == "CIFAR-100 batches that do not have the published checksums"
    monkeypatch.setattr(CIFAR100, "batches", {name: md5(files[name]) for name in CIFAR100.batches})
    assert CIFAR100(tmp_path, download=False).copy == "original"


def test_the_fake_is_a_real_pickle():
    values = noise(5, 3, 3072)
    batch = pickle.loads(cifar100_batch(values, np.array([1, 2, 99]), np.array([0, 0, 19]), "x"), encoding="latin1")
    assert np.array_equal(batch["data"], values)
    assert (batch["fine_labels"], batch["coarse_labels"]) == ([1, 2, 99], [0, 0, 19])


def test_names_and_counts(tmp_path):
    source = CIFAR100(tmp_path)
    assert len(source.classes) == 100
    assert list(source.classes) == sorted(source.classes)
    assert [source.classes[i] for i in (0, 22, 31, 39, 86, 99)] == [
        "apple",
        "clock",
        "elephant",
        "keyboard",
        "telephone",
        "worm",
    ]
    assert set(source.expected) == set(source.classes)
    assert np.sum([*source.expected.values()], axis=0).tolist() == [50_000, 10_000]


def test_superclasses(tmp_path):
    """protocols.md, oracle 4: both tables partition the classes and agree on 7 rows."""
    source = CIFAR100(tmp_path)
    official, repository = source.groupings["official"], source.groupings["csi_repo"]
    assert [*official] == [*repository]
    assert len(official) == 20
    for table in (official, repository):
        assert all(len(members) == 5 and list(members) == sorted(members) for members in table.values())
        assert sorted(label for members in table.values() for label in members) == list(range(100))
    assert [name for name in official if official[name] == repository[name]] == [
        "flowers",
        "fruit and vegetables",
        "insects",
        "large carnivores",
        "trees",
        "vehicles 1",
        "vehicles 2",
    ]

    def names(table: str, group: str) -> list[str]:
        return [source.classes[label] for label in source.groupings[table][group]]

    assert names("official", "aquatic mammals") == ["beaver", "dolphin", "otter", "seal", "whale"]
    assert names("official", "household electrical devices") == ["clock", "keyboard", "lamp", "telephone", "television"]
    assert names("official", "large omnivores and herbivores") == [
        "camel",
        "cattle",
        "chimpanzee",
        "elephant",
        "kangaroo",
    ]
    assert names("official", "people") == ["baby", "boy", "girl", "man", "woman"]
    assert names("official", "vehicles 2") == ["lawn_mower", "rocket", "streetcar", "tank", "tractor"]
    assert "elephant" in names("csi_repo", "aquatic mammals")


def test_the_second_table_is_the_first_with_keyboard_sorted_under_c(tmp_path):
    """protocols.md section 10: labels 25 to 38 written one too high, keyboard (39) as 25."""
    moved = {label: label + 1 for label in range(25, 39)} | {39: 25}
    source = CIFAR100(tmp_path)
    for name, members in source.groupings["official"].items():
        expected = tuple(sorted(moved.get(label, label) for label in members))
        assert source.groupings["csi_repo"][name] == expected


def test_class_folders(tmp_path):
    for seed, name in enumerate(CIFAR100(tmp_path).classes):
        for split in ("train", "test"):
            write_images(tmp_path / "cifar100" / split / name, 1, 32, seed=seed)
    source = CIFAR100(tmp_path, download=False)
    found = seen(source)
    assert [image.label for image in found] == [*range(100), *range(100)]
    assert goes_on_from_anywhere(source)
    assert source.copy == "PNG class folders"


def test_fine_labels_are_required(tmp_path):
    data = pickle.dumps({"data": noise(1, 1, 3072), "labels": [1], "fine_labels": [100]}, protocol=2)
    with pytest.raises(NoveltyError, match=r"^x is no batch of CIFAR-100 \(ValueError: labels are not 0 to 99\)"):
        CIFAR100.read_batch(data, "x")
    with pytest.raises(NoveltyError, match="fine_labels"):
        CIFAR100.read_batch(pickle.dumps({"data": noise(1, 1, 3072), "labels": [1]}, protocol=2), "x")


@pytest.mark.parametrize("cut", [0.5, 0.0])
def test_damaged(tmp_path, cut):
    files, _, _ = cifar100_files()
    path = write_cifar100(tmp_path, files, packed=True)
    path.write_bytes(path.read_bytes()[: int(cut * path.stat().st_size)])
    with pytest.raises(NoveltyError, match=r"cifar-100-python\.tar\.gz is damaged or cut off"):
        seen(CIFAR100(tmp_path, download=False))
    folder = write_cifar100(tmp_path / "other", files)
    (folder / "test").write_bytes(files["test"][: int(cut * len(files["test"]))])
    with pytest.raises(NoveltyError, match=r"cifar-100-python: test is no batch of CIFAR-100"):
        seen(CIFAR100(tmp_path / "other", download=False))


def test_missing(tmp_path):
    with pytest.raises(NoveltyError) as caught:
        CIFAR100(tmp_path, download=False).fingerprint()
    words = (
        "CIFAR-100",
        "Krizhevsky",
        str(tmp_path),
        "cifar-100-python.tar.gz",
        "no explicit licence",
        "cifar100/{train",
    )
    assert all(word in str(caught.value) for word in words), str(caught.value)
