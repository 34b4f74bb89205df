"""One data set against another: splits, order, channels, where it starts; built from a configuration."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from data.fake_layouts import write_idx
from data.fakes.files import goes_on_from_anywhere, picture, save, seen
from data.fakes.mvtec_ad import write_mvtec_ad

from novelty.check import bind, build
from novelty.data.source import Source
from novelty.data.sources.against import Against, of_test
from novelty.data.sources.folder import Folder
from novelty.data.sources.mnist import MNIST
from novelty.data.sources.mvtec_ad import MVTecAD
from novelty.errors import NoveltyError


def write(top: Path, train: int, test: int, mode: str = "RGB") -> None:
    """Class folders with a split, or without one where ``test`` is 0."""
    for i in range(train):
        save(picture(i, 8, 8, mode), top / ("train/a" if test else "a") / f"{i}.png")
    for i in range(test):
        save(picture(100 + i, 6, 6, mode), top / "test" / "ab"[i % 2] / f"{i}.png")


def sets(root: Path, inside: tuple[int, int], outside: tuple[int, int]) -> Against:
    write(root / "in", *inside, mode="L")
    write(root / "out", *outside)
    return Against(root, inside=Folder(root, path="in"), outside=Folder(root, path="out"))


def test_splits(tmp_path):
    source = sets(tmp_path, (5, 4), (3, 2))
    found = seen(source)
    assert source.classes == ("inside", "outside")
    assert [image.label for image in found] == [0] * 9 + [1] * 2
    assert [image.test for image in found] == [False] * 5 + [True] * 6
    assert [image.pixels for image in found] == [
        *(image.pixels for image in seen(source.inside)),
        *(image.pixels for image in seen(source.outside) if image.test),
    ]
    assert source.copy == "inside: PNG class folders; outside: PNG class folders"
    assert goes_on_from_anywhere(source)


def test_without_a_split_outside_all_its_images_are_tested(tmp_path):
    source = sets(tmp_path, (2, 2), (3, 0))
    assert [(image.label, image.test) for image in seen(source)] == [(0, False)] * 2 + [(0, True)] * 2 + [(1, True)] * 3
    assert goes_on_from_anywhere(source)


@pytest.mark.parametrize("outside", [(3, 0), (1, 3)])
def test_without_a_split_inside_nothing_is_flagged_as_test(tmp_path, outside):
    source = sets(tmp_path, (4, 0), outside)
    assert [(image.label, image.test) for image in seen(source)] == [(0, False)] * 4 + [(1, False)] * 3
    assert goes_on_from_anywhere(source)


def test_grey_against_colour_has_three_channels_and_loses_nothing(tmp_path):
    arrays = write_idx(tmp_path / "MNIST/raw")
    write(tmp_path / "out", 2, 1)
    source = Against(tmp_path, inside=MNIST(tmp_path, download=False), outside=Folder(tmp_path, path="out"))
    blocks = list(source.blocks())
    assert {block.pixels.shape[-1] for block in blocks} == {3}
    assert np.array_equal(blocks[0].pixels[..., 1], arrays["train-images-idx3-ubyte"])
    assert goes_on_from_anywhere(source)


def test_traits_are_those_of_the_normal_images_and_masks_are_dropped(tmp_path):
    write_mvtec_ad(tmp_path, "carpet", defects={"cut": 2}, mode="RGB")
    write(tmp_path / "out", 2, 1)
    source = Against(tmp_path, inside=MVTecAD(tmp_path, category="carpet"), outside=Folder(tmp_path, path="out"))
    assert source.traits == {"texture"}
    assert all(block.masks is None for block in source.blocks())
    assert [image.label for image in seen(source)] == [0] * 9 + [1]


class Counted(Folder):
    """A folder of which a number of training images is published; counts those that are decoded."""

    def __init__(self, root, *, path, published):
        super().__init__(root, path=path)
        self.published, self.decoded = published, 0

    @property
    def expected(self):
        return {"a": (self.published, 2)}

    def blocks(self, start=0):
        for block in super().blocks(start):
            self.decoded += len(block.labels) * (not block.test)
            yield block


@pytest.mark.parametrize(("published", "decoded"), [(40, 1), (39, 42), (30, 51), (50, 40)])
def test_training_images_outside_are_passed_over_where_their_number_is_known(tmp_path, published, decoded):
    """Where it is wrong they are decoded and dropped."""
    write(tmp_path / "out", 40, 2)
    source = Counted(tmp_path, path="out", published=published)
    assert sum(len(block.labels) for block in of_test(source, 0)) == 2
    assert source.decoded == decoded


def test_fingerprint_is_that_of_both(tmp_path):
    source = sets(tmp_path, (2, 2), (2, 2))
    turned = Against(tmp_path, inside=source.outside, outside=source.inside)
    assert source.fingerprint() != turned.fingerprint()
    save(picture(7, 9, 9), tmp_path / "out/test/a/new.png")
    assert Against(
        tmp_path, inside=Folder(tmp_path, path="in"), outside=Folder(tmp_path, path="out")
    ).fingerprint() != (source.fingerprint())


def test_built_from_a_configuration_with_one_root(tmp_path):
    write(tmp_path / "in", 2, 2)
    write(tmp_path / "out", 2, 2)
    kind = "novelty.data.sources.folder.Folder"
    node = {
        "_target_": "novelty.data.sources.against.Against",
        "inside": {"_target_": kind, "path": "in"},
        "outside": {"_target_": kind, "path": "out"},
    }
    source = build(bind(node, "data.source", Source), root=tmp_path)
    assert len(seen(source)) == 6
    missing = build(bind({**node, "outside": {"_target_": kind, "path": "none"}}, "data.source", Source), root=tmp_path)
    with pytest.raises(NoveltyError, match=r"There is no folder .*none"):
        missing.fingerprint()
    with pytest.raises(NoveltyError, match=r"data\.source\.outside=.* must be a Source"):
        bind({**node, "outside": "mnist"}, "data.source", Source)
