"""Builds that are cut, by errors, by kill -9, at every moment, and go on to the byte; folders that cannot be used."""

from __future__ import annotations

import errno
import io
import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from fake_layouts import read, write_idx, write_images
from generated import Fake, Generated, simple

from novelty.data import building, cache, site
from novelty.data.sources.digits import Digits
from novelty.data.sources.folder import Folder
from novelty.data.sources.mnist import MNIST
from novelty.errors import NoveltyError

COUNT, SIDE = 43, 12


@pytest.fixture(autouse=True)
def forget():
    cache._memo.clear()
    yield
    cache._memo.clear()


class Failing(Generated):
    """Raises ``error`` in place of image ``at``."""

    def __init__(self, at: int, error: BaseException, **options: bool | int) -> None:
        super().__init__(COUNT, SIDE, block=1, **options)
        self.at, self.error = at, error

    def blocks(self, start=0):
        for number, block in enumerate(super().blocks(start), start):
            if number == self.at:
                raise self.error
            yield block


def build(source: Generated, folder: Path, size: int = 8) -> Path:
    entry = folder / "key"
    folder.mkdir(exist_ok=True)
    building.build(source, entry, size, None)
    return entry


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module", params=[False, True], ids=["plain", "masks"])
def whole(request, tmp_path_factory) -> tuple[bool, dict[str, bytes]]:
    """What an uninterrupted build leaves, with and without masks."""
    source = Generated(COUNT, SIDE, masks=request.param)
    return request.param, content(build(source, tmp_path_factory.mktemp("whole")))


@pytest.mark.parametrize("cuts", [[1], [34], [35], [42], [1, 2, 20, 36]])
@pytest.mark.parametrize("error", [OSError("drive is gone"), KeyboardInterrupt()], ids=["error", "ctrl-c"])
def test_a_build_that_was_cut_goes_on(whole, tmp_path, cuts, error):
    masks, expected = whole
    for cut in cuts:
        with pytest.raises(type(error)):
            build(Failing(cut, error, masks=masks), tmp_path)
        assert json.loads((tmp_path / ".building-key/state.json").read_text())["count"] == cut
    source = Generated(COUNT, SIDE, masks=masks)
    assert content(build(source, tmp_path)) == expected
    assert source.given == list(range(cuts[-1] - 1, COUNT))  # one more than is lacking, to see that all is as it was
    assert [path.name for path in tmp_path.iterdir()] == ["key"]


def test_a_source_that_gives_nothing_leaves_nothing(tmp_path):
    with pytest.raises(NoveltyError, match="broken"):
        build(Failing(0, NoveltyError("broken")), tmp_path)
    with pytest.raises(NoveltyError, match="holds no images"):
        build(Generated(0, SIDE), tmp_path)
    assert not list(tmp_path.iterdir())


def half_built(folder: Path, masks: bool = False) -> Path:
    with pytest.raises(OSError, match="gone"):
        build(Failing(20, OSError("gone"), masks=masks), folder)
    return folder / ".building-key"


def test_what_came_after_the_last_note_is_cut_off(whole, tmp_path):
    """A kill leaves files that are longer than noted, by half an image at that."""
    masks, expected = whole
    for path in half_built(tmp_path, masks).iterdir():
        if path.name != "state.json":
            with path.open("ab") as file:
                file.write(b"half an image")
    assert content(build(Generated(COUNT, SIDE, masks=masks), tmp_path)) == expected


def shorter(folder: Path) -> None:
    os.truncate(folder / "pixels.npy", 1000)


def lost(folder: Path) -> None:
    (folder / "notes").unlink()


def torn(folder: Path) -> None:
    (folder / "state.json").write_text('{"count"')


def other(folder: Path) -> None:
    notes = (folder / "notes").read_bytes()
    (folder / "notes").write_bytes(notes[:-50] + bytes(50))


@pytest.mark.parametrize("damage", [shorter, lost, torn, other])
def test_what_cannot_be_trusted_is_made_anew(tmp_path, damage):
    damage(half_built(tmp_path))
    source = Generated(COUNT, SIDE)
    entry = build(source, tmp_path)
    assert content(entry) == content(build(Generated(COUNT, SIDE), tmp_path / "other"))
    assert source.given[-COUNT:] == list(range(COUNT))


