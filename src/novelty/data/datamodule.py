"""Batches: images in memory as uint8, indexed batch by batch, in an order that is a function of (seed, pass)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from lightning import LightningDataModule
from torch import Tensor

from novelty.data.protocols import Split
from novelty.data.source import Images
from novelty.errors import NoveltyError
from novelty.info import DataInfo, Schedule


def to_float(pixels: Tensor, channels_last: bool = False) -> Tensor:
    """uint8 (B, C, H, W) as float32 in [0, 1]."""
    memory_format = torch.channels_last if channels_last else torch.contiguous_format
    return pixels.to(dtype=torch.float32, memory_format=memory_format).div_(255)


class TrainingBatches:
    """The stream of training batches; step t is a function of (seed, t) alone, cut or not.

    ``len`` is the number of steps in one Lightning epoch: one pass over the data where the schedule counts epochs, the
    whole training where it counts iterations (then passes follow each other inside the epoch, each in a new order).
    Every process draws the same order and takes its share of every mini-batch.
    """

    def __init__(
        self, pixels: Tensor, schedule: Schedule, seed: int, rank: int = 0, world: int = 1, channels_last: bool = False
    ) -> None:
        self.pixels, self.schedule, self.seed = pixels, schedule, seed
        self.rank, self.world, self.channels_last = rank, world, channels_last
        count, joined = len(pixels), schedule.batches_per_step
        self.batch = min(schedule.batch_size, count)
        if self.batch % world:
            raise NoveltyError(
                f"A batch of {self.batch} images cannot be shared by {world} processes: "
                f"make the batch a multiple of {world}."
            )
        whole, rest = divmod(count, self.batch)
        keep_rest = rest >= world and not schedule.drop_last and schedule.iterations is None
        self.batches_per_pass = whole + keep_rest
        self.steps = schedule.iterations or max(1, self.batches_per_pass // joined)
        self.taken = 0
        self._pass, self._order = -1, torch.empty(0, dtype=torch.long)

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[Tensor]:
        while True:
            step = self.taken
            self.taken += 1
            yield self.at(step)
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
        index = torch.cat([self._mini_batch(i) for i in range(first, first + joined)])
        return to_float(self.pixels[index.to(self.pixels.device)], self.channels_last)

    def _mini_batch(self, number: int) -> Tensor:
        """This process's indices of the ``number``-th mini-batch of the training."""
        epoch, position = divmod(number, self.batches_per_pass)
        if epoch != self._pass:
            generator = torch.Generator().manual_seed((self.seed * 1_000_003 + epoch) % 2**63)
            self._pass, self._order = epoch, torch.randperm(len(self.pixels), generator=generator)
        index = self._order[position * self.batch : (position + 1) * self.batch]
        share = len(index) // self.world
        return index[self.rank * share : (self.rank + 1) * share]

    def state_dict(self) -> dict[str, Any]:
        """How far the stream is; Lightning keeps it in checkpoints."""
        return {"taken": self.taken}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.taken = state["taken"]


class IndexedBatches:
    """(images, positions) in order, each image once: process r of w takes the positions r, r + w, ... (no padding)."""

    def __init__(self, pixels: Tensor, batch: int, rank: int = 0, world: int = 1, channels_last: bool = False) -> None:
        self.pixels, self.batch, self.channels_last = pixels, batch, channels_last
        self.positions = torch.arange(len(pixels))[rank::world]

    def __len__(self) -> int:
        return -(-len(self.positions) // self.batch)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for positions in torch.split(self.positions, self.batch):
            yield to_float(self.pixels[positions.to(self.pixels.device)], self.channels_last), positions


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
    ) -> None:
        super().__init__()
        self.split, self.seed = split, seed
        self.score_batch, self.channels_last = score_batch, channels_last
        normal = split.validation if len(split.validation) else split.train
        self.reference = normal[:reference]
        self._pixels = images.pixels
        self._train: Tensor | None = None
        self.schedule: Schedule | None = None
        self.info = data_info(images, split)

    def _place(self) -> tuple[int, int, torch.device]:
        trainer = self.trainer
        return (
            (trainer.global_rank, trainer.world_size, trainer.strategy.root_device)
            if trainer
            else (0, 1, torch.device("cpu"))
        )

    def _training_pixels(self, device: torch.device) -> Tensor:
        if self._train is None or self._train.device != device:
            self._train = _to_device(self._pixels[torch.from_numpy(self.split.train)], device)
        return self._train

    def train_dataloader(self) -> TrainingBatches:
        rank, world, device = self._place()
        assert self.schedule is not None, "the framework sets the method's schedule before fit"
        return TrainingBatches(self._training_pixels(device), self.schedule, self.seed, rank, world, self.channels_last)

    def test_dataloader(self) -> IndexedBatches:
        """Test images at positions 0 .. len(split.test) - 1, reference images behind them."""
        rank, world, device = self._place()
        index = torch.cat([torch.from_numpy(self.split.test), torch.from_numpy(self.reference)])
        pixels = _to_device(self._pixels[index], device)
        return IndexedBatches(pixels, self.score_batch, rank, world, self.channels_last)

    def normal_batches(self) -> Iterator[Tensor]:
        """The training images in a fixed order, all of them on every process: what `Method.calibrate` sees."""
        device = self._place()[2]
        for pixels in torch.split(self._training_pixels(device), self.score_batch):
            yield to_float(pixels, self.channels_last)


def data_info(images: Images, split: Split) -> DataInfo:
    """What a method is told of its data."""
    return DataInfo(images.pixels.shape[1], images.pixels.shape[-1], len(split.train), images.traits)


def _to_device(pixels: Tensor, device: torch.device) -> Tensor:
    """Keep uint8 images on the accelerator where they take less than half of its free memory."""
    if device.type == "cuda" and pixels.nbytes < torch.cuda.mem_get_info(device)[0] // 2:
        return pixels.to(device)
    return pixels.pin_memory() if device.type == "cuda" else pixels
