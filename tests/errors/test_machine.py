"""Disk, rights and memory refuse: the sentence names the file and the setting, and what was saved stays."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from cells import plan, quiet, run
from filelock import FileLock

from novelty.errors import CACHE, RUNS, NoveltyError, refusal
from novelty.results import records
from novelty.results.locks import is_locked
from novelty.training import cell as cells
from novelty.training.cell import run_cell

DISK = {
    errno.ENOSPC: r"The disk is full: .*/x/model\.ckpt could not be written whole \(No space left on device\); free",
    errno.EDQUOT: r"The disk is full: .*Disk quota exceeded",
    errno.EFBIG: r"The disk is full: .*File too large",
    errno.EACCES: r"/x/model\.ckpt may not be used \(Permission denied\): change its rights, or set paths\.runs",
    errno.EPERM: r"may not be used \(Operation not permitted\)",
    errno.EROFS: r"may not be used \(Read-only file system\)",
    errno.ENOTDIR: r"/x/model\.ckpt cannot be used \(Not a directory\): set paths\.runs",
    errno.EISDIR: r"cannot be used \(Is a directory\)",
    errno.ENOENT: r"cannot be used \(No such file or directory\)",
    errno.ENAMETOOLONG: r"cannot be used \(File name too long\)",
    errno.EIO: r"The disk under .* does not answer \(Input/output error\): try again when it does",
    errno.ESTALE: r"does not answer \(Stale file handle\)",
    errno.ENOLCK: r"knows no locks \(No locks available\): set paths\.runs .* on a local disk",
    errno.EMFILE: r"could not be opened \(Too many open files\): raise the limit with ulimit -n",
}


@pytest.mark.parametrize("number", DISK, ids=errno.errorcode.get)
def test_what_the_system_refuses_names_the_file_and_the_setting(number: int, tmp_path: Path) -> None:
    error = OSError(number, os.strerror(number), str(tmp_path / "x" / "model.ckpt"))
    found = refusal(error, {RUNS: tmp_path, CACHE: tmp_path.parent})
    with pytest.raises(NoveltyError, match=DISK[number]):
        raise found or error
    assert "NOVELTY_CACHE" not in str(found)  # the setting of the inmost folder
    assert "\n" not in str(found)


MEMORY = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has\nmore lines"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you tried"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    RuntimeError("OutOfMemoryError in process 1: CUDA out of memory."),
    MemoryError(),
    np._core._exceptions._ArrayMemoryError((10**6, 10**6), np.dtype("float64")),  # type: ignore[attr-defined]
]


@pytest.mark.parametrize("error", MEMORY, ids=lambda error: type(error).__name__)
def test_a_lack_of_memory_says_what_to_lower(error: Exception, runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise error

    planned = plan()
    with monkeypatch.context() as patch:
        patch.setattr(cells, "train", fail)
        with pytest.raises(
            NoveltyError, match=r"not enough memory \(.*\): while training, lower method\.batch_size=64"
        ):
            run_cell(planned, "test", quiet())
    assert planned.record.state() == "failed"


def test_a_lack_of_memory_while_scoring_names_the_setting_that_changes_no_number(
    runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    planned = plan()
    with monkeypatch.context() as patch:
        patch.setattr(cells, "score", fail)
        with pytest.raises(NoveltyError, match=r"while scoring, lower hardware\.score_batch=64 \(which changes no num"):
            run_cell(planned, "test", quiet())
    assert planned.record.weights.is_file()
    assert run_cell(planned, "test", quiet())["metrics"]  # the training was not in vain


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """Every file that is to be made whole is refused its bytes, as by a full disk."""

    def refuse(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(records.os, "fsync", refuse)
        yield patch


def test_a_full_disk_stops_a_cell_that_goes_on_later(runs: Path, full_disk: pytest.MonkeyPatch) -> None:
    planned = plan()
    with pytest.raises(NoveltyError, match=rf"disk is full: {runs}.*config\.yaml .*set paths\.runs \(NOVELTY_RUNS\)"):
        run_cell(planned, "test", quiet())
    assert not list(planned.record.folder.glob(".*"))
    assert planned.record.state() == "missing"
    full_disk.undo()
    assert run_cell(planned, "test", quiet())["metrics"]


def test_a_checkpoint_on_a_full_disk(tmp_path: Path) -> None:
    with pytest.raises((RuntimeError, OSError)) as caught:  # which of them hangs on the moment when the bytes go out
        torch.save({"weights": torch.zeros(100_000)}, "/dev/full")
    assert "The disk is full" in str(refusal(caught.value))


@pytest.mark.parametrize("name", ["a file", "a device"])
def test_records_where_no_folder_can_be(name: str, tmp_path: Path) -> None:
    place = tmp_path / "file"
    place.touch()
    target = place if name == "a file" else Path("/dev/null")
    with pytest.raises(NoveltyError, match=rf"{target}/.* cannot be used \(Not a directory\): set paths\.runs"):
        run(f"paths.runs={target}")


def test_records_that_may_only_be_read_are_read(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rights do not bind the administrator, who runs tests in containers: the refusal is put in by hand."""
    first = run()

    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(runs))

    monkeypatch.setattr(FileLock, "acquire", refuse)
    assert run() == first
    assert not is_locked(plan().record.folder)
    with pytest.raises(NoveltyError, match=r"may not be used \(Permission denied\).*set paths\.runs \(NOVELTY_RUNS\)"):
        run("seed=1")


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_disk_without_locks(number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Refused, and not replaced by a marker file, which would outlive a killed holder and lock the cell for ever."""

    def refuse(*_: Any) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(NoveltyError, match=r"knows no locks .*set paths\.runs .* on a local disk"):
        run(f"paths.runs={tmp_path}")


def test_a_fault_of_ours_is_not_hidden_behind_a_sentence() -> None:
    for error in (ValueError("x"), RuntimeError("x"), OSError("x"), KeyError("x"), NoveltyError("x")):
        assert refusal(error) is None


def test_a_failure_of_pictures_leaves_the_record_and_no_note(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(runs / "page.html"))

    planned = plan()
    monkeypatch.setattr(cells, "_draw", refuse)
    with pytest.raises(NoveltyError, match="disk is full"):
        run_cell(planned, "test", quiet())
    assert planned.record.state() == "done"
    assert not planned.record.failure.exists()
