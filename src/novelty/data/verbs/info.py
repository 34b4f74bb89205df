"""`info`: what a data set is, where to get it, what is here of it and which options it has."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from novelty.data.verbs import counts
from novelty.data.verbs import list as listing
from novelty.data.verbs.asked import Asked, asked
from novelty.data.verbs.shown import few, grid, say
from novelty.data.verbs.standing import Said, Standing, published_counts, said_of, stand
from novelty.errors import NoveltyError

if TYPE_CHECKING:
    from novelty.data.source import Source


def main(typed: Sequence[str]) -> None:
    """Print all that is known without reading an image; without a data set, the list of all."""
    if all(argument.startswith("paths.") for argument in typed):
        listing.main(typed)
        return
    one = asked("info", typed)
    standing, said = stand(one), said_of(one.name)
    source = standing.source
    about = source.about
    print(about.title if about else said.title)
    say("what", said.line)
    if about or said.licence:
        say("licence", about.licence if about else said.licence)
    if about:
        say("get", about.get)
        say("place", f"{about.place}, below {source.root} (paths.data, NOVELTY_DATA)")
    if one.may_download:
        say("" if about else "get", f"python -m novelty.data download data={one.name} fetches it.")
    say("here", _here(standing))
    _classes(standing)
    say("protocol", f"{one.protocol}: {', '.join(_options(one.protocol_node, 'protocol'))}")
    say("images", _images(one, said))
    _properties(standing)
    say("options", ", ".join(_options(one.source_node, "data.source")) or "none")


def _here(standing: Standing) -> str:
    """State, copy and digest, or what to get."""
    if standing.state == "missing" and standing.source.about is not None:  # what to get has been said
        return f"missing: nothing of it was found under {standing.source.root}"
    if standing.why:
        return f"{standing.state}: {standing.why}"
    short = f" ({standing.count:,} of {standing.published:,} images)" if standing.state == "partial" else ""
    digest = f"; digest {standing.images.digest}" if standing.images is not None else ""
    return f"{standing.state}{short}; copy: {standing.copy}{digest}"


def _classes(standing: Standing) -> None:
    """Counts by class, training + test; names alone where no number is known."""
    published, images = published_counts(standing.source), standing.images
    try:
        classes = standing.source.classes
    except (NoveltyError, OSError):
        classes = tuple(published)
    here = counts.found(images) if images is not None else None
    if here is None and not set(classes) <= set(published):
        say("classes", few(classes, len(classes)))
        known = [f"{name} {counts.pair(numbers)}" for name, numbers in published.items()]
        known += [f"{standing.source.total:,} in all"] if standing.source.total else []
        if known:
            say("counts", f"published: {', '.join(known)}")
        return
    if not classes:
        return
    of = counts.rows(classes, published, here)
    alike = {(row.published, row.found) for row in of}
    if len(alike) == 1 and len(of) > 2:
        say("classes", few([row.name for row in of], len(of)))
        say("counts", " and ".join(_each(of[0])) + " in each class (training + test)")
        return
    say("classes", f"{len(of)}; images as training + test")
    grid(counts.table(of), right=("published", "here"))


def _each(row: counts.Row) -> list[str]:
    words = {"published": row.published, "here": row.found}
    return [f"{counts.pair(value)} {word}" for word, value in words.items() if value is not None]


def _images(one: Asked, said: Said) -> str:
    """Channels and sizes: of the data set itself, and what recipes make of it."""
    kind = "grey" if one.config["data"]["channels"] == 1 else "colour"
    recipes = [f"{method} {_side(size)}" for method, size in said.sizes.items() if size != said.sizes[""]]
    changed = f"; by recipe: {', '.join(recipes)}" if recipes else ""
    return f"{_side(said.sizes[''])} {kind} (data.image_size, data.channels){changed}"


def _side(size: int | None) -> str:
    return "of their own size," if size is None else f"{size}x{size}"


def _properties(standing: Standing) -> None:
    """What protocols and methods may use beside the classes."""
    source = standing.source
    known = {"traits": _traits, "groupings": _groupings, "attributes": _attributes}
    for label, words_of in known.items():
        try:
            words = words_of(source)
        except (NoveltyError, OSError):  # which attributes there are is written in a file that is not here
            continue
        if words:
            say(label, words)


def _traits(source: Source) -> str:
    return ", ".join(sorted(source.traits))


def _groupings(source: Source) -> str:
    return "; ".join(f"{name} ({few(list(groups), len(groups))})" for name, groups in source.groupings.items())


def _attributes(source: Source) -> str:
    return ", ".join(f"{name} ({int(flags.sum()):,})" for name, flags in source.attributes.items())


def _options(node: Any, key: str) -> list[str]:
    """``data.source.x=1`` for every option of a source, and of those that it is made of."""
    found = []
    for name, value in node.items():
        if isinstance(value, dict):
            found += _options(value, f"{key}.{name}")
        elif name != "_target_":
            found.append(f"{key}.{name}={value if isinstance(value, str) else json.dumps(value)}")
    return found
