"""A table as text: digits of print, what stands behind ±, LaTeX, CSV, and failures of several lines."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from report.made_up import found, record, whole_row, with_epochs, written

from novelty.report import compare, render
from novelty.report.__main__ import _main
from novelty.tables import Table, load_table

NAME = "piad/table2_mnist"


@pytest.fixture(scope="module")
def table() -> Table:
    return load_table(NAME)


def test_what_is_printed_behind_plus_minus_stands_beside_both_of_ours() -> None:
    mnist = load_table("puzzle_ae/table1_mnist")
    lines = found(mnist, whole_row(mnist, "puzzle_ae", columns=["0", "1"], metrics__x=with_epochs(0.98)))
    rows = {row[0]: row for row in render.rows_of(mnist, lines, {})}
    assert rows["  ± in print"][1:4] == ["0.004", "0.004", "0.083"]
    assert "variance over last 20 epochs" in rows["  ± in print"][-1]
    assert rows["  variance, epochs"][1:4] == ["0.040", "0.040", "-"]  # percent squared
    assert rows["  std, epochs"][1:4] == ["0.200", "0.200", "-"]
    once = found(mnist, whole_row(mnist, "ocsvm", columns=["0"], metrics__x={**with_epochs(0.9), "epochs_last_20": 1}))
    assert "  std, epochs" not in {row[0] for row in render.rows_of(mnist, once, {})}
    both = [
        row[1:3] for row in render.rows_of(load_table("puzzle_ae/table4_auroc"), [], {}) if row[0] == "  ± in print"
    ]
    assert both == [["0.358", "1.433"], ["3.626", "3.050"], ["0.040", "0.031"]]


@pytest.mark.parametrize(
    ("name", "printed", "digits"),
    [
        ("puzzle_ae/table1_mnist", "99.93", 2),
        ("puzzle_ae/table8_fpr_at_tpr99", "0.0053", 4),
        ("piad/table2_mnist", "0.885", 3),
        ("crbnd/table1_caltech256_auroc", "94.2", 1),
        ("puzzle_ae/table4_fpr", "0.50", 2),
    ],
)
def test_numbers_have_the_decimals_of_print(name: str, printed: str, digits: int) -> None:
    table = load_table(name)
    assert compare.decimals(table) == digits
    shown = [row[1:-1] for row in render.rows_of(table, [], {})[1:] if row[0][0] != " "]
    texts = [text.rstrip("†") for row in shown for text in row]
    assert printed in texts
    assert {len(text.partition(".")[2]) for text in texts if text != "-"} == {digits}


def test_latex_leaves_out_differences_and_says_every_condition(table: Table) -> None:
    smoke = {"config__budget__name": "smoke", "config__budget__max_train": 256, "data__copy": "JPEG & more"}
    rows = render.rows_of(table, found(table, [*whole_row(table, "piad"), *whole_row(table, "kde", **smoke)]), {})
    text = render.to_latex(table, [*rows, ["a_b & 5 %", *["0.1±0.2"] * 11, ""]], ["† b: _wrong_", "two\nlines"])
    assert text.count(r" \\") == 1 + len(rows) - 1 - 2 + 1
    assert r"a\_b \& 5 \% & 0.1$\pm$0.2" in text
    assert "difference" not in text
    marks = re.findall(r"\\quad ours\\textsuperscript\{(\d)\} & ", text)
    footnotes = dict(re.findall(r"^\\textsuperscript\{(\d)\} (.*)\\par$", text, re.MULTILINE))
    kde, piad = (footnotes[mark] for mark in marks)
    assert kde == (
        r"n=1; budget smoke (256 training images); data JPEG \& more; "
        r"10 not comparable (budget smoke (256 training images); data: JPEG \& more)"
    )
    assert piad.startswith("n=3; budget full; data original; vgg19 imagenet; ")
    assert piad.count("worse") + piad.count("better") + piad.count("reproduced") > 0
    assert "\n$\\dagger$ b: \\_wrong\\_\\par\n" in text
    assert "\n% two lines\n" in text


@pytest.mark.parametrize("mine", [False, True])
def test_failures_of_several_lines_stay_in_their_cell(table: Table, mine: bool) -> None:
    lines = found(table, whole_row(table, "kde", columns=["0"])) if mine else []
    rows = render.rows_of(
        table, lines, {("kde", "3"): "out of\nmemory | really", ("kde", "4"): "out of\nmemory | really"}
    )
    (own,) = [row for row in rows if row[0] == "  ours"]
    assert own[4:6] == ["failed", "failed"]
    assert own[-1].endswith("failed: out of memory | really")
    lines_of = render.to_markdown(table, rows, ["a\nnote"]).splitlines()
    (shown,) = [line for line in lines_of if line.startswith("|   ours")]
    assert shown.count(" | ") == len(rows[0]) - 1
    broken = {**record(["data=mnist", "method=kde", "protocol.normal=1"], 0.5), "path": "p", "error": "cut\noff"}
    assert all("\n" not in note for note in render.notes_of(table, lines, [broken]))


def test_csv_names_its_table_and_leaves_damage_to_the_other_stream(
    table: Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    written(tmp_path, whole_row(table, "kde", 0.9123, columns=["0"]))
    (tmp_path / "kde" / "mnist" / "t0" / "e" / "result.json").write_text("{ half")
    monkeypatch.setattr("sys.argv", ["report", f"table={NAME}", f"runs={tmp_path}", "format=csv"])
    _main()
    said = capsys.readouterr()
    assert said.out.startswith(f"{NAME},0,1,")
    assert "unreadable" not in said.out
    assert "t0/e/result.json" in said.err
