"""Small copies of ImageNet-30: the authors' fixed folders, class folders, and a plain ImageNet."""

from __future__ import annotations

from pathlib import Path

from data.fakes.files import picture, save

from novelty.data.sources.imagenet30 import WORDNET


def write_imagenet30(
    home: Path,
    splits: tuple[str, str] = ("one_class_train", "one_class_test"),
    *,
    wordnet: bool = False,
    inner: str = "",
) -> None:
    """Two training images and one test image of each class, of many sizes; by name or by WordNet id."""
    for label, (name, identity) in enumerate(WORDNET.items()):
        for split, count in zip(splits, (2, 1), strict=True):
            for i in range(count):
                folder = home / split / (identity if wordnet else name) / inner
                file = f"{identity}_{i}.JPEG"
                image = picture(10 * label + i + 5 * (count == 1), 8 + label % 4, 9, "L" if label == 7 else "RGB")
                save(image, folder / file)
