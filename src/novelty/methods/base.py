"""The contract of a method, on one page."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, Literal

import torch
from lightning import LightningModule
from torch import Tensor

from novelty.info import DataInfo, Schedule
from novelty.methods.tiles import by_tiles
from novelty.nn.processes import average_over_processes
from novelty.scores import Attack, Disturbance, Scores


class Method(LightningModule, ABC):
    """A novelty detector: trained on normal images, asked how novel others are.

    A subclass is the paper: its keyword-only typed constructor arguments are its configuration schema (each default is
    the paper's value or the fact sheet's decision), `training_step` and `configure_optimizers` are the paper's own.
    The framework calls, in this order: fit, `calibrate` on the normal training images, `score` on each test batch.

    Images are float32, (B, C, H, W), in [0, 1], at ``info.image_size``; every scaling beyond that is the method's.
    """

    version: ClassVar[int] = 1
    """Bumped by hand when the numbers of a method change: it is part of the training key."""

    primary: str
    """Name of the score that counts where none is named."""

    scoring: ClassVar[frozenset[str]] = frozenset()
    """Names of the constructor arguments that `score` alone reads: changing one re-scores without training."""

    wraps: ClassVar[str | None] = None
    """The constructor argument whose method is trained in place of this one, which only scores by it (see `learner`).

    Every other argument is then one of `scoring`, and the training is shared with that method's own runs.
    """

    known_weights: ClassVar[dict[str, str]] = {}
    """Beginnings of sha256 digests of weight files, and the keyword that stands for the same content."""

    maps: bool = False
    """Whether the primary score comes with a map."""

    input_gradient: ClassVar[bool] = True
    """Whether gradients of the scores with respect to the images exist."""

    compilable: ClassVar[tuple[str, ...]] = ()
    """Submodules that `hardware.compile` may compile: not those whose gradient is differentiated again."""

    positions: Tensor | None = None
    """Where the images of the training batch stand among the training images, (B,) on the CPU; set before each step."""

    calibrates_on: ClassVar[Literal["train", "validation"]] = "train"
    """Whose images `calibrate` receives; "validation" falls back to the training images where none are carved off."""

    disturbance: Disturbance | None = None
    """Set by the framework while disturbed images are scored (see `Evaluation.robustness`)."""

    score_dtype: torch.dtype | None = None
    """Set by the framework: what scoring is cast to where that is allowed (autocast); None: float32 throughout."""

    seed: int = 0
    """Set by the framework before anything else; randomness inside `calibrate` and `score` derives from it."""

    def __init__(self, info: DataInfo, schedule: Schedule) -> None:
        super().__init__()
        self.info = info
        self.schedule = schedule

    @property
    def learner(self) -> Method:
        """The method that is fitted, calibrated after fit, and kept in model.ckpt: this one, or the one it wraps.

        One that wraps another is itself calibrated whenever it is about to score.
        """
        return getattr(self, self.wraps) if self.wraps else self

    @abstractmethod
    def score(self, images: Tensor) -> dict[str, Scores]:
        """Named scores of images (B, C, H, W). Every image is scored alike, whatever shares its batch."""

    def calibrate(self, batches: Iterable[Tensor]) -> None:
        """Statistics of normal images: one pass over them in order (`calibrates_on`), after fit, without gradients."""

    def measure(self, batches: Iterable[Tensor]) -> dict[str, float]:
        """Scalars of a trained method that are no scores (FID), for the record; ``batches`` as in `calibrate`."""
        return {}

    def pictures(self, images: Tensor) -> dict[str, Tensor]:
        """What the method makes of images (B, C, H, W), by name, of that shape in [0, 1]: for sheets beside them."""
        return {}

    def training_pictures(self, images: Tensor) -> dict[str, Tensor]:
        """What the method is given for images (B, C, H, W) while it trains, and what it makes of that, as `pictures`.

        Drawn from the method's seed, alike on every call.
        """
        return {}

    def attacked(self, images: Tensor, attack: Attack) -> dict[str, Tensor]:
        """Images as ``attack`` moves them to raise the primary score, by the way it is done ("" where there is one)."""
        return {"": attack(lambda moved: self._whole(moved)[self.primary].image, images)}

    def provenance(self) -> dict[str, str]:
        """What beside code and data the numbers rest on, such as ``{"backbone": "vgg19 imagenet"}``; in the record."""
        return {}

    def seeded_generator(self) -> torch.Generator:
        """A generator on this device, seeded alike on every call: for randomness inside `calibrate` and `score`."""
        return torch.Generator(self.device).manual_seed(self.seed)

    @contextmanager
    def seeded(self) -> Iterator[None]:
        """Inside, the global generators are seeded alike on every call; afterwards they are as they were."""
        with torch.random.fork_rng([self.device] if self.device.type == "cuda" else []):
            torch.manual_seed(self.seed)
            yield

    @property
    def scaler(self) -> torch.amp.GradScaler | None:
        """The scaler of losses in 16-mixed training, otherwise None."""
        return getattr(self.trainer.precision_plugin, "scaler", None) if self._trainer is not None else None

    def learn(self, optimizer: Any, loss: Tensor) -> None:
        """One step of one optimiser of several (manual optimisation) on its own parameters; no other collects anything.

        Gradients are scaled where float16 needs it and averaged over processes (see `nn.processes`).
        """
        parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        optimizer.zero_grad()
        scaled = self.scaler.scale(loss) if self.scaler else loss
        torch.autograd.backward(scaled, inputs=parameters)
        average_over_processes([p.grad for p in parameters if p.grad is not None])
        optimizer.step()

    def test_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> dict[str, Scores]:
        """Scores, in float32 unless `score_dtype` says otherwise; the framework collects and gathers them.

        Images that are larger than those of the training (patches) are scored tile by tile, see `by_tiles`.
        """
        images, positions = batch
        with torch.autocast(self.device.type, self.score_dtype, enabled=self.score_dtype is not None):
            if self.disturbance is None:
                return self._whole(images)
            found = self.disturbance(self.attacked, images, positions)
            return {name + gained: s for gained, moved in found.items() for name, s in self._whole(moved).items()}

    def _whole(self, images: Tensor) -> dict[str, Scores]:
        side = self.info.image_size
        return self.score(images) if images.shape[-1] == side else by_tiles(self.score, images, side)


class Fitted(Method):
    """A method that only calibrates: arrays fitted to the normal images, no gradient steps.

    `fitted` names the arrays (set by `calibrate` through ``setattr``); they move with the module and are kept in
    checkpoints although their shapes are known only after fitting.
    """

    fitted: ClassVar[tuple[str, ...]]

    def __init__(self, info: DataInfo, batch_size: int = 1000) -> None:
        # One step of one batch: with no epoch at all Lightning would skip the hooks at the end of training.
        super().__init__(info, Schedule(batch_size=batch_size, iterations=1))
        self.automatic_optimization = False
        for name in self.fitted:
            self.register_buffer(name, None, persistent=False)

    def training_step(self, batch: Tensor, batch_idx: int) -> None:
        """Nothing to learn by gradient."""

    def configure_optimizers(self) -> None:
        """No parameters."""

    def get_extra_state(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.fitted}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            setattr(self, name, value if value is None else value.to(self.device))
