"""How a data set stands here, without reading an image."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

from novelty.config import conf_dir, names_under
from novelty.data.verbs.asked import Asked
from novelty.errors import NoveltyError

if TYPE_CHECKING:
    from novelty.data.source import Images, Source

State = Literal["complete", "partial", "missing"]


@dataclass(frozen=True)
class Standing:
    """complete: all that is published is here, or all there is where nothing is published.

    source:    which does not download.
    why:       the sentence that says what cannot be opened, or what to get.
    count:     how many images are here, if that is known without decoding.
    published: how many there should be, if that is known.
    images:    as an earlier run decoded them; None where none has.
    """

    state: State
    source: Source
    why: str = ""
    count: int | None = None
    published: int | None = None
    images: Images | None = None

    @property
    def copy(self) -> str:
        """What the files are, as far as somebody has read them."""
        if self.images is not None:
            return self.images.copy
        return "" if self.state == "missing" or self.why else "not read yet"


def stand(asked: Asked) -> Standing:
    """Look at names and sizes of files, and at what was decoded earlier. NoveltyError for wrong options alone."""
    source = asked.source(download=False)
    try:
        source.fingerprint()
        images = _decoded(asked, source)
        count = source.count if images is None else len(images.labels)
        published = published_total(source)
    except (NoveltyError, OSError) as error:
        why = f"{error.filename} cannot be read ({error.strerror})." if isinstance(error, OSError) else str(error)
        return Standing("partial" if _begun(asked, source) else "missing", source, why)
    short = count is not None and published is not None and count < published
    return Standing("partial" if short else "complete", source, "", count, published, images)


def published_counts(source: Source) -> Mapping[str, tuple[int, int]]:
    """`Source.expected`, also of a data set that is not here; empty where nothing is known."""
    try:
        return source.expected or {}
    except NoveltyError:  # LSUN expects conference rooms to train on where there are any
        return {}


def published_total(source: Source) -> int | None:
    """Published number of images, if there is one for all classes."""
    if source.total is not None:
        return source.total
    expected = published_counts(source)
    return sum(map(sum, expected.values())) if expected and set(source.classes) <= set(expected) else None


def _begun(asked: Asked, source: Source) -> bool:
    """Whether something lies where the data set belongs."""
    places = {asked.name}
    if source.about is not None:
        places.add(re.split(r"[/,]", source.about.place)[0])
    found = (source.root / place for place in places)
    with suppress(OSError):
        return any(path.is_file() or (path.is_dir() and any(path.iterdir())) for path in found)
    return True  # there is something that may not be looked into


def _decoded(asked: Asked, source: Source) -> Images | None:
    """What an earlier run decoded, at any of the sizes at which that is done by default."""
    sizes = dict.fromkeys((asked.image_size, *said_of(asked.name).sizes.values()))
    return next((images for size in sizes if (images := asked.known(source, size)) is not None), None)


class Said(NamedTuple):
    """What conf/ says of a data set.

    title, line: the first line of its YAML, up to the colon and behind it.  licence: what that line ends in, "" for a
    person's own images.  sizes: sides in pixels; of the data set itself under "", and by method where a recipe says so.
    """

    title: str
    line: str
    licence: str
    sizes: dict[str, int | None]


def said_of(name: str) -> Said:
    """Read from the files themselves: a composition would know one method's recipe alone."""
    from omegaconf import OmegaConf

    path = conf_dir() / "data" / f"{name}.yaml"
    title, _, line = path.read_text(encoding="utf-8").splitlines()[0].lstrip("# ").partition(": ")
    parts = line.rstrip(".").split("; ")
    sizes = {"": OmegaConf.select(OmegaConf.load(path), "image_size")}
    for method in names_under(conf_dir() / "method"):
        recipe = conf_dir() / "recipe" / f"{method}_{name}.yaml"
        size = OmegaConf.select(OmegaConf.load(recipe), "data.image_size") if recipe.is_file() else None
        if size is not None:
            sizes[method] = size
    return Said(title, line, parts[2] if len(parts) == 3 else "", sizes)
