"""Records on disk: one folder a training, one sub-folder an evaluation, every file appearing by atomic rename."""

from __future__ import annotations

import json
import os
import shutil
import uuid
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from novelty.errors import NoveltyError, first_line
from novelty.results.form import checked
from novelty.results.logs import FOLDER, asked_for

SCHEMA = 1
"""Version of the layout of result.json."""

State = Literal["done", "running", "cut", "failed", "missing"]


def write(path: Path, fill: Callable[[Path], object]) -> None:
    """``fill(temporary)`` beside ``path``, flushed, then renamed: readers see the old file or the whole new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{uuid.uuid4().hex[:8]}.{path.name}")
    try:
        fill(temporary)
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        if error.errno is not None:  # not the temporary file; a write that fails names none at all
            error.filename = str(path)
        raise
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """``text`` in UTF-8."""
    write(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def write_json(path: Path, content: dict[str, Any]) -> None:
    """``content`` as readable JSON."""
    write_text(path, json.dumps(content, indent=1, allow_nan=False) + "\n")


def write_arrays(path: Path, **arrays: np.ndarray) -> None:
    """An .npz of named arrays."""

    def fill(temporary: Path) -> None:
        with temporary.open("wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]  # numpy's stub takes **kwargs for its own flag

    write(path, fill)


@dataclass(frozen=True)
class Record:
    """Where one training and one evaluation of it lie: ``<runs>/<method>/<data>/<training key>/<evaluation key>/``.

    Evaluations with an equal ``scoring`` key rest on the same raw scores and differ in metrics alone.
    """

    runs: Path
    method: str
    data: str
    training: str
    scoring: str
    evaluation: str

    @property
    def folder(self) -> Path:
        """The training's folder."""
        return self.runs / self.method / self.data / self.training

    @property
    def weights(self) -> Path:
        """The trained and calibrated method; there while `keep` asks for it or an evaluation is still to come."""
        return self.folder / "model.ckpt"

    @property
    def resume(self) -> Path:
        """The state of a training under way: there only while it is cut."""
        return self.folder / "resume.ckpt"

    @property
    def failure(self) -> Path:
        """Why the last try failed; gone with the next success."""
        return self.folder / "failed.json"

    @property
    def result(self) -> Path:
        """The record itself: a cell is done exactly when this file is there."""
        return self.folder / self.evaluation / "result.json"

    @property
    def scores(self) -> Path:
        """Every raw score of every test image."""
        return self.folder / self.evaluation / "scores.npz"

    @property
    def maps(self) -> Path:
        """A folder of anomaly maps, one .npy a named score: while metrics need them, or as long as ``maps=true``."""
        return self.folder / self.evaluation / "maps"

    @property
    def passes(self) -> Path:
        """Scores of disturbed test images, one .npz a disturbance, until all of them are in `scores`."""
        return self.folder / self.evaluation / "passes"

    @property
    def curve(self) -> Path:
        """Test AUROC after chosen epochs of the training, where the evaluation asks for it."""
        return self.folder / self.evaluation / "curve.json"

    @property
    def log(self) -> Path:
        """What every try of this cell printed, one after the other, where the launcher has workers that print."""
        return self.folder / self.evaluation / "log.txt"

    def scored(self) -> Path | None:
        """Raw scores that another evaluation of this training left, where they are the ones that this one needs."""
        for path in sorted(self.folder.glob("*/result.json")):
            scores = path.with_name("scores.npz")
            try:
                if read_result(path)["keys"]["scoring"] == self.scoring and read_arrays(scores):
                    return scores
            except (OSError, NoveltyError):  # a damaged record is no source
                continue
        return None

    def sweep(self) -> None:
        """Remove the half-written files of killed processes; only while holding the lock.

        Listing the folders has a second purpose: a client of NFS may believe for a minute that a file is not there, and
        asks the server anew when it opens the folder. What other machines wrote is to be looked for after this.
        """
        for left in [*self.folder.glob(".????????.*"), *self.folder.glob("*/.????????.*")]:
            left.unlink(missing_ok=True)

    def state(self) -> State:
        """What a look at the folder tells, without touching it."""
        from novelty.results.locks import is_locked

        if self.result.is_file():
            return "done"
        if is_locked(self.folder):
            return "running"
        if self.failure.is_file():
            return "failed"
        return "cut" if self.resume.is_file() or self.weights.is_file() else "missing"

    def tidy(self, keep: str) -> None:
        """After success: what `keep` does not ask for goes, but for weights that another record of this training keeps.

        What TensorBoard or W&B wrote stays whatever `keep` says: somebody asked for it by name, and an offline run is
        still to be sent.
        """
        for path in (self.failure, self.folder / "traceback.txt"):
            path.unlink(missing_ok=True)
        if keep != "all":
            self.resume.unlink(missing_ok=True)
        if keep == "none" and not self.wishes() & {"weights", "all"}:
            self.weights.unlink(missing_ok=True)
            if not asked_for(self.folder):
                shutil.rmtree(self.folder / FOLDER, ignore_errors=True)

    def wishes(self) -> set[str]:
        """What the records of this training were told to keep (`keep`); one that cannot be read may want all."""
        found = set()
        for path in self.folder.glob("*/result.json"):
            try:
                found.add(str(read_result(path)["config"].get("keep")))
            except (OSError, NoveltyError):
                found.add("all")
        return found


def read_result(path: Path) -> dict[str, Any]:
    """The record in a result.json; NoveltyError where it is damaged."""
    try:
        return checked(json.loads(path.read_text(encoding="utf-8")), SCHEMA)
    except (ValueError, RecursionError) as error:
        raise NoveltyError(
            f"The record {path} is damaged ({error}): remove it, and the same command makes it anew from what else is "
            "there."
        ) from error


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """The arrays of an .npz, read whole; NoveltyError where it is damaged. Nothing in it is run."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            return dict(stored)
    except (ValueError, KeyError, EOFError, RuntimeError, AttributeError, zipfile.BadZipFile, zlib.error) as error:
        raise NoveltyError(
            f"{path} is damaged ({type(error).__name__}: {first_line(error)}): remove it with the result.json beside "
            "it, and the same command makes both anew."
        ) from error


def read_all(runs: Path, method: str = "*", data: str = "*") -> Iterator[dict[str, Any]]:
    """Every record below ``runs``, or of a method that is trained and a data set, with its path under ``"path"``.

    Failed cells have a ``"failure"`` in place of metrics; of unreadable files only path and ``"error"`` come.
    """
    kind = f"{method}/{data}"
    for path in sorted([*runs.glob(f"{kind}/*/*/result.json"), *runs.glob(f"{kind}/*/failed.json")]):
        try:
            record = checked(json.loads(path.read_text(encoding="utf-8")), SCHEMA)
        except (OSError, ValueError, RecursionError) as error:
            yield {"path": str(path), "error": str(error)}
        else:
            yield {**record, "path": str(path)}
