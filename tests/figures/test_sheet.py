"""Sheets of trained methods: which images, what is shown of them, and how a method comes back from its record."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from cells import plan
from figures.drawing import TINY, drawn, run, trained_runs, write_figure
from torch import Tensor

from novelty.errors import NoveltyError
from novelty.figures import style
from novelty.figures.base import Numbers
from novelty.figures.sheet import Sheet
from novelty.tables import Column, Layout, Row

SHEET = """
_target_: novelty.figures.sheet.Sheet
normal: 1
novel: 2
cells:
  common: [data=digits, protocol.normal=3, method=autoencoder]
  columns: {digits: {overrides: []}}
  rows:
    mse: {overrides: []}
    dssim: {overrides: [method.loss=ssim]}
"""


def test_a_sheet_shows_what_the_record_scored(runs: Path) -> None:
    (cell,) = found = trained_runs()
    numbers = Sheet(normal=2, novel=3).gather(found)
    table = numbers.tables["numbers"]
    planned = plan("method=autoencoder")
    split = planned.split
    places = np.concatenate([np.flatnonzero(~split.novel)[:2], np.flatnonzero(split.novel)[:3]])
    assert table["image"].tolist() == split.test[places].tolist()
    assert table["novel"].tolist() == [False] * 2 + [True] * 3
    assert table["value"] == pytest.approx(cell.scores()[places], abs=1e-6)
    assert set(numbers.pictures) == {("3", "", "input"), ("3", "ae", "reconstruction"), ("3", "ae", "map")}
    shown = numbers.pictures["3", "", "input"]
    assert torch.equal(shown, planned.images.pixels[split.test[places]].float() / 255)
    assert numbers.pictures["3", "ae", "map"].mean((1, 2, 3)).numpy() == pytest.approx(table["value"], rel=1e-4)
    assert "mean score of the 5 images shown: ae mse: normal" in Sheet().finding(numbers)


def test_images_may_be_corrupted_as_the_record_has_them_scored(runs: Path) -> None:
    typed = ("evaluation=robustness", "evaluation.robustness.attacks=[]", "evaluation.robustness.severities=[3]")
    (cell,) = found = trained_runs(*typed, "evaluation.robustness.corruptions=[gaussian_noise,grey]")
    plain, noisy = Sheet(normal=2, novel=2), Sheet(normal=2, novel=2, corruption="gaussian_noise", severity=3)
    before, after = plain.gather(found), noisy.gather(found)
    split = plan("method=autoencoder").split
    places = np.concatenate([np.flatnonzero(~split.novel)[:2], np.flatnonzero(split.novel)[:2]])
    assert cell.path is not None
    with np.load(cell.path.with_name("scores.npz")) as stored:
        scored = stored["score/mse@gaussian_noise-3"][places]
    assert after.tables["numbers"]["value"] == pytest.approx(scored, abs=1e-6)
    clean, moved = before.pictures["3", "", "input"], after.pictures["3", "", "input"]
    assert 0.02 < (moved - clean).abs().mean() < 0.08
    metrics = cell.done["metrics"]
    whole, lost = (metrics[name]["auroc"] for name in ("mse", "mse@gaussian_noise-3"))
    assert set(before.tables) == {"numbers"}
    assert {name: column.tolist() for name, column in after.tables["aurocs"].items()} == {
        "block": ["3"], "row": ["ae"], "auroc": [whole], "auroc_corrupted": [lost],
    }  # fmt: skip
    said = noisy.finding(after)
    assert said.startswith(f"AUROC of all test images, as they are and gaussian noise-3: 3 {whole:.3f} to {lost:.3f};")
    assert "4 images shown, gaussian noise-3: ae mse" in said
    assert "AUROC" not in plain.finding(before)
    unscored = Sheet(normal=1, novel=0, corruption="gaussian_noise", severity=5)
    assert "AUROC" not in unscored.finding(unscored.gather(found))
    with style.styled():
        (axes,) = Sheet(corruption="grey").draw(before).axes
    assert "input, grey" in {text.get_text() for text in axes.texts}


def test_the_table_names_the_class_of_each_image(runs: Path) -> None:
    table = Sheet(normal=2, novel=3).gather(trained_runs()).tables["numbers"]
    images = plan("method=autoencoder").images
    assert table["label"].tolist() == [images.classes[images.labels[image]] for image in table["image"]]
    assert set(table["label"][~table["novel"]]) == {"0"}


def test_a_sheet_may_show_what_is_given_in_training(runs: Path) -> None:
    dae = trained_runs("method=dae_mlp")
    numbers = Sheet(normal=2, novel=1, maps=False, training=True).gather(dae)
    assert set(numbers.pictures) == {("3", "", "input"), ("3", "ae", "disturbed"), ("3", "ae", "reconstruction")}
    given, clean = numbers.pictures["3", "ae", "disturbed"], numbers.pictures["3", "", "input"]
    assert 0.03 < (given - clean).abs().mean() < 0.2
    keys = list(numbers.pictures)
    for training, key in ((True, ("3", "", "input")), (False, ("3", "ae", "reconstruction"))):
        ((below, _),) = Sheet(training=training)._values(numbers.tables["numbers"], "3", keys)
        assert below == key
    with pytest.raises(NoveltyError, match="Autoencoder shows nothing of its training"):
        Sheet(training=True).gather(trained_runs())


def test_images_may_be_the_most_or_least_novel_by_the_record(runs: Path) -> None:
    found = trained_runs()
    novel, scores = plan("method=autoencoder").split.novel, found[0].scores()
    for order, extreme in (("most", np.max), ("least", np.min)):
        table = Sheet(normal=1, novel=1, order=order).gather(found).tables["numbers"]
        assert table["value"] == pytest.approx([extreme(scores[~novel]), extreme(scores[novel])], abs=1e-6)


def test_a_method_whose_weights_were_dropped_is_trained_again_to_the_same(runs: Path) -> None:
    (kept,) = trained_runs()
    before = Sheet(normal=1, novel=1).gather([kept])
    planned = plan("method=autoencoder")
    planned.record.weights.unlink()
    record = planned.record.result.read_bytes()
    after = Sheet(normal=1, novel=1).gather(trained_runs("keep=none"))
    assert planned.record.weights.is_file()
    assert planned.record.result.read_bytes() == record
    for key, picture in before.pictures.items():
        assert torch.equal(picture, after.pictures[key])


def test_rows_on_the_same_images_share_a_block(
    own_figures: Path, runs: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    write_figure(own_figures, "a/sheet", SHEET)
    run("figure=a/sheet", *TINY)
    folder, about, lines = drawn(runs, "a/sheet")
    assert [(line["block"], line["row"], line["score"]) for line in lines] == [
        *[("digits", "mse", "mse")] * 3,
        *[("digits", "dssim", "dssim")] * 3,
    ]
    assert (folder / "figure.png").is_file()
    assert len(list(runs.rglob("model.ckpt"))) == 2
    assert about["config"]["figure"]["novel"] == 2
    with pytest.raises(NoveltyError, match="leave out keep=none"):
        run("figure=a/sheet", *TINY, "keep=none")


def test_rows_on_other_images_have_blocks_of_their_own(runs: Path) -> None:
    small, large = trained_runs()[0], trained_runs("data.image_size=16")[0]
    table = Sheet(normal=1, novel=1).gather([small, large]).tables["numbers"]
    assert list(dict.fromkeys(table["block"].tolist())) == ["3", "3 · ae"]


def _numbers(pictures: dict[tuple[str, ...], Tensor]) -> Numbers:
    table = {"block": ["b"], "row": ["r"], "image": [7], "novel": [True], "score": ["s"], "value": [0.5]}
    return Numbers({"numbers": {name: np.array(values) for name, values in table.items()}}, {}, pictures)


def test_regions_of_the_map_are_shown_over_the_input() -> None:
    map_ = torch.zeros(1, 1, 4, 4)
    map_[..., 0, 0] = 0.3
    numbers = _numbers({("b", "", "input"): torch.zeros(1, 1, 4, 4), ("b", "r", "found"): map_})
    with style.styled():
        (axes,) = Sheet(threshold=0.2).draw(numbers).axes
    shown, found = (image.get_array() for image in axes.images)
    assert not shown.any()
    assert (found[0, 0] > 0).any()
    assert found.reshape(16, 3).any(1).sum() == 1
    assert {"map ≥ 0.2", "input", "novel", "0.5", "b"} == {text.get_text() for text in axes.texts}


def test_a_method_without_pictures_has_its_score_under_the_image() -> None:
    with style.styled():
        (axes,) = Sheet().draw(_numbers({("b", "", "input"): torch.zeros(1, 1, 4, 4)})).axes
    assert "0.5" in {text.get_text() for text in axes.texts}


def test_a_sheet_averages_nothing() -> None:
    with pytest.raises(NoveltyError, match="at least one image"):
        Sheet(normal=0, novel=0)
    with pytest.raises(NoveltyError, match=r"figure\.severity is 6"):
        Sheet(corruption="jpeg", severity=6)
    with pytest.raises(NoveltyError, match="give it one seed"):
        Sheet().admit(Layout("a/b", (Row("a", (), (0, 1)),), (Column("x", ((),)),), ()))
