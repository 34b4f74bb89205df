"""`Folder.blocks` from any image on: with a split and without, broken files left out."""

from __future__ import annotations

import pytest
from data.fakes.files import goes_on_from_anywhere, picture, save, seen

from novelty.data.sources.folder import Folder
from novelty.errors import NoveltyError


@pytest.mark.parametrize("tops", [("train/a", "test/a", "test/b"), ("a", "b", "c")])
@pytest.mark.parametrize("broken", [False, True])
def test_goes_on_from_anywhere(tmp_path, tops, broken):
    for number, top in enumerate(tops):
        for i in range(3):
            save(picture(10 * number + i, 8 + i % 2, 9), tmp_path / top / f"{i}.png")
    if broken:
        (tmp_path / tops[0] / "1.png").write_bytes(b"x")
        with pytest.raises(NoveltyError, match=r"1\.png cannot be read .*skip_broken=true\.$"):
            seen(Folder(tmp_path, path="."))
    source = Folder(tmp_path, path=".", skip_broken=broken)
    assert len(seen(source)) == 9 - broken
    assert goes_on_from_anywhere(source)
    assert source.copy == "PNG class folders" + ", 1 broken images left out" * broken
