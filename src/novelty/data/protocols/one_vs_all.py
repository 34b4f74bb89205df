"""P2: one class, or one group of classes, against all others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from novelty.data.protocols.base import Draw, DrawnProtocol, listed, named
from novelty.data.source import Annotations
from novelty.errors import NoveltyError


class OneVsAll(DrawnProtocol):
    """P2, one-vs-all with the official split: train on the class's official training images, test on all test images.

    holdout: for data without an official split only (no image is flagged as test): the share of the normal images that
             the repeat draws for testing; every image of the other classes is tested beside them.

    The rest as in `DrawnProtocol`. Also for ImageNet-30, LSUN and one data set against another: novel classes need no
    training images.
    """

    def __init__(
        self,
        *,
        normal: str | int | Sequence[str | int] | None = None,
        repeat: int = 0,
        train_fraction: float = 1.0,
        validation: float = 0.0,
        holdout: float = 0.2,
    ) -> None:
        super().__init__(normal=normal, repeat=repeat, train_fraction=train_fraction, validation=validation)
        if not 0 < holdout < 1:
            raise NoveltyError(f"protocol.holdout is {holdout}: it must be above 0 and below 1.")
        self.holdout = holdout

    def draw(self, normal: np.ndarray, novel: np.ndarray, known: Annotations, rng: np.random.Generator) -> Draw:
        if known.test.any():
            return Draw(np.flatnonzero(normal & ~known.test), np.flatnonzero((normal | novel) & known.test))
        own = rng.permutation(np.flatnonzero(normal))
        tested = max(1, round(self.holdout * len(own)))
        return Draw(own[tested:], np.concatenate([own[:tested], np.flatnonzero(novel)]))


class Superclass(OneVsAll):
    """P2 over groups of classes, such as the 20 superclasses of CIFAR-100: `normal` names groups.

    table: which of the data set's groupings; CIFAR-100 has `official`, and `csi_repo`, the table of the CSI code, in
           which 13 of 20 groups are wrong (protocols.md section 10). Classes outside every group are left out.

    The rest as in `DrawnProtocol`.
    """

    def __init__(
        self,
        *,
        normal: str | int | Sequence[str | int] | None = None,
        table: str = "official",
        repeat: int = 0,
        train_fraction: float = 1.0,
        validation: float = 0.0,
    ) -> None:
        super().__init__(normal=normal, repeat=repeat, train_fraction=train_fraction, validation=validation)
        self.table = table

    def classes(self, known: Annotations) -> tuple[str, ...]:
        """The names of the groups."""
        return tuple(self._groups(known))

    def labels(self, known: Annotations) -> np.ndarray:
        group_of = np.full(len(known.classes), -1, dtype=np.int64)
        for group, members in enumerate(self._groups(known).values()):
            group_of[list(members)] = group
        return group_of[known.labels]

    def _groups(self, known: Annotations) -> Mapping[str, tuple[int, ...]]:
        if self.table not in known.groupings:
            tables = f"it has {listed(list(known.groupings))}" if known.groupings else "it has none: take protocol=p2"
            raise NoveltyError(f"protocol.table is {self.table}, which is no grouping of this data set; {tables}.")
        return known.groupings[self.table]


class Attribute(OneVsAll):
    """P2 over one yes/no attribute: images without it against images with it (PIAD on CelebA).

    attribute: its name.
    normal:    "without <attribute>" (null means that) or "with <attribute>".

    Images of an attribute named `validation` (CelebA's official third part) are neither trained on nor tested. The rest
    as in `DrawnProtocol`.
    """

    one_of = False

    def __init__(
        self,
        *,
        attribute: str,
        normal: str | int | None = None,
        repeat: int = 0,
        train_fraction: float = 1.0,
        validation: float = 0.0,
    ) -> None:
        super().__init__(normal=normal, repeat=repeat, train_fraction=train_fraction, validation=validation)
        self.attribute = attribute

    def classes(self, known: Annotations) -> tuple[str, ...]:
        name = self._name(known)
        return f"without {name}", f"with {name}"

    def labels(self, known: Annotations) -> np.ndarray:
        has = known.attributes[self._name(known)].astype(np.int64)
        left_out = known.attributes.get(_THIRD_PART)
        return has if left_out is None else np.where(left_out, -1, has)

    def _name(self, known: Annotations) -> str:
        names = [name for name in known.attributes if name != _THIRD_PART]
        found = named(self.attribute, names)
        if found is None:
            offer = f"attributes are {', '.join(names)}" if names else "this data set has none: take protocol=p2"
            raise NoveltyError(f"protocol.attribute is {self.attribute}, which no image has; {offer}.")
        return found


_THIRD_PART = "validation"
