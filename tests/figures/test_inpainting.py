"""Inpainting drawn: the same holes for every way, known places kept, quality as measured, mistakes in a sentence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from figures.drawing import trained_runs

from novelty.errors import NoveltyError
from novelty.figures import style
from novelty.figures.inpainting import BLIND, FREE, HOLE, KNOWN, ONE_PASS, PROJECTED, Inpainting
from novelty.figures.sheet import INPUT

PROJECTION = ("method=energy_projection", "method@method.autoencoder=autoencoder", "method.iterations=3")


def test_holes_are_filled_in_every_way_and_measured(runs: Path) -> None:
    figure = Inpainting(images=2)
    numbers = figure.gather(trained_runs(*PROJECTION))
    shown, table = numbers.pictures, numbers.tables["numbers"]
    ways = [(KNOWN, ONE_PASS), (KNOWN, PROJECTED), (KNOWN, FREE), (BLIND, ONE_PASS), (BLIND, PROJECTED)]
    assert list(shown) == [("3", "", INPUT), ("3", "", HOLE), *(("3", *way) for way in ways)]
    original, holes = shown["3", "", INPUT], shown["3", "", HOLE]
    inside = (original != holes).any(1, keepdim=True)
    side = round(original.shape[-1] * 20 / 64)
    assert ((inside.sum((1, 2, 3)) - side**2).abs() <= 1).all()  # noise may hit the value that was there
    for name in (ONE_PASS, PROJECTED, FREE):
        assert torch.equal(shown["3", KNOWN, name][~inside], original[~inside])
    for way, name in ways:
        here = (table["row"] == way) & (table["picture"] == name)
        assert here.sum() == 2
        filled = shown["3", way, name]
        l1 = [(filled[i] - original[i]).abs()[inside[i]].sum() / side**2 for i in range(2)]
        assert table["l1"][here] == pytest.approx(np.array(l1), rel=1e-4)
    assert not table["novel"].any()
    with style.styled():
        style.save(figure.draw(numbers), runs, "drawn")
    assert (runs / "drawn.png").is_file()
    assert "place not known: one pass" in figure.finding(numbers)


def test_without_blindness_only_known_places_are_filled(runs: Path) -> None:
    numbers = Inpainting(images=1, hole=3, blind=False).gather(trained_runs(*PROJECTION))
    assert {key[1] for key in numbers.pictures} == {"", KNOWN}


def test_mistakes_are_named(runs: Path) -> None:
    with pytest.raises(NoveltyError, match=r"figure.images is 0: it must be at least 1"):
        Inpainting(images=0)
    with pytest.raises(NoveltyError, match=r"figure.hole is 0: it must be at least 1"):
        Inpainting(hole=0)
    with pytest.raises(NoveltyError, match=r"fills no holes: choose method=energy_projection"):
        Inpainting().gather(trained_runs())
    with pytest.raises(NoveltyError, match=r"A hole of 99 px does not fit"):
        Inpainting(hole=99).gather(trained_runs(*PROJECTION))
