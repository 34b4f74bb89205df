"""A small CelebA: images as a zip or in a folder, the two lists as .txt or as Kaggle's .csv."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import NamedTuple

import numpy as np
from data.fakes.files import pack, picture, save

_NAMES = """
5_o_Clock_Shadow Arched_Eyebrows Attractive Bags_Under_Eyes Bald Bangs Big_Lips Big_Nose Black_Hair Blond_Hair
Blurry Brown_Hair Bushy_Eyebrows Chubby Double_Chin Eyeglasses Goatee Gray_Hair Heavy_Makeup High_Cheekbones
Male Mouth_Slightly_Open Mustache Narrow_Eyes No_Beard Oval_Face Pale_Skin Pointy_Nose Receding_Hairline Rosy_Cheeks
Sideburns Smiling Straight_Hair Wavy_Hair Wearing_Earrings Wearing_Hat Wearing_Lipstick Wearing_Necklace
Wearing_Necktie Young
"""
NAMES = tuple(_NAMES.split())


class Written(NamedTuple):
    """What `write_celeba` wrote: file names, parts (0, 1, 2), attributes (N, 40) of -1 and 1."""

    names: list[str]
    parts: np.ndarray
    values: np.ndarray


def write_celeba(
    home: Path,
    count: int = 12,
    *,
    images: str = "img_align_celeba.zip",
    lists: str = ".txt",
    below: tuple[str, str] = ("", ""),
) -> Written:
    """Noise of 178x218 with random attributes; the parts follow each other, but for the last image, which trains.

    images: "img_align_celeba.zip", or the folder in which the files lie.  below: the folders of the two lists.
    """
    names = [f"{i:06d}.jpg" for i in range(1, count + 1)]
    parts = np.sort(np.arange(count) % 3)
    parts[-1] = 0
    values = np.random.default_rng(count).choice([-1, 1], (count, len(NAMES)))
    packed = images.endswith(".zip")
    for i, name in enumerate(names):
        save(picture(i, 218, 178), home / ("to_pack/img_align_celeba" if packed else images) / name)
    if packed:
        pack(home / "to_pack", home / images)
        shutil.rmtree(home / "to_pack")
    attributes = [f"{name} " + " ".join(f"{value:2d}" for value in values[i]) for i, name in enumerate(names)]
    partition = [f"{name} {parts[i]}" for i, name in enumerate(names)]
    if lists == ".txt":
        attributes = [str(count), " ".join(NAMES) + " ", *attributes]
    else:
        attributes = [",".join(line.split()) for line in (" ".join(("image_id", *NAMES)), *attributes)]
        partition = ["image_id,partition", *(line.replace(" ", ",") for line in partition)]
    for folder, name, lines in zip(
        below, ("list_attr_celeba", "list_eval_partition"), (attributes, partition), strict=True
    ):
        (home / folder).mkdir(parents=True, exist_ok=True)
        (home / folder / f"{name}{lists}").write_text("\n".join(lines) + "\n")
    return Written(names, parts, values)
