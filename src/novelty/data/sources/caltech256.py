"""Caltech-256: 30,607 colour photographs of 256 kinds of objects and of clutter, from 80 to 827 a class."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from novelty.data.source import About
from novelty.data.sources.class_folders import ClassFolders, files_of, read_named
from novelty.data.sources.image_files import ImageFiles

UNPACKED, ARCHIVE = "256_ObjectCategories", "256_ObjectCategories.tar"
NAMES = """
ak47 american-flag backpack baseball-bat baseball-glove basketball-hoop bat bathtub bear beer-mug billiards binoculars
birdbath blimp bonsai-101 boom-box bowling-ball bowling-pin boxing-glove brain-101 breadmaker buddha-101 bulldozer
butterfly cactus cake calculator camel cannon canoe car-tire cartman cd centipede cereal-box chandelier-101
chess-board chimp chopsticks cockroach coffee-mug coffin coin comet computer-keyboard computer-monitor computer-mouse
conch cormorant covered-wagon cowboy-hat crab-101 desk-globe diamond-ring dice dog dolphin-101 doorknob drinking-straw
duck dumb-bell eiffel-tower electric-guitar-101 elephant-101 elk ewer-101 eyeglasses fern fighter-jet
fire-extinguisher fire-hydrant fire-truck fireworks flashlight floppy-disk football-helmet french-horn fried-egg
frisbee frog frying-pan galaxy gas-pump giraffe goat golden-gate-bridge goldfish golf-ball goose gorilla
grand-piano-101 grapes grasshopper guitar-pick hamburger hammock harmonica harp harpsichord hawksbill-101 head-phones
helicopter-101 hibiscus homer-simpson horse horseshoe-crab hot-air-balloon hot-dog hot-tub hourglass house-fly
human-skeleton hummingbird ibis-101 ice-cream-cone iguana ipod iris jesus-christ joy-stick kangaroo-101 kayak
ketch-101 killer-whale knife ladder laptop-101 lathe leopards-101 license-plate lightbulb light-house lightning
llama-101 mailbox mandolin mars mattress megaphone menorah-101 microscope microwave minaret minotaur motorbikes-101
mountain-bike mushroom mussels necktie octopus ostrich owl palm-pilot palm-tree paperclip paper-shredder pci-card
penguin people pez-dispenser photocopier picnic-table playing-card porcupine pram praying-mantis pyramid raccoon
radio-telescope rainbow refrigerator revolver-101 rifle rotary-phone roulette-wheel saddle saturn school-bus
scorpion-101 screwdriver segway self-propelled-lawn-mower sextant sheet-music skateboard skunk skyscraper smokestack
snail snake sneaker snowmobile soccer-ball socks soda-can spaghetti speed-boat spider spoon stained-glass starfish-101
steering-wheel stirrups sunflower-101 superman sushi swan swiss-army-knife sword syringe tambourine teapot teddy-bear
teepee telephone-box tennis-ball tennis-court tennis-racket theodolite toaster tomato tombstone top-hat touring-bike
tower-pisa traffic-light treadmill triceratops tricycle trilobite-101 tripod t-shirt tuning-fork tweezer umbrella-101
unicorn vcr video-projector washing-machine watch-101 waterfall watermelon welding-mask wheelbarrow windmill
wine-bottle xylophone yarmulke yo-yo zebra airplanes-101 car-side-101 faces-easy-101 greyhound tennis-shoes toad
clutter
"""
"""In the order of the folders' numbers, 001 to 257."""

_IMAGE = re.compile(r"(?:256_ObjectCategories/)?(\d{3})\.([^/]+)/\1_\d{4}\.jpg")


class Caltech256(ImageFiles):
    """Caltech-256 (Griffin, Holub, Perona); classes are the folders without their numbers ("ak47", ..., "clutter").

    Reads the distributed archive ``<root>/256_ObjectCategories.tar`` as it is, the folder
    ``<root>/256_ObjectCategories`` (both also below ``<root>/<folder>``), or class folders ``<root>/<folder>/ak47/*``.
    No official split. What lies in the distribution beside ``NNN.name/NNN_MMMM.jpg`` (a folder in 056.dog, a file in
    198.spider) is no image of the data set and passed over.
    """

    about = About(
        title="Caltech-256 (Griffin, Holub, Perona 2007)",
        licence="CC BY 4.0",
        get=f"{ARCHIVE} from https://data.caltech.edu/records/nyy15-4j048",
        place=f"{ARCHIVE}, as the folder {UNPACKED} that is in it, or as class folders caltech256/<class>/",
    )
    names = tuple(NAMES.split())
    total = 30_607

    def __init__(self, root: Path, *, folder: str = "caltech256") -> None:
        super().__init__(root, folder=folder)

    @property
    def expected(self) -> Mapping[str, tuple[int, int]]:
        """Of clutter alone: for the others no published table was at hand."""
        return {"clutter": (827, 0)}

    def distributed(self) -> ClassFolders | None:
        for home in (self.root, self.own):
            for place in (home / UNPACKED, home / ARCHIVE):
                if place.exists():
                    return read_named(place, files_of(place), self.names, _label)
        return None


def _label(path: str) -> int | None:
    found = _IMAGE.fullmatch(path)
    if found is None or not 1 <= int(found[1]) <= len(Caltech256.names):
        return None
    label = int(found[1]) - 1
    return label if Caltech256.names[label] == found[2] else None
