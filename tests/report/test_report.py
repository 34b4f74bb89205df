"""Printed against measured: what is pooled, what is compared, and what is said of it."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from report.made_up import found, record, whole_row, with_epochs, written

from novelty.figures import style
from novelty.report import compare, render
from novelty.report.__main__ import _main
from novelty.report.match import fill
from novelty.report.page import Section, to_html
from novelty.report.plots import class_bars
from novelty.tables import Correction, Table, load_table

NAME = "piad/table2_mnist"


@pytest.fixture(scope="module")
def table() -> Table:
    return load_table(NAME)


def printing(table: Table, row: str, value: float | None, **block: Any) -> Table:
    """The table with ``value`` (in our unit) printed for class 3 in a row."""
    printed = copy.deepcopy(table.printed) | block
    (own,) = (r for r in printed["rows"] if r["method"] == row)
    own["values"][3] = value
    return replace(table, printed=printed)


def test_seeds_are_pooled_into_mean_spread_and_interval(table: Table) -> None:
    (line,) = found(table, whole_row(table, "piad"))
    cell = line.cells["3"]
    assert cell.repetitions == 3
    assert cell.mean == pytest.approx(0.91)
    assert cell.std == pytest.approx(0.01)
    assert cell.interval is not None
    # t(0.975, 2) = 4.30265; half width 4.30265 * 0.01 / sqrt(3)
    assert cell.interval[1] - cell.mean == pytest.approx(0.0248414, abs=1e-6)
    assert compare.class_mean(line, [c.name for c in table.columns]) == pytest.approx(0.91)


@pytest.mark.parametrize(
    ("printed", "expected"),
    [(0.91, "reproduced"), (0.93, "reproduced"), (0.94, "worse"), (0.88, "better"), (None, None)],
)
def test_verdicts(table: Table, printed: float | None, expected: str | None) -> None:
    (line,) = found(table, whole_row(table, "piad"))
    assert compare.verdict(printing(table, "piad", printed), line, "3") == expected


def test_lower_is_better_where_the_table_says_so(table: Table) -> None:
    (line,) = found(table, whole_row(table, "piad"))
    assert compare.verdict(printing(table, "piad", 0.94, higher_is_better=False), line, "3") == "better"


def test_what_has_no_unit_is_reproduced_within_the_interval_alone(table: Table) -> None:
    (line,) = found(table, whole_row(table, "piad", 50.0))  # mean 50.01, interval +- 0.025
    for printed, expected in ((50.03, "reproduced"), (50.015, "reproduced"), (50.04, "worse")):
        assert compare.verdict(printing(table, "piad", printed, unit_max=None), line, "3") == expected


def test_nothing_is_held_against_a_number_that_is_not_what_its_table_says() -> None:
    table = load_table("crbnd/table1_caltech256_auroc")
    marked = replace(table, corrections=(Correction(table.name, "is an F1", "certain", ("crbnd",), ("3",)),))
    assert marked.corrected("crbnd", "3") is not None
    assert marked.corrected("crbnd", "1") is None
    assert marked.corrected("alocc", "3") is None
    line = compare.Line(marked.rows[0], None, {"3": compare.Measured(0.9, None, None, 1, True)}, "")  # type: ignore[arg-type]
    assert compare.verdict(marked, line, "3") == "not comparable"
    assert compare.verdict(table, line, "3") == "incomplete"
    rows, notes = render.rows_of(marked, [], {}), render.notes_of(marked, [], [])
    own = next(row for row in rows if row[0].startswith("CRBND") or "our" in row[0].lower())
    assert [value.endswith("†") for value in own[1:4]] == [False, True, False]
    assert any("is an F1 (certain)" in note for note in notes)


def test_copies_are_told_apart_along_a_line(table: Table) -> None:
    cells = [cell for cell in table.cells() if cell.row == "kde"]
    records = [record(cell.overrides, 0.5, data__digest="y") for cell in cells]
    records.append(record(cells[0].overrides, 0.9, data__digest="x"))
    both = found(table, records)
    assert sorted(len(line.cells) for line in both) == [1, 10]


MVTEC = ("bottle", "cable", "hazelnut")


def test_columns_with_images_of_their_own_are_one_line() -> None:
    mvtec = load_table("puzzle_ae/table2_mvtec_ad")
    records = whole_row(mvtec, "puzzle_ae", columns=MVTEC, metrics__x=with_epochs(0.7))
    assert len({r["data"]["digest"] for r in records}) == 3
    (line,) = found(mvtec, records)
    assert set(line.cells) == set(MVTEC)
    assert {cell.repetitions for cell in line.cells.values()} == {3}
    assert compare.class_mean(line, MVTEC) == pytest.approx(0.7)
    mended = whole_row(mvtec, "puzzle_ae", columns=["cable"], metrics__x=with_epochs(0.8), data__digest="mended")
    for r in mended:
        r["evaluated"] = "2026-01-02T00:00:00+00:00"
    newer, older = sorted(found(mvtec, [*records, *mended]), key=lambda line: line.conditions.contents)
    assert {name: cell.mean for name, cell in newer.cells.items()} == pytest.approx(
        dict.fromkeys(MVTEC, 0.7) | {"cable": 0.8}
    )
    assert set(older.cells) == {"cable"}
    notes = [row[-1] for row in render.rows_of(mvtec, [newer, older], {}) if row[0] == "  ours"]
    assert ["newest copy of the images" in notes[0], "older copy 1 of the images" in notes[1]] == [True, True]


def test_a_mean_over_data_with_images_of_their_own_is_complete() -> None:
    gt = load_table("puzzle_ae/table5_gt")
    (line,) = found(gt, whole_row(gt, "puzzle_ae", columns=["mvtec_ad"], metrics__x=with_epochs(0.7)))
    assert line.cells["mvtec_ad"].complete
    assert line.cells["mvtec_ad"].repetitions == 3


def test_several_commits_and_machines_behind_a_line_are_named(table: Table) -> None:
    records = whole_row(table, "piad")
    for r in records:
        r["environment"] |= {"commit": f"c{r['seed']}", "hardware": f"box {r['seed']}"}
    lines = found(table, records)
    (own,) = [row for row in render.rows_of(table, lines, {}) if row[0] == "  ours"]
    assert "commits c0, c1, c2; machines box 0, box 1, box 2" in own[-1]
    (own,) = [row for row in render.rows_of(table, found(table, whole_row(table, "piad")), {}) if row[0] == "  ours"]
    assert own[-1] == "n=3; budget full; data original; vgg19 imagenet"
    for r in records:
        r["environment"] |= {"commit": f"{r['seed']} {r['normal']}", "hardware": "a box"}
    (own,) = [row for row in render.rows_of(table, found(table, records), {}) if row[0] == "  ours"]
    assert own[-1].endswith(", 25 more")


def test_lines_of_a_row_say_what_tells_them_apart(table: Table) -> None:
    newer = whole_row(table, "kde", 0.8, versions={"framework": 1, "method": 2, "metrics": 1})
    capped = whole_row(table, "kde", 0.7, config__budget__max_train=256)
    lines = found(table, [*whole_row(table, "kde"), *newer, *capped])
    said = [row[-1] for row in render.rows_of(table, lines, {}) if row[0] == "  ours"]
    assert said == [
        "n=1; budget full; data original; method version 1",
        "n=1; budget full; data original; method version 2",
        "n=1; budget full (256 training images); data original; method version 1",
    ]
    assert [line.reason for line in lines] == ["", "", "budget full (256 training images)"]


def test_too_few_seeds_give_no_verdict_but_for_deterministic_methods(table: Table) -> None:
    one = [r for r in whole_row(table, "piad", 0.985) if r["seed"] == 0]
    (line,) = found(table, one)
    assert compare.verdict(printing(table, "piad", 0.981), line, "3") == "incomplete"
    (line,) = found(table, whole_row(table, "ocsvm", 0.95))
    assert compare.verdict(printing(table, "ocsvm", 0.95), line, "3") == "reproduced"


@pytest.mark.parametrize(
    "changes",
    [
        {"config__budget__scale": 0.5, "config__method__iterations": 25_000},
        {"config__budget__max_train": 256},
        {"data__copy": "JPEG class folders"},
        {"data__digest": "other"},
        {"provenance": {"backbone": "vgg16 edges"}},
        {"weights": {"weights": "sha256:1"}, "config__method__weights": "/some/vgg.pth"},
        {"versions": {"framework": 1, "method": 2, "metrics": 1}},
        {"processes": 2},
        {"config__hardware__precision": "bf16-mixed"},
    ],
)
def test_records_under_other_conditions_are_never_pooled(table: Table, changes: dict[str, Any]) -> None:
    both = found(table, [*whole_row(table, "piad"), *whole_row(table, "piad", 0.5, **changes)])
    assert len(both) == 2
    assert sorted(round(line.cells["3"].mean, 2) for line in both) == [0.51, 0.91]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"config__budget__scale": 0.5, "config__method__iterations": 25_000}, "budget"),
        ({"data__copy": "JPEG class folders"}, "data: JPEG class folders"),
        (
            {
                "provenance": {"backbone": "vgg19 mine.pth"},
                "weights": {"weights": "sha256:1"},
                "config__method__weights": "/mine.pth",
            },
            "vgg19 mine.pth in place of vgg19 imagenet",
        ),
    ],
)
def test_what_cannot_be_compared_says_why(table: Table, changes: dict[str, Any], reason: str) -> None:
    (line,) = found(table, whole_row(table, "piad", **changes))
    assert reason in line.reason
    assert compare.verdict(table, line, "3") == "not comparable"


@pytest.mark.parametrize(
    "changes",
    [
        {"config__method__critic_rounds": 3},
        {"config__protocol__train_fraction": 0.5},
        {"config__data__image_size": 64},
        {"config__data__channels": 3},
    ],
)
def test_a_record_of_another_cell_fills_none(table: Table, changes: dict[str, Any]) -> None:
    assert found(table, whole_row(table, "piad", **changes)) == []


def test_draws_of_the_split_repeat_a_mean_as_seeds_do() -> None:
    piad = load_table("piad/table3_fmnist_coil100")
    records = []
    for cell in piad.cells():
        draw = int(next(o for o in cell.overrides if o.startswith("protocol.repeat=")).partition("=")[2])
        if not (cell.column == "fashion_mnist" and draw == 2 and "protocol.normal=bag" in cell.overrides):
            records.append(record(cell.overrides, 0.94 + 0.01 * draw if cell.column == "fashion_mnist" else 1.0))
    (line,) = found(piad, records)
    fashion, coil = line.cells["fashion_mnist"], line.cells["coil100"]
    assert fashion.repetitions == 2  # the third lacks a class
    assert fashion.mean == pytest.approx(0.945)
    assert (coil.repetitions, coil.std) == (30, 0.0)
    assert compare.verdict(piad, line, "fashion_mnist") == "incomplete"
    assert compare.verdict(piad, line, "coil100") == "reproduced"


def test_records_without_the_metric_are_no_line_and_are_counted() -> None:
    fid = load_table("contrasting_synthetic/text_ablation_fid")
    filled = fill(fid, whole_row(fid, "contrasting_synthetic"))
    assert compare.lines(fid, filled) == []
    assert "not run" in render.rows_of(fid, [], {})[1][-1]
    (note,) = render.lacking(fid, filled)
    assert note.startswith("contrasting_synthetic: 30 records have no fid")
    measured = fill(fid, whole_row(fid, "contrasting_synthetic", measured={"fid": 54.0}))
    assert render.lacking(fid, measured) == []
    assert compare.lines(fid, measured)[0].cells["cifar10"].mean == pytest.approx(54.0)


def test_cells_that_set_the_same_keys_are_told_apart(table: Table) -> None:
    records = [record(["data=mnist", "method=kde", f"protocol.normal={normal}"], normal / 10) for normal in (7, 2, 9)]
    (line,) = found(table, records)
    assert {name: cell.mean for name, cell in line.cells.items()} == {"7": 0.7, "2": 0.2, "9": 0.9}


def test_the_newest_of_two_equal_cells_counts(table: Table) -> None:
    newer = whole_row(table, "ocsvm", 0.7, environment={"time": "2026-02-01T00:00:00+00:00", "hardware": "b"})
    (line,) = found(table, [*newer, *whole_row(table, "ocsvm", 0.9)])
    assert line.cells["0"].mean == pytest.approx(0.7)


def test_every_printed_row_is_shown_and_what_is_not_run_says_so(table: Table) -> None:
    rows = render.rows_of(table, found(table, whole_row(table, "kde", 0.95)), {("piad", "3"): "out of memory"})
    text = {row[0]: row for row in rows}
    assert text["KDE"][1:3] == ["0.885", "0.996"]
    assert rows[-1][0] == "  ours"
    assert rows[-1][4] == "failed"
    assert rows[-1][-1] == "failed: out of memory"
    assert text["OC-SVM"][-1] == "not run"
    assert text["ADGAN"][-1] == "not run: no such method here yet"
    assert text["ALAD"][1] == "-"
    assert sum(row[0] == "  ours" for row in rows) == 2


@pytest.mark.parametrize("form", ["terminal", "markdown", "latex", "csv", "html"])
def test_the_door_reads_records_and_names_broken_ones(
    form: str, table: Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    written(tmp_path, whole_row(table, "kde", 0.9123))
    (tmp_path / "kde" / "mnist" / "t9" / "e" / "result.json").write_text("{ half")
    monkeypatch.setattr("sys.argv", ["report", f"table={NAME}", f"runs={tmp_path}", f"format={form}"])
    _main()
    printed = capsys.readouterr().out
    assert "0.912" in printed
    assert "0.885" in printed
    if form != "csv":
        assert "unreadable" in printed


def test_bars_are_ours_with_their_spread_and_print_as_marks(table: Table, tmp_path: Path) -> None:
    lines = found(table, [*whole_row(table, "piad"), *whole_row(table, "piad", 0.7, data__digest="other")])
    bars = class_bars(table, lines)
    assert bars is not None
    first, _ = style.save(bars, tmp_path)
    assert first.read_bytes().startswith(b"\x89PNG")
    (axes,) = bars.axes
    assert [label.get_text() for label in axes.get_xticklabels()] == [*"0123456789", "mean"]
    heights = [bar.get_y() + bar.get_height() for bar in axes.patches]
    assert heights == pytest.approx([0.91] * 11 + [0.71] * 11)
    assert len(axes.lines) == 1 + 2 * 10 * 2 + 2 * 11  # the rule before the mean, caps of whiskers, marks of print
    assert class_bars(table, []) is None


def test_the_page_of_a_table_is_whole_and_escapes_what_it_shows(table: Table) -> None:
    lines = found(table, whole_row(table, "piad"))
    rows, bars = render.rows_of(table, lines, {}), class_bars(table, lines)
    page = to_html([Section(table, rows, ["<b>&"], bars)])
    assert "data:image/svg+xml;base64," in page
    assert "&lt;b&gt;&amp;" in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert page.count("<tr>") == len(rows)
