"""`verify`: read every image once, count, compare with what is published, look for duplicates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from novelty.data.decode import BrokenImage
from novelty.data.verbs import counts
from novelty.data.verbs.asked import Asked, asked
from novelty.data.verbs.shown import grid, say
from novelty.data.verbs.standing import published_counts, published_total
from novelty.errors import NoveltyError

if TYPE_CHECKING:
    from novelty.data.source import Images, Source


def main(typed: Sequence[str]) -> None:
    """Print what was found; NoveltyError, behind it, where it contradicts what is published."""
    from novelty.data.verbs.reading import name_all_broken, read

    one = asked("verify", typed)
    source = one.source()
    try:
        seen = read(one, source)
    except BrokenImage:
        if one.may_skip:
            name_all_broken(one)
        raise
    images = seen.images
    say("data", f"{one.name}, below {one.root}; copy: {images.copy}")
    say("digest", images.digest)
    ready = "starts at once" if one.known(source, one.image_size) else "decodes them again"
    say("images", f"{len(images.labels):,}, {_sizes(seen.sizes)}; the next run at {_form(images)} {ready}")
    published = published_counts(source)
    repeated = duplicates_within(images)
    marked = None if seen.marked is None else _by_class(images, seen.marked)
    rows = counts.rows(images.classes, published, counts.found(images), repeated, marked)
    print("Images by class, training + test:")
    grid(counts.table(rows), right=("published", "here", "duplicates", "masks"))
    say("duplicates", _duplicates(images, sum(repeated.values())))
    if seen.marked is not None:
        say("masks", _masks(images, seen.marked))
    fault = contradiction(one, source, images, rows)
    if fault:
        raise NoveltyError(fault)
    if not published and published_total(source) is None:
        print("No numbers are published that this could be held to.")
    else:
        print("The numbers are the published ones" + ("." if _all_published(rows) else ", as far as there are any."))


def duplicates_within(images: Images) -> dict[str, int]:
    """By class, how many images repeat another of the class: images less distinct contents."""
    return {
        name: int(np.sum(own)) - len(np.unique(images.contents[own]))
        for i, name in enumerate(images.classes)
        if (own := images.labels == i).any()
    }


def in_several_classes(images: Images) -> int:
    """How many contents stand in more than one class."""
    pairs = np.unique(np.stack([images.contents, images.labels.astype(np.uint64)], axis=1), axis=0)
    return int(np.sum(np.unique(pairs[:, 0], return_counts=True)[1] > 1))


def trained_and_tested(images: Images) -> int:
    """How many test images are equal to a training image."""
    return int(np.isin(images.contents[images.test], images.contents[~images.test]).sum())


def contradiction(one: Asked, source: Source, images: Images, rows: Sequence[counts.Row]) -> str:
    """The sentence about numbers that are not the published ones; "" where all are."""
    said = []
    wrong = [row for row in rows if row.differs]
    if wrong:
        first = wrong[0]
        more = f", and {len(wrong) - 1:,} more classes differ" if len(wrong) > 1 else ""
        said.append(
            f"class {first.name} has {counts.pair(first.found)} images (training + test), "
            f"{counts.pair(first.published)} are published{more}"
        )
    total = published_total(source)
    if not wrong and total not in (None, len(images.labels)):
        said.append(f"there are {len(images.labels):,} images, {total:,} are published")
    get = f": get {source.about.get}" if source.about else ""
    return f"{one.name} below {one.root} is not as published: {said[0]}{get}." if said else ""


def _all_published(rows: Sequence[counts.Row]) -> bool:
    return all(row.published is not None for row in rows)


def _duplicates(images: Images, repeated: int) -> str:
    found = [
        f"{repeated:,} images repeat another of their class",
        f"{in_several_classes(images):,} contents stand in several classes",
    ]
    if images.test.any():
        found.append(f"{trained_and_tested(images):,} test images are equal to a training image")
    return f"{', '.join(found)} (equal: decoded, pixel by pixel)"


def _masks(images: Images, marked: np.ndarray) -> str:
    assert images.masks is not None
    found = f"{len(marked):,}, of which {int(marked.sum()):,} mark something and {int((~marked).sum()):,} are empty"
    kept = images.masks.flatten(1).any(dim=1).numpy()
    lost = int((marked & ~kept).sum())
    return found + (f"; at {_form(images)} {lost:,} more mark nothing: take a larger data.image_size" if lost else "")


def _by_class(images: Images, marked: np.ndarray) -> Mapping[str, int]:
    number = np.bincount(images.labels[marked], minlength=len(images.classes))
    return {name: int(number[i]) for i, name in enumerate(images.classes)}


def _sizes(sizes: np.ndarray) -> str:
    """(n, 2) heights and widths in words."""
    found, number = np.unique(sizes, axis=0, return_counts=True)
    if len(found) == 1:
        return f"all of {_size(found[0])} pixels"
    by_area = found[np.argsort(found.prod(axis=1), kind="stable")]
    return (
        f"from {_size(by_area[0])} to {_size(by_area[-1])} pixels in {len(found):,} sizes, "
        f"most often {_size(found[number.argmax()])} ({number.max():,})"
    )


def _size(height_width: np.ndarray) -> str:
    return f"{height_width[1]}x{height_width[0]}"


def _form(images: Images) -> str:
    channels, height, width = images.pixels.shape[1:]
    return f"{width}x{height} in {'grey' if channels == 1 else 'colour'}"
