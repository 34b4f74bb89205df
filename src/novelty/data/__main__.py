"""`python -m novelty.data`: which data sets are here, whether they are what they should be, and who is normal in them.

usage: python -m novelty.data VERB [data=NAME] [key=value ...]

python -m novelty.data list                                          every data set: here, partial or missing
python -m novelty.data info data=cifar10                             licence, where to get it, classes, counts, options
python -m novelty.data download data=mnist                           fetch what its owner lets everybody fetch
python -m novelty.data verify data=folder data.source.path=/my/images   decode everything, count, look for duplicates
python -m novelty.data split data=mnist protocol.normal=3 out=split.npz the split of a run, as a file
python -m novelty.data stats backbone=vgg16 weights=FILE images=FOLDER  statistics of a backbone's features

list      reads no image and downloads nothing; takes paths.data=... and paths.cache=... alone.
info      downloads nothing; numbers of images by class as published, and as found where they were decoded before.
download  leaves alone what is here; says what to get, and from where, for a data set that nobody else may hand out.
verify    reads every image, whatever the cache holds, and leaves the cache ready for the next run at this size. Ends
          with exit code 1 where an image is broken or the numbers contradict the published ones.
split     prints sizes, and writes the split where out=FILE is given; protocol=index_file protocol.file=FILE reads it.
stats     backbone=vgg19|vgg16 weights=imagenet|FILE images=FOLDER [out=stats.json] [size=224]: mean and standard
          deviation of every relu4_2 filter over the images of FOLDER (short side resized to `size`, centre cut out):
          what PIAD normalises its features with. The published values are of VGG-19 on ImageNet.

All but stats take the keys of python -m novelty.run: data.source.*, data.image_size, protocol.*, paths.data, ...;
method=NAME too, where a recipe changes the image size.
"""

from __future__ import annotations

import importlib
import sys

from novelty.config import close_to
from novelty.doors import door
from novelty.errors import NoveltyError

VERBS = ("list", "info", "download", "verify", "split", "stats")
"""Each is the function `main` of its module in `novelty.data.verbs`."""


def _main() -> None:
    verb, *arguments = sys.argv[1:] or ["--help"]
    if {"-h", "--help"} & {verb, *arguments}:
        print(__doc__)
        return
    if verb not in VERBS:
        raise NoveltyError(f"{verb} is no verb{close_to(verb, VERBS)} Verbs: {', '.join(VERBS)}.")
    importlib.import_module(f"novelty.data.verbs.{verb}").main(arguments)


if __name__ == "__main__":
    door(_main)
