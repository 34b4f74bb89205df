"""The dashboard of every published table, as W&B, TensorBoard and JSON have it; nothing is run or sent."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest

from novelty.config import experiments_dir, names_under
from novelty.dashboard.board import layout_of
from novelty.dashboard.building import dashboard_of, paper_of
from novelty.dashboard.spec import Panel, pattern
from novelty.dashboard.workspaces import Part, plain, report, workspace
from novelty.errors import NoveltyError
from novelty.tables import load_table

TABLES = names_under(experiments_dir() / "table")
FILLED = [name for name in TABLES if load_table(name).rows]
NESTED_ROWS = "energy_projection/table1_mvtec_ad"


def filters(content: dict[str, Any]) -> dict[str, list[Any]]:
    """What a set of runs is filtered by: name -> allowed values."""
    return {item["key"]["name"]: item["value"] for item in content["filters"]["filters"]}


@pytest.mark.parametrize("name", FILLED)
def test_the_dashboard_of_every_table_is_one_that_wandb_and_tensorboard_take(name: str) -> None:
    table = load_table(name)
    board = dashboard_of(table)
    assert json.loads(json.dumps(board.plain()))["table"] == name
    assert [row.name for row in board.rows] == [row.name for row in table.rows]
    assert len({(row.scores, row.where) for row in board.rows}) == len(board.rows)  # told apart by runs or by score
    assert bool(board.by_column) == (len(board.columns) > 1)
    assert all(f"test/{score}/{table.metric}" in board.values for row in board.rows for score in row.scores)

    section = plain(workspace(board, "novelty"))["spec"]["section"]
    assert [s["name"] for s in section["panelBankConfig"]["sections"]] == [s.title for s in board.sections]
    (runs,) = section["runSets"]
    assert filters(runs) == {"tags": [name], "budget.value.name": ["full"]}
    assert len(runs["grouping"]) == len(board.grouped)

    page = plain(report(*paper_of(name.split("/")[0]), [Part(board, "| printed |", "https://where")], "novelty"))
    (grid,) = [b["metadata"] for b in page["spec"]["blocks"] if b["type"] == "panel-grid"]
    assert [runs["name"] for runs in grid["runSets"]] == [row.name for row in table.rows]
    assert all(filters(runs)["tags"] == [name] for runs in grid["runSets"])
    places = [(panel["layout"]["y"], panel["layout"]["x"]) for panel in grid["panelBankSectionConfig"]["panels"]]
    assert len(places) == len(list(board.panels()))
    assert all(one < other for one, other in pairwise(places))  # none lies on another
    assert "| printed |" in json.dumps(page)
    assert "https://where" in json.dumps(page)

    drawn = layout_of(board)
    assert all(heading.startswith(f"{name}: ") for heading in drawn)


@pytest.mark.parametrize("name", sorted(set(TABLES) - set(FILLED)))
def test_a_table_without_rows_of_ours_has_no_dashboard(name: str) -> None:
    with pytest.raises(NoveltyError, match=f"{name} has no row that can be run"):
        dashboard_of(load_table(name))


def test_rows_that_wrap_another_method_are_told_apart_by_what_they_wrap() -> None:
    board = dashboard_of(load_table(NESTED_ROWS), runs=["abc"])
    where = {row.name: dict(row.where) for row in board.rows}
    assert where["vae_grad"]["group"] == where["gamma_vae_grad"]["group"] == ("energy_projection/mvtec_ad",)
    assert where["vae"]["group"] == ("vae/mvtec_ad",)
    assert board.by_column == ("config.data.source.category",)
    assert any(panel.keys == ("pictures/overlays",) for panel in board.panels())
    (runs,) = plain(workspace(board, "novelty"))["spec"]["section"]["runSets"]
    first, *_ = runs["filters"]["filters"]
    assert {item["key"]["name"]: item["value"] for item in first["filters"]} == {"tags": [NESTED_ROWS], "name": ["abc"]}
    assert [key["name"] for key in runs["grouping"]][-1] == "data.value.source.category"


def test_a_score_that_counts_for_some_columns_only_is_shown_with_their_names() -> None:
    table = load_table("puzzle_ae/table5_gt")
    results = dashboard_of(table).sections[0]
    titles = [panel.title for panel in results.panels]
    assert len(titles) == len(set(titles)) == 2
    assert all("(" in title for title in titles)


def test_names_with_a_star_are_patterns_and_others_are_not() -> None:
    logged = {"loss/critic", "loss/critic_image", "lossy", "test/a.b/auroc", "test/aXb/auroc"}
    assert Panel("", "curves", ("loss/*",)).shown(logged) == ["loss/critic", "loss/critic_image"]
    assert Panel("", "bars", ("test/a.b/auroc",)).shown(logged) == ["test/a.b/auroc"]
    assert pattern("loss/*") == "loss/.+"