def test_a_source_that_does_not_go_on_where_it_should_is_asked_anew(tmp_path, caplog):
    class Deaf(Generated):
        def blocks(self, start=0):
            yield from super().blocks(0)

    half_built(tmp_path)
    with caplog.at_level(logging.WARNING):
        entry = build(Deaf(COUNT, SIDE), tmp_path)
    assert "an earlier run decoded of Deaf does not fit its files" in caplog.text
    assert content(entry) == content(build(Generated(COUNT, SIDE), tmp_path / "other"))


@pytest.mark.parametrize("moment", ["_replace", "publish", "finish", "rename"])
def test_a_build_that_was_cut_behind_its_last_image_goes_on(whole, tmp_path, monkeypatch, moment):
    """Nothing but what was noted before counts: the next build finishes what this one began."""
    masks, expected = whole
    owner = {"_replace": site, "rename": Path}.get(moment, site.Site)

    def stop(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(owner, moment, stop)
        patch.setattr(site.Site, "leave", site.Site._close)
        with pytest.raises(Killed):
            build(Generated(COUNT, SIDE, masks=masks), tmp_path)
    source = Generated(COUNT, SIDE, masks=masks)
    assert content(build(source, tmp_path)) == expected
    assert len(source.given) == (0 if moment in ("publish", "rename") else COUNT)


class Killed(BaseException):
    """Stands for a kill: nothing is done on the way out."""


def test_broken_images_before_the_cut_are_not_forgotten(tmp_path, monkeypatch):
    write_images(tmp_path / "mine/a", 30, SIDE)
    for number in (3, 20):
        (tmp_path / f"mine/a/{number:04d}.png").write_bytes(b"no image")
    source = Folder(tmp_path, path="mine", skip_broken=True)
    expected = content(build(source, tmp_path / "whole"))
    whole = site.Site.append

    def append(self, *arguments):
        if self.count == 10:
            raise KeyboardInterrupt
        whole(self, *arguments)

    monkeypatch.setattr(building, "_PIECE_BYTES", 1)
    with monkeypatch.context() as patch:
        patch.setattr(site.Site, "append", append)
        with pytest.raises(KeyboardInterrupt):
            build(source, tmp_path / "cut")
    assert content(build(Folder(tmp_path, path="mine", skip_broken=True), tmp_path / "cut")) == expected
    assert b"2 broken images left out" in expected["about.json"]


@pytest.mark.parametrize("kind", [Digits, MNIST])
def test_sources_in_one_piece_go_on_from_any_image(kind, tmp_path):
    if kind is MNIST:
        write_idx(tmp_path / "MNIST/raw")
    source = kind(tmp_path)
    pixels, labels, test = read(source)
    for start in (0, 1, 29, 30, 31, 1347, 1348, len(labels) - 1):
        blocks = list(source.blocks(start))
        if start < len(labels):
            assert np.array_equal(np.concatenate([block.pixels for block in blocks]), pixels[start:])
            assert np.array_equal(np.concatenate([block.labels for block in blocks]), labels[start:])
            assert sum(len(block.labels) for block in blocks if block.test) == test[start:].sum()
    assert not list(source.blocks(len(labels)))


def test_the_bar_goes_on_from_where_it_was(tmp_path, monkeypatch, capfd):
    half_built(tmp_path)
    monkeypatch.setattr(building, "_PATIENCE_SECONDS", -1)
    with pytest.raises(OSError, match="gone"):
        build(Failing(30, OSError("gone")), tmp_path)
    assert f"30/{COUNT}" in capfd.readouterr().err


CHILD = """
import sys
sys.path.insert(0, {tests!r})
from pathlib import Path
from generated import Generated
from novelty.data import building, cache, site
site._SAVE_SECONDS = 0.05
cache.load(Generated({count}, {side}, block=1, pause=0.02), 8, Path({folder!r}))
"""


def safe(state: Path) -> int:
    return int(json.loads(state.read_text())["count"])


def test_a_killed_build_is_taken_over_by_the_run_that_waits(tmp_path, monkeypatch):
    """kill -9 lets go of the lock; who waited for it goes on from what was safe."""
    code = CHILD.format(tests=str(Path(__file__).parent), count=300, side=SIDE, folder=str(tmp_path / "cache"))
    child = subprocess.Popen([sys.executable, "-c", code])
    monkeypatch.setattr(sys, "stderr", said := io.StringIO())
    try:
        while not any(safe(path) > 20 for path in tmp_path.glob("cache/.building-*/state.json")):
            assert child.poll() is None
            time.sleep(0.01)
        source, found = Generated(300, SIDE), []
        waiting = threading.Thread(target=lambda: found.append(cache.load(source, 8, tmp_path / "cache")))
        waiting.start()
        while "waiting" not in said.getvalue():
            assert child.poll() is None
            time.sleep(0.01)
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()
    waiting.join()
    assert 20 <= source.given[0] < 299
    cache._memo.clear()
    expected = cache.load(Generated(300, SIDE), 8, tmp_path / "other")
    (one,), (two,) = tmp_path.glob("cache/[!.]*"), tmp_path.glob("other/[!.]*")
    assert content(one) == content(two)
    assert found[0].digest == expected.digest
    assert torch.equal(found[0].pixels, expected.pixels)
    assert np.array_equal(found[0].contents, expected.contents)


def test_headers_are_those_of_numpy(tmp_path):
    for shape in ((3, 1, 2, 2), (3, 2, 2)):
        (tmp_path / "x.npy").write_bytes(site._header("|u1", shape) + bytes(range(12)))
        assert np.array_equal(np.load(tmp_path / "x.npy"), np.arange(12).reshape(shape))


def unusable_file(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    return tmp_path / "file"


def unusable_disk(tmp_path, monkeypatch):
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(site.np, "savez", full)
    return tmp_path


def unusable_from_the_second_piece_on(tmp_path, monkeypatch):
    """A disk that fills up: what does not fit makes the write fail, and closing the file once more."""
    monkeypatch.setattr(building, "_PIECE_BYTES", 3 * 9 * 9 * 3)
    whole = site.Site.append

    def append(self, *arguments):
        if self.count:
            self._files["pixels.npy"].close()
            self._files["pixels.npy"] = open("/dev/full", "wb", buffering=64)  # noqa: PTH123, SIM115
        whole(self, *arguments)

    monkeypatch.setattr(site.Site, "append", append)
    return tmp_path


def unusable_for_its_size(tmp_path, monkeypatch):
    monkeypatch.setattr(Fake, "count", 10**12)
    monkeypatch.setattr(building, "_check_memory", lambda *_: None)
    return tmp_path


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (unusable_file, "exist|directory"),
        (unusable_disk, "No space left on device; what was written has been removed"),
        (unusable_from_the_second_piece_on, "No space left on device; what was written has been removed"),
        (unusable_for_its_size, "149,000,000 MB are needed there and"),
    ],
)
def test_an_unusable_cache_costs_one_warning(tmp_path, monkeypatch, caplog, make, reason):
    folder = make(tmp_path, monkeypatch)
    with caplog.at_level(logging.WARNING):
        images = cache.load(simple(), 6, folder)
    assert images.pixels.shape == (8, 3, 6, 6)
    assert len(caplog.records) == 1
    assert str(folder) in caplog.text
    assert any(word in caplog.text for word in reason.split("|"))
    assert not list(tmp_path.glob("**/.building-*"))


def test_what_fits_nowhere_is_said_at_once(monkeypatch):
    monkeypatch.setattr(Fake, "count", 10**12)
    with pytest.raises(NoveltyError, match=r"take 108000\.0 GB at this size.*set paths\.cache to a folder"):
        cache.load(simple(), 6)


def test_progress_only_where_it_is_slow(capfd, monkeypatch):
    monkeypatch.setattr(Fake, "count", 8)
    cache.load(simple("quick"), 6)
    assert "Decoding" not in "".join(capfd.readouterr())
    monkeypatch.setattr(building, "_PATIENCE_SECONDS", -1)
    monkeypatch.setattr(building, "_PIECE_BYTES", 3 * 9 * 9 * 3)
    cache.load(simple("slow"), 6)
    out, err = capfd.readouterr()
    assert "Decoding" in err
    assert "8/8" in err
    assert out == ""
    monkeypatch.setattr(Fake, "count", None)
    cache.load(simple("of unknown length"), 6)
    assert "8/?" in capfd.readouterr().err
