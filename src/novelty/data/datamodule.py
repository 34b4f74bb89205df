"""Batches: uint8 images, in memory or mapped from disk, read through an index in an order that (seed, pass) gives."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import torch
from lightning import LightningDataModule
from torch import Tensor

from novelty.data.augment import Augmentation, VirtualSet
from novelty.data.protocols import Split
from novelty.data.reading import rows
from novelty.data.reading import to_float as to_float
from novelty.data.source import Images
from novelty.errors import NoveltyError
from novelty.info import DataInfo, Schedule
from novelty.nn.parts import part

_COPY_BYTES = 64 << 20


class TrainingBatches:
    """The stream of training batches; step t is a function of (seed, t) alone, cut or not.

    ``len`` is the number of steps in one Lightning epoch: one pass over the data where the schedule counts epochs, the
    whole training where it counts iterations (then passes follow each other inside the epoch, each in a new order).
    Every process draws the same order and takes its share of every mini-batch.

    pixels: (N, C, H, W) uint8.  index: (n,) those of the N that are trained on; None = all of them.
    virtual: the samples that take the place of the n images, where there are any.
    positions: where the images of the latest batch stand among the n (or the samples), (B,) on the CPU.
    """

    def __init__(
        self,
        pixels: Tensor,
        schedule: Schedule,
        seed: int,
        rank: int = 0,
        world: int = 1,
        channels_last: bool = False,
        index: Tensor | None = None,
        virtual: VirtualSet | None = None,
    ) -> None:
        self.pixels, self.schedule, self.seed = pixels, schedule, seed
        self.rank, self.world, self.channels_last = rank, world, channels_last
        self.index = torch.arange(len(pixels)) if index is None else index
        self.virtual = virtual
        self.count = len(self.index if virtual is None else virtual)
        self.batch = min(schedule.batch_size, self.count)
        if self.batch % world:
            raise NoveltyError(
                f"A batch of {self.batch} images cannot be shared by {world} processes: "
                f"make the batch a multiple of {world}."
            )
        self.batches_per_pass = schedule.batches(self.count, world)
        self.steps = schedule.iterations or max(1, self.batches_per_pass // schedule.batches_per_step)
        self.taken = 0
        self._pass, self._order = -1, torch.empty(0, dtype=torch.long)
        self.positions = self._order

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[Tensor]:
        while True:
            step = self.taken
            self.taken += 1
            with part("data"):
                batch = self.at(step)
            yield batch
            if self.taken % self.steps == 0:
                return

    def at(self, step: int) -> Tensor:
        """The float images of training step ``step``, counted from the start of training."""
        joined = self.schedule.batches_per_step
        if self.schedule.iterations is None:
            epoch, within = divmod(step, self.steps)
            first = epoch * self.batches_per_pass + within * joined
        else:
            first = step * joined
        self.positions = torch.cat([self._mini_batch(i) for i in range(first, first + joined)])
        return _training_images(self.pixels, self.index, self.virtual, self.positions, self.channels_last)

    def _mini_batch(self, number: int) -> Tensor:
        """This process's positions of the ``number``-th mini-batch of the training."""
        epoch, place = divmod(number, self.batches_per_pass)
        if epoch != self._pass:
            generator = torch.Generator().manual_seed((self.seed * 1_000_003 + epoch) % 2**63)
            self._pass, self._order = epoch, torch.randperm(self.count, generator=generator)
        positions = self._order[place * self.batch : (place + 1) * self.batch]
        share = len(positions) // self.world
        return positions[self.rank * share : (self.rank + 1) * share]

    def state_dict(self) -> dict[str, Any]:
        """How far the stream is; Lightning keeps it in checkpoints."""
        return {"taken": self.taken}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.taken = state["taken"]


