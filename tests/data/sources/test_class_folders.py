"""Listing and decoding of image files: where it starts, links, what is left out, archives."""

from __future__ import annotations

import io
import tarfile
import zipfile

import pytest
from data.fake_layouts import write_images
from data.fakes.files import goes_on_from_anywhere, pack, seen

from novelty.data.source import Source
from novelty.data.sources import class_folders, streaming
from novelty.data.sources.archives import Archive
from novelty.data.sources.class_folders import ClassFolders, files_of, read_named, read_split, read_unsplit
from novelty.errors import NoveltyError


class Files(Source):
    """A source of given files."""

    classes = ()

    def __init__(self, files: ClassFolders, skip_broken: bool = False) -> None:
        super().__init__("/nowhere")
        self.files, self.skip_broken = files, skip_broken

    def fingerprint(self):
        return self.files.fingerprint()

    def blocks(self, start: int = 0):
        yield from self.files.blocks(3, self.skip_broken, start)


@pytest.mark.parametrize("threads", [False, True])
@pytest.mark.parametrize("task", [1, 3, 256])
def test_goes_on_from_anywhere(tmp_path, monkeypatch, threads, task):
    monkeypatch.setattr(class_folders, "_THREADED_BYTES", 0 if threads else 1 << 30)
    monkeypatch.setattr(streaming, "_TASK_FILES", task)
    for seed, (split, count) in enumerate({"train/a": 4, "train/b": 3, "test/a": 2, "test/b": 2}.items()):
        write_images(tmp_path / split, count, side=6 + seed % 2, seed=seed)
    files = read_split(tmp_path)
    assert goes_on_from_anywhere(Files(files))
    for name in ("train/a/0001.png", "train/b/0000.png", "test/a/0001.png"):
        (tmp_path / name).write_bytes(b"broken")
    for _ in range(2):  # and it remembers nothing
        assert goes_on_from_anywhere(Files(files, skip_broken=True))
        assert len(files.left_out) == 3
    assert len(seen(Files(files, skip_broken=True))) == 8


def test_what_was_passed_is_not_decoded(tmp_path):
    write_images(tmp_path / "a", 3)
    write_images(tmp_path / "b", 3)
    (tmp_path / "a/0001.png").write_bytes(b"broken")
    files = Files(read_unsplit(tmp_path))
    assert len(seen(files, 2)) == 4
    with pytest.raises(NoveltyError, match=r"0001\.png cannot be read"):
        seen(files, 1)


def test_counts(tmp_path):
    for split, count in {"train/a": 4, "test/a": 2, "test/b": 3}.items():
        write_images(tmp_path / split, count)
    assert read_split(tmp_path).counts() == {"a": (4, 2), "b": (0, 3)}


def test_links_are_followed_but_not_in_circles(tmp_path):
    write_images(tmp_path / "far", 2)
    write_images(tmp_path / "top/a/deep", 1)
    write_images(tmp_path / "top/b", 1)
    (tmp_path / "top/a/images").symlink_to(tmp_path / "far")
    (tmp_path / "top/a/deep/up").symlink_to(tmp_path / "top/a")
    (tmp_path / "far/back").symlink_to(tmp_path / "top/a")
    (tmp_path / "far/self").symlink_to(tmp_path / "far")
    (tmp_path / "top/b/gone.png").symlink_to(tmp_path / "nothing.png")
    names = [item.path for item in read_unsplit(tmp_path / "top").items]
    assert names == ["a/deep/0000.png", "a/images/0000.png", "a/images/0001.png", "b/0000.png"]


def test_classes_are_matched_and_ordered(tmp_path):
    for name in ("Big Dog", "cat", "other"):
        write_images(tmp_path / "all" / name, 1)
    files = read_unsplit(tmp_path / "all", ["cat", "big_dog"])
    assert files.classes == ("cat", "big_dog")
    assert [item.path for item in files.items] == ["cat/0000.png", "Big Dog/0000.png"]
    with pytest.raises(NoveltyError, match="all has no folder for class cow: it needs cat, cow"):
        read_unsplit(tmp_path / "all", ["cat", "cow"])


def test_named_files(tmp_path):
    write_images(tmp_path / "x", 3)
    files = read_named(tmp_path, files_of(tmp_path), ["even", "odd"], lambda path: int(path[-5]) % 2)
    assert [item.path for item in files.items] == ["x/0000.png", "x/0002.png", "x/0001.png"]
    with pytest.raises(NoveltyError, match="holds no image of class odd"):
        read_named(tmp_path, files_of(tmp_path), ["even", "odd"], lambda path: 0 if path.endswith("2.png") else None)


@pytest.mark.parametrize("suffix", [".zip", ".tar"])
def test_archives_give_what_folders_give(tmp_path, suffix):
    write_images(tmp_path / "top/a", 2)
    (tmp_path / "top/a/.hidden.png").write_bytes(b"x")
    (tmp_path / "top/__MACOSX").mkdir()
    (tmp_path / "top/__MACOSX/0000.png").write_bytes(b"x")
    archive = pack(tmp_path / "top", tmp_path / f"all{suffix}")
    with Archive(archive) as opened:
        assert sorted(opened.sizes) == ["a/0000.png", "a/0001.png"]
        assert opened.read("a/0001.png").getvalue() == (tmp_path / "top/a/0001.png").read_bytes()
        assert str(opened.read("a/0001.png")) == f"{archive}: a/0001.png"
        assert opened.sizes["a/0000.png"] == (tmp_path / "top/a/0000.png").stat().st_size


def test_nothing_leads_out_of_an_archive(tmp_path):
    (tmp_path / "secret.png").write_bytes(b"secret")
    with tarfile.open(tmp_path / "evil.tar", "w") as archive:
        for name, kind in (("../up.png", tarfile.REGTYPE), ("/root.png", tarfile.REGTYPE)):
            member = tarfile.TarInfo(name)
            member.type, member.size = kind, 1
            archive.addfile(member, io.BytesIO(b"x"))
        for name, kind in (("soft.png", tarfile.SYMTYPE), ("hard.png", tarfile.LNKTYPE), ("dev.png", tarfile.CHRTYPE)):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, str(tmp_path / "secret.png")
            archive.addfile(member)
    with zipfile.ZipFile(tmp_path / "evil.zip", "w") as zipped:
        zipped.writestr("../up.png", "x")
        zipped.writestr("/root.png", "x")
        link = zipfile.ZipInfo("soft.png")
        link.external_attr = 0o120777 << 16
        zipped.writestr(link, str(tmp_path / "secret.png"))
    for suffix in ("tar", "zip"):
        with Archive(tmp_path / f"evil.{suffix}") as opened:
            assert opened.sizes == {}


@pytest.mark.parametrize("name", ["x.zip", "x.tar"])
def test_what_is_no_archive(tmp_path, name):
    (tmp_path / name).write_bytes(b"<html>not found</html>" * 100)
    with pytest.raises(NoveltyError, match=rf"{name} cannot be read \(.*\): remove {name} and get it again"):
        files_of(tmp_path / name)


def test_a_tar_that_ends_within_a_file(tmp_path):
    write_images(tmp_path / "top/a", 2, side=40)
    archive = pack(tmp_path / "top", tmp_path / "x.tar")
    archive.write_bytes(archive.read_bytes()[:8000])
    with pytest.raises(NoveltyError, match=r"x\.tar cannot be read \(unexpected end of data\)"):
        files_of(archive)
