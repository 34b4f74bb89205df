"""`split`: who trains and who is tested in a run, as a file for others."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from novelty.data.verbs.asked import Asked, asked
from novelty.errors import NoveltyError

if TYPE_CHECKING:
    from novelty.data.protocols import Split
    from novelty.data.source import Images


def main(typed: Sequence[str]) -> None:
    """Print the sizes of the split; write it where ``out=FILE`` is typed."""
    wanted = [argument.removeprefix("out=") for argument in typed if argument.startswith("out=")]
    out = _writable(wanted[-1]) if wanted else None
    one = asked("split", [argument for argument in typed if not argument.startswith("out=")])
    images, split, normal, open_among = _split(one)
    if open_among:
        print(f"protocol.normal was left open: the first of {len(open_among)} classes is normal.")
    print(
        f"{one.name} under {one.protocol}, normal: {' + '.join(normal)}. Train {len(split.train):,}, "
        f"validation {len(split.validation):,}, test {int((~split.novel).sum()):,} normal "
        f"and {int(split.novel.sum()):,} novel images, of {len(images.labels):,}."
    )
    if out is None:
        print("Nothing was written: out=FILE writes the split.")
        return
    from novelty.data.protocols.index_file import write_split

    try:
        write_split(out, split, images, normal)
    except OSError as error:
        raise NoveltyError(f"out={out} cannot be written: {error.strerror or error}.") from None
    print(f"{out}: take it with protocol=index_file protocol.file={out}")


def _writable(text: str) -> Path:
    path = Path(text).expanduser()
    if not text or path.is_dir() or not path.parent.is_dir():
        raise NoveltyError(f"out={text} cannot be written: it must be a file in a folder that exists.")
    return path


def _split(one: Asked) -> tuple[Images, Split, tuple[str, ...], tuple[str, ...]]:
    """The images, their split in a run, the normal classes, and the classes where none was chosen among them."""
    from novelty.check import build
    from novelty.data.protocols import Protocol, cap

    protocol: Protocol = build(one.protocol_node)
    images = one.images(one.source())
    classes = protocol.classes(images)
    normal = tuple(classes[i] for i in protocol.normal_classes(images))
    budget = one.config["budget"]
    split = cap(protocol.split(images), budget["max_train"], budget["max_test"])
    return images, split, normal, classes if protocol.one_of and one.protocol_node["normal"] is None else ()
