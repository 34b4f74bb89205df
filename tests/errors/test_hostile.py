"""Files that somebody handed over: archives that lead outside, pickles that run, keys that would be written down."""

from __future__ import annotations

import io
import os
import pickle
import re
import stat
import tarfile
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cells import plan, quiet, run

from novelty.data.decode import BrokenImage, decode
from novelty.data.sources.archives import Archive
from novelty.data.sources.plain_pickle import read_plain
from novelty.errors import NoveltyError
from novelty.results.records import read_arrays
from novelty.training.cell import run_cell

OUTSIDE = ["../outside", "a/../../outside", "/novelty-outside", "a/./../../outside", "..", "./../outside"]


class Touch:
    """Makes a file when it is unpickled by anyone who runs what pickles say."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def _tar(path: Path, secret: Path) -> Path:
    kinds = {"link": tarfile.SYMTYPE, "hard": tarfile.LNKTYPE, "device": tarfile.CHRTYPE, "pipe": tarfile.FIFOTYPE}
    with tarfile.open(path, "w") as archive:
        for name in OUTSIDE:
            member = tarfile.TarInfo(name)
            member.size = 4
            archive.addfile(member, io.BytesIO(b"evil"))
        for name, kind in kinds.items():
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, str(secret)
            archive.addfile(member)
        member = tarfile.TarInfo("a/good.txt")
        member.size = 4
        archive.addfile(member, io.BytesIO(b"good"))
    return path


def _zip(path: Path, secret: Path) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name in OUTSIDE:
            archive.writestr(name, "evil")
        link = zipfile.ZipInfo("link")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, str(secret))
        archive.writestr("a/good.txt", "good")
    return path


@pytest.mark.parametrize("make", [_tar, _zip], ids=["tar", "zip"])
def test_an_archive_gives_its_plain_files_and_writes_nothing(make: Any, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret")
    inside = tmp_path / "inside"
    inside.mkdir()
    path = make(inside / f"x.{make.__name__[1:]}", secret)
    before = sorted(tmp_path.rglob("*"))
    with Archive(path) as archive:
        assert list(archive.sizes) == ["a/good.txt"]
        assert archive.read("a/good.txt").getvalue() == b"good"
        for name in ("link", "hard", "device", "../outside"):
            with pytest.raises((NoveltyError, KeyError)):
                archive.read(name)
    assert sorted(tmp_path.rglob("*")) == before
    assert not Path("/novelty-outside").exists()


def test_nothing_in_the_package_unpacks_or_unpickles_or_evaluates() -> None:
    """The few calls that could run what a file says, each in its safe form."""
    forbidden = {
        r"\.extract(all)?\(": "archives are read, not unpacked",
        r"allow_pickle=True": "",
        r"\bpickle\.loads?\(": "",
        r"yaml\.(unsafe_)?load\(|yaml\.full_load": "",
        r"\b(eval|exec)\(": "",
        r"load_from_checkpoint": "",
        r"\bshell=True|os\.system\(": "",
        r"hydra\.utils\.(instantiate|call)": "builds any class that a file names",
    }
    source = Path(__file__).resolve().parents[2] / "src"
    for path in source.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        for pattern in forbidden:
            found = [m for m in re.finditer(pattern, text) if not text[: m.start()].endswith((".", "def ", "model"))]
            assert not found, (path, pattern)
        for call in re.finditer(r"torch\.load\(([^()]|\([^()]*\))*\)", text):
            assert "weights_only=True" in call.group(), (path, call.group())


def test_a_hostile_pickle_of_images_is_not_run(tmp_path: Path) -> None:
    with pytest.raises(NoveltyError, match=r"asks to run pathlib\.\S+, which no plain data does; it was not run"):
        read_plain(pickle.dumps({"data": Touch(tmp_path / "ran")}))
    for code in (b"cos\nsystem\n(S'touch ran'\ntR.", b"cbuiltins\neval\n(S'1'\ntR.", b"cnumpy\nload\n(S'x'\ntR."):
        with pytest.raises(NoveltyError, match="was not run"):
            read_plain(code)
    assert not (tmp_path / "ran").exists()


def test_a_hostile_array_is_not_run(tmp_path: Path) -> None:
    path = tmp_path / "scores.npz"
    np.savez(path, index=np.array([Touch(tmp_path / "ran")], dtype=object), allow_pickle=True)
    with pytest.raises(NoveltyError, match=r"scores\.npz is damaged \(ValueError: Object arrays cannot be loaded"):
        read_arrays(path)
    with pytest.raises(NoveltyError, match="no split file, or a damaged one"):
        plan("protocol=index_file", f"protocol.file={path}")
    assert not (tmp_path / "ran").exists()


def test_a_bomb_of_an_image_is_refused(tmp_path: Path) -> None:
    header = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + (200_000).to_bytes(4, "big") * 2 + b"\x08\x00\x00\x00\x00"
    path = tmp_path / "bomb.png"
    pixels = b"IDAT" + zlib.compress(b"\0" * 100)
    parts = [header, zlib.crc32(header[12:]).to_bytes(4, "big"), (len(pixels) - 4).to_bytes(4, "big"), pixels]
    path.write_bytes(b"".join([*parts, zlib.crc32(pixels).to_bytes(4, "big")]))
    with pytest.raises(BrokenImage, match=r"bomb\.png cannot be read as an image \(Image size .* decompression bomb"):
        decode(path, 1)


KEY = "0123456789abcdef" * 2 + "sekretkey"


def test_no_key_reaches_a_record_a_note_of_failure_or_a_log(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from novelty.training import cell

    monkeypatch.setenv("WANDB_API_KEY", KEY)
    home = runs.parent / "home"
    home.mkdir()
    (home / ".netrc").write_text(f"machine api.wandb.ai\n  login user\n  password {KEY}\n")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("NETRC", str(home / ".netrc"))
    run("logger=all", "keep=all")

    def fail(*_: Any) -> None:
        raise RuntimeError("A fault of ours.")

    monkeypatch.setattr(cell, "train", fail)
    with pytest.raises(RuntimeError):
        run_cell(plan("logger=all", "seed=1"), "test", quiet())
    assert list(runs.rglob("traceback.txt"))
    for path in runs.rglob("*"):
        if path.is_file():
            assert KEY.encode() not in path.read_bytes(), path


@pytest.mark.parametrize(
    "name", ["Ünïcödé 北京", "with blanks", "per%cent", "[brackets]", "-dash", "a'quote", 'a"quote']
)
def test_any_name_of_a_folder_will_do(name: str, tmp_path: Path) -> None:
    folder = tmp_path / name
    record = run(f"paths.runs='{str(folder).replace(chr(39), chr(92) + chr(39))}'")
    assert record["metrics"]
    (found,) = folder.rglob("result.json")
    assert found.is_relative_to(folder)
    assert os.sep not in name
