"""Files of weights and states that are damaged, foreign or hostile: named, not run, and never taken for good."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from cells import plan, quiet, run
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from novelty.errors import NoveltyError
from novelty.training.cell import run_cell
from novelty.training.guards import load_weights
from novelty.training.plan import Plan
from novelty.training.trainer import build_method, data_of

LONG = ("budget.max_train=40", "method.batch_size=2", "hardware.checkpoint_every=0", "method.epochs=1", "keep=all")


class Touch:
    """Makes a file when it is unpickled by anyone who runs what pickles say."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def _hostile(path: Path, content: dict[str, Any]) -> None:
    torch.save(content | {"trap": Touch(path.with_name("ran"))}, path)


def _bare_pickle(path: Path, content: dict[str, Any]) -> None:
    path.write_bytes(pickle.dumps({"state_dict": Touch(path.with_name("ran"))}, protocol=2))


def _shorter(path: Path, content: dict[str, Any]) -> None:
    content["state_dict"].popitem()
    torch.save(content, path)


def _other_shape(path: Path, content: dict[str, Any]) -> None:
    name = next(n for n, v in content["state_dict"].items() if isinstance(v, torch.Tensor) and v.dim() > 1)
    content["state_dict"][name] = content["state_dict"][name][:1]
    torch.save(content, path)


BROKEN: dict[str, tuple[Callable[[Path, dict[str, Any]], object], str]] = {
    "cut off": (lambda p, _: p.write_bytes(p.read_bytes()[:700]), r"cannot be used \(RuntimeError: PytorchStream"),
    "empty": (lambda p, _: p.write_bytes(b""), r"cannot be used \(EOFError"),
    "text": (lambda p, _: p.write_text("<html>404</html>"), r"cannot be used \(UnpicklingError"),
    "a list": (lambda p, _: torch.save([1], p), "cannot be used"),
    "empty dictionary": (lambda p, _: torch.save({}, p), r"cannot be used \(KeyError"),
    "hostile": (_hostile, r"cannot be used \(UnpicklingError.*nothing in it was run"),
    "hostile, no zip": (_bare_pickle, r"cannot be used \(UnpicklingError.*nothing in it was run"),
    "too few weights": (_shorter, r"cannot be used \(RuntimeError: Error\(s\) in loading .* Missing key"),
    "other shapes": (_other_shape, r"cannot be used \(RuntimeError: .*size mismatch"),
    "of another training": (
        lambda p, c: torch.save(c | {"key": "0" * 16}, p),
        "belongs to another training .*method, version or setting: remove it, and the same command trains anew",
    ),
}


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    """A cell that is done, with every file that it may leave."""
    planned = plan(*LONG, f"paths.runs={tmp_path_factory.mktemp('good')}")
    run_cell(planned, "test", quiet())
    return planned


def _copy(good: Plan, runs: Path, name: str) -> Plan:
    """A cell of which ``name`` alone is there."""
    planned = plan(*LONG, f"paths.runs={runs}")
    planned.record.folder.mkdir(parents=True)
    (planned.record.folder / name).write_bytes((good.record.folder / name).read_bytes())
    return planned


@pytest.mark.parametrize("name", ["model.ckpt", "resume.ckpt"])
@pytest.mark.parametrize("kind", BROKEN)
def test_a_file_that_is_not_ours_is_named_and_stays(kind: str, name: str, good: Plan, runs: Path) -> None:
    planned = _copy(good, runs, name)
    path = planned.record.folder / name
    break_it, words = BROKEN[kind]
    break_it(path, torch.load(path, weights_only=True))
    broken = path.read_bytes()
    with pytest.raises(NoveltyError, match=words) as caught:
        run_cell(planned, "test", quiet())
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == broken
    assert not path.with_name("ran").exists()
    path.unlink()
    assert run_cell(planned, "test", quiet())["metrics"]


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_weights_with_random_bytes_are_refused_or_load(good: Plan, tmp_path: Path, data: st.DataObject) -> None:
    content = bytearray(good.record.weights.read_bytes())
    for place in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=8)):
        content[place] = data.draw(st.integers(0, 255))
    path = tmp_path / "model.ckpt"
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    method = build_method(good, data_of(good))
    with suppress(NoveltyError):
        load_weights(method, path, good.record.training)


def test_a_record_damaged_after_its_training_is_named(runs: Path) -> None:
    run()
    path = plan().record.result
    path.write_text(path.read_text()[:200])
    with pytest.raises(NoveltyError, match=r"The record .*result\.json is damaged .*remove it, and the same command"):
        run()
    path.unlink()
    assert run()["metrics"]
