"""ImageNet-30: 39,000 + 3,000 colour photographs of 30 classes of ImageNet, 1,300 + 100 a class."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from novelty.data.source import About
from novelty.data.sources.class_folders import ClassFolders, has_split, read_split
from novelty.data.sources.image_files import ImageFiles
from novelty.errors import NoveltyError

FIXED = ("one_class_train", "one_class_test")
IMAGENET = ("train", "val")
WORDNET = {  # class: WordNet id; protocols.md section 11
    "acorn": "n12267677",
    "airliner": "n02690373",
    "ambulance": "n02701002",
    "american_alligator": "n01698640",
    "banjo": "n02787622",
    "barn": "n02793495",
    "bikini": "n02837789",
    "digital_clock": "n03196217",
    "dragonfly": "n02268443",
    "dumbbell": "n03255030",
    "forklift": "n03384352",
    "goblet": "n03443371",
    "grand_piano": "n03452741",
    "hotdog": "n07697537",
    "hourglass": "n03544143",
    "manhole_cover": "n03717622",
    "mosque": "n03788195",
    "nail": "n03804744",
    "parking_meter": "n03891332",
    "pillow": "n03938244",
    "revolver": "n04086273",
    "rotary_dial_telephone": "n03187595",
    "schooner": "n04147183",
    "snowmobile": "n04252077",
    "soccer_ball": "n04254680",
    "stingray": "n01498041",
    "strawberry": "n07745940",
    "tank": "n04389033",
    "toaster": "n04442312",
    "volcano": "n09472597",
}


class ImageNet30(ImageFiles):
    """The 30 classes of ImageNet that Hendrycks et al. 2019 chose for one-class detection (CSI, CSyn).

    Reads, in this order, below ``<root>/<folder>``, ``<root>`` or ``<root>/<imagenet>``:

    - the authors' fixed folders ``one_class_train/<class>/`` and ``one_class_test/<class>/`` (images there or in
      ``images/`` below, which may be a link, as their script leaves it);
    - class folders ``<root>/<folder>/{train,test}/<class>/``;
    - a plain ImageNet copy ``train/<WordNet id>/`` and ``val/<WordNet id>/``: all its training images of the 30
      classes, and for the test its 50 validation images a class, half the published number. `copy` says so.

    imagenet: folder of the plain ImageNet copy, absolute or below ``root``.
    """

    about = About(
        title="ImageNet-30 (Hendrycks, Mazeika, Kadavath, Song 2019)",
        licence="ImageNet's terms of access: non-commercial research and teaching",
        get="one_class_train and one_class_test by the links at https://github.com/hendrycks/ss-ood, "
        "or ImageNet itself from https://image-net.org",
        place="imagenet30/one_class_train/<class>/ and imagenet30/one_class_test/<class>/, "
        "or imagenet/train/<WordNet id>/ and imagenet/val/<WordNet id>/",
    )
    names = tuple(WORDNET)
    total = 42_000

    def __init__(self, root: Path, *, folder: str = "imagenet30", imagenet: str = "imagenet") -> None:
        super().__init__(root, folder=folder)
        self.imagenet = self.root / Path(imagenet).expanduser()

    @property
    def expected(self) -> Mapping[str, tuple[int, int]]:
        return dict.fromkeys(self.names, (1300, 100))

    def distributed(self) -> ClassFolders | None:
        for home in (self.own, self.root, self.imagenet):
            if has_split(home, FIXED):
                return read_split(home, self.names, FIXED)
        return None

    def class_folders(self) -> ClassFolders | None:
        if has_split(self.own):
            return read_split(self.own, self.names)
        for home in (self.own, self.imagenet):
            if has_split(home, IMAGENET):
                return self._from_imagenet(home)
        return None

    @property
    def copy(self) -> str:
        files, _ = self._place
        if not files.items[-1].path.startswith("val/"):
            return super().copy
        tested = sum(item.test for item in files.items)
        return (
            f"ImageNet's own folders: {len(files.items) - tested:,} training images (published: 39,000), "
            f"{tested:,} validation images in place of the 3,000 test images"
        )

    def _from_imagenet(self, home: Path) -> ClassFolders:
        if not any((home / "val" / identity).is_dir() for identity in WORDNET.values()):
            raise NoveltyError(
                f"{home / 'val'} has no folders such as {WORDNET['acorn']}/: sort ImageNet's validation images into "
                f"one folder per WordNet id, as torchvision.datasets.ImageNet does."
            )
        return read_split(home, self.names, IMAGENET, tuple(WORDNET.values()))
