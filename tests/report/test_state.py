"""The state page: every printed number once, its state, and what it rests on; and that the kept page is up to date."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from report.made_up import whole_row, written

from novelty.config import experiments_dir, names_under
from novelty.errors import NoveltyError
from novelty.report.__main__ import _main, kept_records
from novelty.report.compare import lines
from novelty.report.match import fill
from novelty.report.state import FIELDS, numbers, to_page
from novelty.results.kept import keep, small
from novelty.results.records import read_all
from novelty.tables import Table, load_table

NAME = "piad/table2_mnist"


@pytest.fixture(scope="module")
def table() -> Table:
    return load_table(NAME)


def door(monkeypatch: pytest.MonkeyPatch, *typed: str) -> None:
    monkeypatch.setattr("sys.argv", ["report", *typed])
    _main()


def of(table: Table, *records: list[dict[str, Any]]) -> dict[tuple[str, str], Any]:
    every = [record for row in records for record in row]
    return {(n.row, n.column): n for n in numbers(table, lines(table, fill(table, every)))}


def test_every_printed_number_has_a_state(table: Table) -> None:
    found = of(table, whole_row(table, "kde", 0.885), whole_row(table, "ocsvm", 0.9, data__copy="JPEG"))
    printed = sum(value is not None for row in table.printed["rows"] for value in row["values"])
    assert len(found) == printed
    assert found["kde", "0"].state == "reproduced"
    assert found["kde", "2"].state == "better"
    assert found["ocsvm", "0"].state == "not comparable"
    assert found["piad", "0"].state == "not run"
    assert found["ocgan", "0"].line is None


def test_of_several_lines_the_comparable_one_counts(table: Table) -> None:
    smoke = whole_row(table, "kde", 0.99, config__budget__scale=0.5)
    found = of(table, smoke, whole_row(table, "kde", 0.885))
    assert found["kde", "0"].state == "reproduced"
    cells = dict(zip(FIELDS, found["kde", "0"].cells(), strict=True))
    assert (cells["ours"], cells["budget"], cells["hardware"], cells["commit"]) == (
        "0.885",
        "full",
        "a box, 2 cores",
        "c",
    )
    assert len(found["ocgan", "0"].cells()) == len(FIELDS)


def test_the_newest_version_counts_and_the_others_are_named(table: Table) -> None:
    old = whole_row(
        table, "kde", 0.885, ["0", "1"], environment={"time": "2026-01-01", "commit": "old", "hardware": "h"}
    )
    new = whole_row(table, "kde", 0.5, ["0"], versions={"framework": 1, "method": 2, "metrics": 1})
    found = of(table, old, new)
    cells = dict(zip(FIELDS, found["kde", "0"].cells(), strict=True))
    assert (found["kde", "0"].state, cells["ours"], cells["commit"]) == ("worse", "0.5", "c")
    assert cells["why"] == "also reproduced: 0.885 (budget full; data original; method version 1)"
    assert found["kde", "1"].line is not None  # measured by the old version alone
    assert found["kde", "1"].others == ()
    page = to_page(list(found.values()), "S.csv")
    assert "- not counted: budget full; data original; method version 1; commit old: 1 reproduced" in page


def test_a_folder_that_is_not_there_is_no_empty_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "STATE.md"
    with pytest.raises(NoveltyError, match=r"There are no records in .*nowhere"):
        door(monkeypatch, f"state={page}", f"runs={tmp_path / 'nowhere'}")
    for beside in (f"table={NAME}", "bench=all", "format=csv", "plots=here", "keep=here"):
        with pytest.raises(NoveltyError, match=f"leave {beside.partition('=')[0]}= out"):
            door(monkeypatch, f"state={page}", beside)
    assert not page.exists()


def test_unreadable_records_stand_on_the_page(
    table: Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    written(tmp_path / "runs", whole_row(table, "kde", 0.885, ["0", "1"]))
    (tmp_path / "runs/kde/mnist/t0/e/result.json").write_text("{ half")
    monkeypatch.setenv("HOME", str(tmp_path))
    door(monkeypatch, f"state={tmp_path / 'STATE.md'}", "runs=~/runs")
    text = (tmp_path / "STATE.md").read_text(encoding="utf-8")
    assert "- kde/mnist/t0/e/result.json: Expecting property name" in text
    assert str(tmp_path) not in text
    assert "1 records cannot be read" in capsys.readouterr().err


def test_the_door_writes_page_and_listing(table: Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(tmp_path / "runs", whole_row(table, "kde", 0.885))
    page = tmp_path / "STATE.md"
    door(monkeypatch, f"state={page}", f"runs={tmp_path / 'runs'}")
    text = page.read_text(encoding="utf-8")
    assert "## piad/table2_mnist" in text
    assert "budget full; data: original; 32-true; a box, 2 cores; commit c" in text
    with page.with_suffix(".csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) > 1000
    assert sum(row["state"] != "not run" for row in rows) == 10
    ids = [(row["table"], row["row"], row["column"]) for row in rows]
    assert len(set(ids)) == len(ids)


def test_kept_records_are_small_say_the_same_and_name_no_folder(table: Table, tmp_path: Path) -> None:
    written(tmp_path / "runs", whole_row(table, "kde", 0.9))
    records = list(read_all(tmp_path / "runs"))
    paths = keep(records, tmp_path / "kept")
    assert all(path.stat().st_size < 6000 for path in paths)
    again = list(read_all(tmp_path / "kept"))
    for before, after in zip(records, again, strict=True):
        assert after == {**small(before), "path": after["path"]}
        assert "paths" not in after["config"]
    first, second = (of(table, found) for found in (records, again))
    assert {key: n.cells() for key, n in first.items()} == {key: n.cells() for key, n in second.items()}


def test_only_records_of_the_named_tables_are_kept(
    table: Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    own = whole_row(table, "kde")
    other = whole_row(table, "kde", config__method__bandwidth=99.0)
    written(tmp_path / "runs", [*own, *other])
    door(monkeypatch, f"table={NAME}", f"runs={tmp_path / 'runs'}", f"keep={tmp_path / 'kept'}")
    assert "10 of 20 records" in capsys.readouterr().out
    assert len(list(read_all(tmp_path / "kept"))) == 10


def test_the_page_in_the_repository_is_what_its_records_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run `make state` where this fails."""
    door(monkeypatch, f"state={tmp_path / 'STATE.md'}")
    for name in ("STATE.md", "STATE.csv"):
        assert (tmp_path / name).read_text(encoding="utf-8") == (experiments_dir() / name).read_text(encoding="utf-8")


def test_no_kept_record_names_a_folder_of_a_machine() -> None:
    for path in kept_records().rglob("*.json"):
        text = path.read_text(encoding="utf-8")
        assert len(text) < 10_000, path
        assert not {"paths", "command"} & json.loads(text).keys()
        assert not any(folder in text for folder in ("/home/", "/root", "/tmp/")), path


def test_without_anything_named_the_door_says_what_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NoveltyError, match="Name a table"):
        door(monkeypatch)
    assert NAME in names_under(experiments_dir() / "table")
