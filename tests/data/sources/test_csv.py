"""A person's table of images: columns, splits, masks, names; and every mistake by its row."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from data.fakes.csv import write_csv
from data.fakes.files import goes_on_from_anywhere, picture, save, seen
from PIL import Image

from novelty.data.sources.csv import CSV
from novelty.errors import NoveltyError


def masks(source: CSV) -> list[np.ndarray]:
    return [mask for block in source.blocks() for mask in block.masks]


def test_all_columns(tmp_path):
    write_csv(tmp_path)
    source = CSV(tmp_path)
    assert source.classes == ("good", "odd", "bent", "aged")  # by training rows, then by test rows
    found = seen(source)
    assert [image.label for image in found] == [0, 1, 0, 0, 2, 2, 3]
    assert [image.test for image in found] == [False] * 3 + [True] * 4
    assert found[0].pixels == np.asarray(Image.open(tmp_path / "parts/good one.png")).tobytes()
    assert found[3].pixels == np.asarray(Image.open(tmp_path / "parts/b,2.png")).tobytes()
    drawn = masks(source)
    assert [mask.any() for mask in drawn] == [False] * 4 + [True] * 2 + [False]
    assert np.array_equal(drawn[4], np.asarray(Image.open(tmp_path / "masks/ü.png")) == 255)
    assert source.copy == "JPG and PNG images of a table"
    assert source.count == 7
    assert goes_on_from_anywhere(source)


@pytest.mark.parametrize("columns", [("path", "label"), ("label", "path"), ("mask", "path", "label")])
def test_without_a_split_in_any_order_of_columns(tmp_path, columns):
    write_csv(tmp_path, columns)
    source = CSV(tmp_path)
    assert source.classes == ("good", "bent", "odd", "aged")
    assert [image.label for image in seen(source)] == [0, 0, 1, 2, 0, 1, 3]
    assert not any(image.test for image in seen(source))
    assert all((block.masks is not None) == ("mask" in columns) for block in source.blocks())


def test_a_table_from_a_spreadsheet(tmp_path):
    """Byte order mark, CRLF, blanks after commas, capitals, empty lines, absolute paths."""
    write_csv(tmp_path)
    elsewhere = tmp_path / "else/where.csv"
    elsewhere.parent.mkdir()
    lines = ["Path, Label,Split", f'"{tmp_path}/parts/c.png", good ,Train', "", f"{tmp_path}/parts/d.png,bad,TEST", ""]
    elsewhere.write_bytes("\r\n".join(lines).encode("utf-8-sig"))
    source = CSV(tmp_path, path=str(elsewhere))
    assert source.classes == ("good", "bad")
    assert [(image.label, image.test) for image in seen(source)] == [(0, False), (1, True)]


def test_classes_in_a_given_order(tmp_path):
    write_csv(tmp_path)
    source = CSV(tmp_path, classes=["aged", "bent", "good", "odd"])
    assert source.classes == ("aged", "bent", "good", "odd")
    assert [image.label for image in seen(source)] == [2, 3, 2, 2, 1, 1, 0]
    with pytest.raises(NoveltyError, match=r"row 4 .* has the label bent, which data\.source\.classes lacks"):
        CSV(tmp_path, classes=["good", "odd", "aged"]).fingerprint()
    with pytest.raises(NoveltyError, match=r"data\.source\.classes names new, which no row"):
        CSV(tmp_path, classes=["good", "odd", "aged", "bent", "new"]).fingerprint()
    with pytest.raises(NoveltyError, match=r"data\.source\.classes names good, .* or twice"):
        CSV(tmp_path, classes=["good", "odd", "aged", "bent", "good"]).fingerprint()
    numbers = "path,label\n" + "".join(f"parts/{name}.png,{i}\n" for i, name in enumerate("cde"))
    (tmp_path / "numbers.csv").write_text(numbers)
    assert CSV(tmp_path, path="numbers.csv", classes=[2, 1, 0]).classes == ("2", "1", "0")


def test_fingerprint_follows_table_and_files(tmp_path):
    table = write_csv(tmp_path)
    before = CSV(tmp_path).fingerprint()
    assert CSV(tmp_path).fingerprint() == before
    shutil.copy(tmp_path / "parts/c.png", tmp_path / "masks/ü.png")
    changed = CSV(tmp_path).fingerprint()
    assert changed != before
    table.write_text(table.read_text().replace("odd", "bent"))
    assert CSV(tmp_path).fingerprint() not in (before, changed)
    assert CSV(tmp_path).fingerprint() != CSV(tmp_path, skip_broken=True).fingerprint()


FIRST = "parts/c.png,good"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", r"row 1 .* has no column path: the header must be path,label,split,mask"),
        ("path;label\nparts/c.png;good\n", r"row 1 .* is not separated by commas"),
        ("file,label\n", r"row 1 .* has no column path"),
        ("path,label,spilt\n", r"row 1 .* has a column 'spilt', which is none of path, label, split, mask: rename"),
        ("path,label,label\n", r"row 1 .* has a column 'label', which is there twice"),
        ("path,label\n", r"images\.csv has no row below its header"),
        (f"path,label\n{FIRST}\nparts/b,2.png,good\n", r"row 3 .* has 3 cells, the header 2: .*double quotes"),
        (f"path,label\n{FIRST}\n,good\n", r"row 3 .* has no path: fill it in"),
        (f"path,label\n{FIRST}\nparts/d.png, \n", r"row 3 .* has no label: fill it in"),
        (f"path,label\n{FIRST}\n\nparts/none.png,bad\n", r"row 4 .* names .*parts/none\.png, where no file is"),
        (f"path,label\n{FIRST}\nparts,bad\n", r"row 3 .* names .*parts, where no file is"),
        (f"path,label,mask\n{FIRST},none.png\n", r"row 2 .* names .*none\.png, where no file is"),
        (f"path,label\n{FIRST}\nparts/d.png,bad\n{FIRST}\n", r"row 4 .* lists .*c\.png, as row 2 does: remove one"),
        (f"path,label,split\n{FIRST},valid\n", r"row 2 .* has the split 'valid': it must be train or test"),
        (f"path,label,split\n{FIRST},\n", r"row 2 .* has the split '': it must be train or test"),
        (f"path,label,split\n{FIRST},train\nparts/d.png,bad,train\n", r"has the split train alone"),
        (f'path,label\n{FIRST}\n"parts/d.png,bad\n', r"row 3 .* cannot be read \(unexpected end of data\)"),
    ],
)
def test_mistakes(tmp_path, text, words):
    write_csv(tmp_path).write_text(text)
    with pytest.raises(NoveltyError, match=words) as error:
        CSV(tmp_path).fingerprint()
    assert str(tmp_path / "images.csv") in str(error.value)
    assert "\n" not in str(error.value)


def test_a_table_that_is_not_there_or_not_utf_8(tmp_path):
    with pytest.raises(NoveltyError, match=r"images\.csv cannot be read \(No such file.*data\.source\.path"):
        CSV(tmp_path).fingerprint()
    write_csv(tmp_path).write_bytes("path,label\nparts/c.png,good\nparts/d.png,müde\n".encode("latin-1"))
    with pytest.raises(NoveltyError, match=r"row 3 .* is not in UTF-8"):
        CSV(tmp_path).fingerprint()


def test_broken_images(tmp_path, caplog):
    write_csv(tmp_path)
    save(picture(0, 5, 5, "L"), tmp_path / "masks/e.png")
    with pytest.raises(NoveltyError, match=r"row 7: .*masks/e\.png has 5x5 .* its image e\.png 8x9.*skip_broken=true"):
        seen(CSV(tmp_path))
    (tmp_path / "parts/good one.png").write_bytes(b"x")
    with pytest.raises(NoveltyError, match=r"row 2: .*good one\.png cannot be read .*skip_broken=true\.$"):
        seen(CSV(tmp_path))
    source = CSV(tmp_path, skip_broken=True)
    assert [image.label for image in seen(source)] == [1, 0, 0, 2, 3]
    assert source.copy == "JPG and PNG images of a table, 2 broken images left out"
    assert len(caplog.records) == 2
    assert goes_on_from_anywhere(source)
    (tmp_path / "parts/f.png").write_bytes(b"x")
    with pytest.raises(NoveltyError, match=r"No image of class aged can be read"):
        seen(CSV(tmp_path, skip_broken=True))
