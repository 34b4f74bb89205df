"""Random damage to records: every reader names the file or reads it, and none traces back."""

from __future__ import annotations

import copy
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cells import SMALL, plan, run
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from report.made_up import record, written
from rich.console import Console

from novelty.config import compose_cell, open_overrides
from novelty.errors import NoveltyError
from novelty.report import render
from novelty.report.compare import lines
from novelty.report.match import failures, fill
from novelty.results.records import Record, read_all, read_result
from novelty.tables import load_table
from novelty.training.session import run_composed
from novelty.training.sweep import expand, plan_all
from novelty.training.times import Times


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a result and a note of failure."""
    runs = tmp_path_factory.mktemp("records")
    run(f"paths.runs={runs}", "method=kde")
    failed = plan(f"paths.runs={runs}", "method=kde", "seed=1")
    note = {"schema": 1, **failed.identity, "failure": "On fire.", "kind": "NoveltyError", "command": "c", "time": "t"}
    failed.record.folder.mkdir(parents=True)
    failed.record.failure.write_text(json.dumps(note))
    return runs


SCALARS = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=4))
JSON = st.recursive(
    SCALARS, lambda x: st.lists(x, max_size=2) | st.dictionaries(st.text(max_size=3), x, max_size=2), max_leaves=4
)


def _places(value: Any, place: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place, *(p for name, one in inner for p in _places(one, (*place, name)))]


def _damaged(record: Any, data: st.DataObject) -> str:
    """JSON of ``record`` with values replaced, taken out or added, or with bytes changed, or cut off."""
    if data.draw(st.booleans()):
        text = json.dumps(record)
        place = data.draw(st.integers(0, len(text)))
        return text[:place] + data.draw(st.text(max_size=3)) + text[place + data.draw(st.integers(0, 50)) :]
    record = copy.deepcopy(record)
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.sampled_from(_places(record)))
        if not place:
            return json.dumps(data.draw(JSON))
        node = record
        for name in place[:-1]:
            node = node[name]
        how = data.draw(st.sampled_from(("remove", "replace", "add")))
        if how == "remove":
            del node[place[-1]]
        elif how == "add" and isinstance(node[place[-1]], dict):
            node[place[-1]]["extra"] = data.draw(JSON)
        else:
            node[place[-1]] = data.draw(JSON)
    return json.dumps(record)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_a_damaged_record_is_named_or_read_by_every_reader(records: Path, data: st.DataObject) -> None:
    planned = plan(f"paths.runs={records}", "method=kde")
    path = data.draw(st.sampled_from([planned.record.result, *records.glob("*/*/*/failed.json")]))
    whole = path.read_bytes()
    try:
        path.write_text(_damaged(json.loads(whole), data), encoding="utf-8")
        found = list(read_all(records))
        assert len(found) == 2
        table = load_table("piad/table2_mnist")
        for record in found:  # as if they were of this table
            if "error" not in record:
                record["choices"]["data"], record["choices"]["method"] = "mnist", "kde"
        filled = fill(table, [r for r in found if "metrics" in r])
        noted = failures(table, [r for r in found if "failure" in r])
        notes = render.notes_of(table, lines(table, filled), [r for r in found if "error" in r])
        render.to_terminal(
            Console(file=io.StringIO()), table, render.rows_of(table, lines(table, filled), noted), notes
        )
        Times(read_all(records)).expected(planned)
        planned.record.scored()
        cfg = compose_cell(open_overrides([*SMALL, "method=kde", f"paths.runs={records}", "dry_run=true"]))
        run_composed(*cfg, [], True)
        plan_all(expand([[*SMALL, "method=kde", f"paths.runs={records}"]], None))
        try:
            read_result(planned.record.result)
        except NoveltyError as error:
            assert str(planned.record.result) in str(error)  # noqa: PT017  (either is right)
    finally:
        path.write_bytes(whole)


@pytest.mark.parametrize(
    ("place", "value", "read"),
    [
        (("config", "budget", "removed_since"), 1, True),
        (("config", "budget", "seeds"), "x", False),
        (("config", "budget", "scale"), -1, False),
        (("config", "budget", "scale"), 1e300, False),
        (("config", "budget", "scale"), float("nan"), False),
        (("measured",), None, False),
        (("measured",), [1], False),
        (("measured",), {"fid": None}, False),
        (("measured",), {"fid": 10**400}, False),
        (("metrics", "x", "auroc"), 10**400, False),
        (("metrics", "x", "fpr_at_tpr99"), "low", True),
        (("metrics", "x", "fpr_at_tpr99"), float("nan"), True),
        (("environment", "commit"), None, True),
    ],
)
def test_one_odd_record_ends_no_report(tmp_path: Path, place: tuple[str, ...], value: Any, read: bool) -> None:
    whole, odd = (record(["data=mnist", "method=kde", f"protocol.normal={k}"], 0.9) for k in (0, 1))
    *parents, last = place
    node = odd
    for name in parents:
        node = node[name]
    node[last] = value
    written(tmp_path, [whole, odd])
    found = list(read_all(tmp_path))
    assert sum("error" not in one for one in found) == 1 + read
    table = load_table("piad/table2_mnist")
    for metric in ("auroc", "fpr_at_tpr99", "fid"):
        asked = replace(table, metric=metric)
        shown = lines(asked, fill(asked, [one for one in found if "metrics" in one]))
        assert [set(line.cells) for line in shown] == ([{"0", "1"} if read else {"0"}] if metric == "auroc" else [])
        render.notes_of(asked, shown, [one for one in found if "error" in one])
        assert len(render.rows_of(asked, shown, {})) > 5


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_damaged_scores_are_no_source_for_another_evaluation(records: Path, data: st.DataObject) -> None:
    record: Record = plan(f"paths.runs={records}", "method=kde").record
    whole = record.scores.read_bytes()
    changed = bytearray(whole)
    for place in data.draw(st.lists(st.integers(0, len(whole) - 1), min_size=1, max_size=5)):
        changed[place] = data.draw(st.integers(0, 255))
    try:
        record.scores.write_bytes(changed[: data.draw(st.integers(0, len(whole)))])
        assert record.scored() in (None, record.scores)
    finally:
        record.scores.write_bytes(whole)


def test_the_folder_of_another_evaluation_with_damaged_scores_is_scored_anew(runs: Path) -> None:
    first = run("method=kde")
    scores = plan("method=kde").record.scores
    scores.write_bytes(scores.read_bytes()[:300])
    second = run("method=kde", "evaluation.quantile=0.9")
    name = first["primary"]
    assert second["metrics"][name]["auroc"] == first["metrics"][name]["auroc"]
