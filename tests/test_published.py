"""The printed numbers: whole, within their units, with the means that were printed, and each with its table."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
import yaml

from novelty.config import experiments_dir, names_under
from novelty.tables import load_table

FOLDER = experiments_dir() / "published"
PAPERS = ("contrasting_synthetic", "crbnd", "energy_projection", "piad", "puzzle_ae")
HIGHER = {
    "auroc": True, "f1": True, "train_accuracy": True, "train_loss": False, "fid": False,
    "fpr_at_tpr99": False, "fpr_at_tpr995": False, "fpr_at_unstated_tpr": False,
}  # fmt: skip
UNITS = {"percent": 100, "fraction": 1, "none": None}


def _content(paper: str, loader: Any = yaml.SafeLoader) -> dict[str, Any]:
    return dict(yaml.load((FOLDER / f"{paper}.yaml").read_text(encoding="utf-8"), loader))


def _blocks() -> dict[str, dict[str, Any]]:
    return {block["id"]: block for paper in PAPERS for block in _content(paper)["tables"]}


BLOCKS = _blocks()
TABLES = {name: load_table(name) for name in names_under(experiments_dir() / "table")}


@pytest.mark.parametrize("name", list(BLOCKS))
def test_a_block_is_whole_and_within_its_unit(name: str) -> None:
    block = BLOCKS[name]
    assert HIGHER[block["metric"]] is block["higher_is_better"]
    assert UNITS[block["unit"]] == block["unit_max"]
    assert len(set(block["columns"])) == len(block["columns"]) == len(block["columns_printed"])
    assert len({row["method"] for row in block["rows"]}) == len(block["rows"]) > 0
    for row in block["rows"]:
        assert len(row["values"]) == len(block["columns"])
        assert row["std"] is None or len(row["std"]) == len(block["columns"])
        numbers = [value for value in [*row["values"], row["mean"]] if value is not None]
        assert all(0 <= value <= (block["unit_max"] or float("inf")) for value in numbers)
        assert (row["mean"] is None) or block["mean_printed_as"]


@pytest.mark.parametrize("paper", PAPERS)
def test_printed_means_are_those_of_their_rows_or_said_to_be_others(paper: str) -> None:
    """Read as text, so that the printed digits say how exact a mean is."""
    checked = 0
    for block in _content(paper, yaml.BaseLoader)["tables"]:
        unit = Decimal(block["unit_max"]) if block["unit_max"] != "null" else Decimal(1)
        for row in block["rows"]:
            if row["mean"] == "null" or "null" in row["values"]:
                continue
            mean = sum(map(Decimal, row["values"])) / len(row["values"])
            printed = Decimal(row["mean"])
            rounding = Decimal(5).scaleb(int(printed.as_tuple().exponent) - 1)
            off = abs(mean - printed)
            assert (off > rounding) == ("computed_mean" in row), (block["id"], row["method"], mean)
            if "computed_mean" in row:
                assert abs(Decimal(row["computed_mean"]) - mean) <= unit / 1000
            checked += 1
    assert checked or paper in ("contrasting_synthetic", "crbnd", "energy_projection")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("puzzle_ae/table1_cifar10", "puzzle_ae", None), ("puzzle_ae/table9_cifar10_avg", "puzzle_ae", None)),
        (("puzzle_ae/table1_mnist", "puzzle_ae", "mean"), ("puzzle_ae/table5_gt", "puzzle_ae", "mnist")),
        (("puzzle_ae/table2_mvtec_ad", "puzzle_ae", "mean"), ("puzzle_ae/table5_gt", "puzzle_ae", "mvtec_ad")),
        (("puzzle_ae/table4_auroc", "puzzle_ae", "head_ct"), ("puzzle_ae/table5_gt", "puzzle_ae", "head_ct")),
        (
            ("energy_projection/table1_mvtec_ad", "vae_grad", None),
            ("energy_projection/table2_mvtec_ad", "vae_grad", None),
        ),
        (
            ("contrasting_synthetic/table1", "csi", "cifar10"),
            ("contrasting_synthetic/text_ablation_auroc", "csi", "cifar10"),
        ),
        (("piad/table2_cifar10", "piad", "mean"), ("piad/table3_ablation_cifar10", "piad", "cifar10")),
    ],
)
def test_what_is_printed_twice_is_printed_alike(
    one: tuple[str, str, str | None], other: tuple[str, str, str | None]
) -> None:
    assert _values(*one) == pytest.approx(_values(*other), abs=0.05)


def _values(name: str, method: str, column: str | None) -> list[float]:
    block = BLOCKS[name]
    row = next(row for row in block["rows"] if row["method"] == method)
    named = dict(zip(block["columns"], row["values"], strict=True)) | {"mean": row["mean"]}
    return [named[column]] if column else list(row["values"])


def test_the_paper_s_improvement_is_recomputed() -> None:
    """Energy projection, section 4.1: 9.52 % on average over 15 categories and four autoencoders."""
    rows = {row["method"]: row["values"] for row in BLOCKS["energy_projection/table1_mvtec_ad"]["rows"]}
    gains = [
        (after - before) / before
        for name in ("ae_l2", "ae_ssim", "vae", "gamma_vae")
        for before, after in zip(rows[name], rows[f"{name}_grad"], strict=True)
    ]
    assert 100 * sum(gains) / len(gains) == pytest.approx(9.5221, abs=1e-3)


@pytest.mark.parametrize("name", list(BLOCKS))
def test_every_printed_block_has_a_table_of_its_name(name: str) -> None:
    assert TABLES[name].printed["id"] == name


@pytest.mark.parametrize("name", list(BLOCKS))
def test_every_printed_number_of_a_paper_s_own_method_has_a_run(name: str) -> None:
    """Rows marked as the paper's own must be rows of ours, in every column in which something was printed."""
    table = TABLES[name]
    filled = {(cell.row, cell.column) for cell in table.cells()}
    for row in (row for row in BLOCKS[name]["rows"] if row["ours"]):
        for column, value in zip(BLOCKS[name]["columns"], row["values"], strict=True):
            assert value is None or (row["method"], str(column)) in filled, (row["method"], column)


def test_corrections_name_rows_and_columns_that_exist() -> None:
    listed = yaml.safe_load((FOLDER / "corrections.yaml").read_text(encoding="utf-8"))["corrections"]
    assert len(listed) >= 15
    for entry in listed:
        block = BLOCKS[entry["table"]]
        assert set(entry.get("rows", [])) <= {row["method"] for row in block["rows"]}
        assert set(entry.get("columns", [])) <= {*map(str, block["columns"]), "mean"}
    assert sum(len(table.corrections) for table in TABLES.values()) >= len(listed)
