"""Everything below conf/ and experiments/ composes, checks and builds."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from cells import options

from novelty.check import build, check
from novelty.config import compose_cell, experiments_dir, names_under, open_overrides
from novelty.errors import NoveltyError
from novelty.info import DataInfo
from novelty.methods.base import Fitted
from novelty.scores import Scores
from novelty.tables import load_table

GROUPS = ("augment", "budget", "evaluation", "hardware", "logger", "launcher", "protocol", "data", "method")
OFFLINE = ("weights", "random")
"""Weights that need no download."""


@pytest.mark.parametrize(("group", "name"), [(g, n) for g in GROUPS for n in options(g)])
def test_every_option_composes_and_checks(group: str, name: str) -> None:
    config = check(compose_cell([f"{group}={name}"]).cfg)
    assert config["method"]["_target_"]


@pytest.mark.parametrize("name", options("recipe"))
def test_every_recipe_belongs_to_a_method_and_a_data_set_and_checks(name: str) -> None:
    pairs = {f"{m}_{d}": (m, d) for m in options("method") for d in options("data")}
    method, data = pairs[name]
    cfg, choices = compose_cell([f"method={method}", f"data={data}"])
    assert choices["recipe"] == name
    check(cfg)


@pytest.mark.parametrize("data", options("data"))
@pytest.mark.parametrize("method", options("method"))
def test_every_method_builds_for_every_data_shape(method: str, data: str) -> None:
    config = check(compose_cell([f"method={method}", f"data={data}"]).cfg)
    size, channels = config["data"]["image_size"], config["data"]["channels"]
    if OFFLINE[0] in config["method"]:
        config["method"][OFFLINE[0]] = OFFLINE[1]
    try:
        _build(config["method"], channels, size)
    except NoveltyError as error:  # a method may refuse a size, if it says which one it wants
        refusal = str(error)
    else:
        return
    assert "data.image_size" in refusal
    _build(config["method"], channels, 32)


def _build(node: dict, channels: int, size: int) -> None:
    with torch.device("meta"):
        built = build(node, info=DataInfo(channels, size, 100))
        if not isinstance(built, Fitted):
            scores = built.score(torch.rand(2, channels, size, size))
            assert all(isinstance(s, Scores) and s.image.shape == (2,) for s in scores.values())


@pytest.mark.parametrize("name", names_under(experiments_dir() / "table"))
def test_every_table_expands_into_cells_that_compose(name: str) -> None:
    table = load_table(name)
    cells = list(table.cells())
    assert cells or not table.rows  # of Table 6 no method is among ours
    scores = {row.name: row.score for row in table.rows}  # one training may fill several rows
    assert len({(scores[cell.row], *cell.overrides) for cell in cells}) == len(cells)
    printed = {row["method"] for row in table.printed["rows"]}
    assert {row.name for row in table.rows} <= printed
    assert {column.name for column in table.columns} == set(map(str, table.printed["columns"]))
    for cell in cells:
        check(compose_cell(open_overrides(cell.overrides)).cfg)


def test_a_configuration_is_the_same_from_any_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert check(compose_cell(["method=autoencoder"]).cfg)["method"]["_target_"].endswith("Autoencoder")