class IndexedBatches:
    """(images, positions) in order, each image once: process r of w takes the positions r, r + w, ... (no padding).

    pixels: (N, C, H, W) uint8.  index: (n,) the images at positions 0 .. n - 1; None = all N of them.
    """

    def __init__(
        self,
        pixels: Tensor,
        batch: int,
        rank: int = 0,
        world: int = 1,
        channels_last: bool = False,
        index: Tensor | None = None,
    ) -> None:
        self.pixels, self.batch, self.channels_last = pixels, batch, channels_last
        self.index = torch.arange(len(pixels)) if index is None else index
        self.positions = torch.arange(len(self.index))[rank::world]

    def __len__(self) -> int:
        return -(-len(self.positions) // self.batch)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for positions in torch.split(self.positions, self.batch):
            yield to_float(rows(self.pixels, self.index[positions]), self.channels_last), positions


class NoveltyData(LightningDataModule):
    """One data set under one protocol: training batches, and the images to score with what is known of them.

    To be scored are the test images and, behind them, up to ``reference`` normal images (validation where there is one,
    otherwise training): thresholds come from these, never from the test.
    """

    def __init__(
        self,
        images: Images,
        split: Split,
        *,
        seed: int,
        reference: int,
        score_batch: int = 250,
        channels_last: bool = False,
        augmentation: Augmentation | None = None,
    ) -> None:
        super().__init__()
        self.split, self.seed = split, seed
        self.score_batch, self.channels_last = score_batch, channels_last
        normal = split.validation if len(split.validation) else split.train
        self.reference = normal[:reference]
        self._pixels = images.pixels
        self._train: tuple[torch.device, Tensor, Tensor] | None = None
        self.schedule: Schedule | None = None
        self.info = data_info(images, split, augmentation)
        side = images.pixels.shape[-1]
        self._virtual = None if augmentation is None else VirtualSet(augmentation, len(split.train), side, seed)

    def _place(self) -> tuple[int, int, torch.device]:
        trainer = self.trainer
        return (
            (trainer.global_rank, trainer.world_size, trainer.strategy.root_device)
            if trainer
            else (0, 1, torch.device("cpu"))
        )

    def _training(self, device: torch.device) -> tuple[Tensor, Tensor]:
        if self._train is None or self._train[0] != device:
            self._train = (device, *_placed(self._pixels, torch.from_numpy(self.split.train), device))
        return self._train[1:]

    def train_dataloader(self) -> TrainingBatches:
        rank, world, device = self._place()
        assert self.schedule is not None, "the framework sets the method's schedule before fit"
        pixels, index = self._training(device)
        return TrainingBatches(pixels, self.schedule, self.seed, rank, world, self.channels_last, index, self._virtual)

    def test_dataloader(self) -> IndexedBatches:
        """Test images at positions 0 .. len(split.test) - 1, reference images behind them."""
        rank, world, device = self._place()
        scored = torch.cat([torch.from_numpy(self.split.test), torch.from_numpy(self.reference)])
        pixels, index = _placed(self._pixels, scored, device)
        return IndexedBatches(pixels, self.score_batch, rank, world, self.channels_last, index)

    def normal_batches(self, of: Literal["train", "validation"] = "train") -> Iterator[Tensor]:
        """Normal images in a fixed order, all of them on every process: for `Method.calibrate` and `Method.measure`.

        of: the training images (or the samples made of them), or the validation images as they are; where none are
        carved off, the training images stand in.

        Raises NoveltyError for validation images of another size than the samples (patches).
        """
        device = self._place()[2]
        if of == "train" or not len(self.split.validation):
            pixels, index = self._training(device)
            count, virtual = self.info.train_size, self._virtual
        else:
            side = self._pixels.shape[-1]
            if side != self.info.image_size:
                raise NoveltyError(
                    f"Validation images of {side} px cannot stand beside samples of {self.info.image_size} px: "
                    f"set protocol.validation=0, or augment=none."
                )
            pixels, index = _placed(self._pixels, torch.from_numpy(self.split.validation), device)
            count, virtual = len(index), None
        for positions in torch.split(torch.arange(count), self.score_batch):
            yield _training_images(pixels, index, virtual, positions, self.channels_last)


def data_info(images: Images, split: Split, augmentation: Augmentation | None = None) -> DataInfo:
    """What a method is told of its data: of the samples, where training images are augmented."""
    _, channels, _, side = images.pixels.shape
    if augmentation is None:
        return DataInfo(channels, side, len(split.train), images.traits)
    return DataInfo(channels, augmentation.side(len(split.train), side), len(augmentation), images.traits)


def _training_images(
    pixels: Tensor, index: Tensor, virtual: VirtualSet | None, positions: Tensor, channels_last: bool
) -> Tensor:
    """The float images, or samples, at ``positions`` of the training set."""
    found = rows(pixels, index[positions]) if virtual is None else virtual.read(pixels, index, positions)
    return to_float(found, channels_last)


def _placed(pixels: Tensor, index: Tensor, device: torch.device) -> tuple[Tensor, Tensor]:
    """Where to read the images ``index`` of ``pixels``, and their index there.

    Where they take less than half of a GPU's free memory they are copied to it; otherwise nothing is.
    """
    if device.type == "cuda" and len(index) * pixels[0].nbytes < torch.cuda.mem_get_info(device)[0] // 2:
        return _copied(pixels, index, device), torch.arange(len(index))
    return pixels, index


def _copied(pixels: Tensor, index: Tensor, device: torch.device) -> Tensor:
    """``pixels[index]`` on ``device``, some megabytes at a time: the whole may be more than the memory on this side."""
    there = torch.empty((len(index), *pixels.shape[1:]), dtype=pixels.dtype, device=device)
    step = max(1, _COPY_BYTES // pixels[0].nbytes)
    for some, to in zip(torch.split(index, step), torch.split(there, step), strict=True):
        to.copy_(rows(pixels, some))
    return there
