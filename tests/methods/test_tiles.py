"""Images larger than those of the training: tiles side by side, scored in batches, put together where they were."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from novelty.errors import NoveltyError
from novelty.info import DataInfo, Schedule
from novelty.methods.base import Method
from novelty.methods.tiles import by_tiles
from novelty.scores import Scores


class Squares(Method):
    """The square of every pixel as map, their sum as score, and the largest without a map; remembers what it saw."""

    primary = "sum"

    def __init__(self, side: int) -> None:
        super().__init__(DataInfo(1, side, 10), Schedule(batch_size=1, epochs=1))
        self.seen: list[Tensor] = []

    def score(self, images: Tensor) -> dict[str, Scores]:
        self.seen.append(images)
        squares = images.square().sum(1, keepdim=True)
        return {"sum": Scores(squares.sum((1, 2, 3)), squares), "max": Scores(images.amax((1, 2, 3)))}


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("across", [2, 4])
def test_maps_are_put_together_and_scores_averaged(across: int, channels: int) -> None:
    images = torch.rand(5, channels, 4 * across, 4 * across)
    method = Squares(4)
    scores = method.test_step((images, torch.arange(5)), 0)
    squares = images.square().sum(1, keepdim=True)
    assert torch.equal(scores["sum"].map, squares)
    torch.testing.assert_close(scores["sum"].image, squares.sum((1, 2, 3)) / across**2)
    tiles = images.unfold(2, 4, 4).unfold(3, 4, 4).permute(0, 2, 3, 1, 4, 5).flatten(1, 2)
    torch.testing.assert_close(scores["max"].image, tiles.amax((2, 3, 4)).mean(1))
    assert scores["max"].map is None
    assert len(method.seen) == across**2
    assert all(seen.shape == (5, channels, 4, 4) for seen in method.seen)


def test_images_of_the_training_size_are_scored_as_they_are() -> None:
    images, method = torch.rand(3, 1, 8, 8), Squares(8)
    scores = method.test_step((images, torch.arange(3)), 0)
    assert len(method.seen) == 1
    assert method.seen[0] is images
    assert torch.equal(scores["sum"].map, images.square())


def test_an_image_is_scored_alike_whatever_shares_its_batch() -> None:
    images, method = torch.rand(3, 1, 8, 8), Squares(4)
    together = method.test_step((images, torch.arange(3)), 0)["sum"]
    alone = [method.test_step((image[None], torch.arange(1)), 0)["sum"] for image in images]
    assert torch.equal(torch.cat([one.image for one in alone]), together.image)
    assert torch.equal(torch.cat([one.map for one in alone]), together.map)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_tiles_have_the_layout_of_the_images(layout: torch.memory_format) -> None:
    method = Squares(4)
    by_tiles(method.score, torch.rand(2, 3, 8, 8).contiguous(memory_format=layout), 4)
    assert all(seen.is_contiguous(memory_format=layout) for seen in method.seen)


@pytest.mark.parametrize("side", [3, 16])
def test_what_cannot_be_cut_into_tiles_is_one_sentence(side: int) -> None:
    with pytest.raises(NoveltyError, match=rf"8 px cannot be cut into tiles of {side} px.*data\.image_size"):
        Squares(side).test_step((torch.rand(1, 1, 8, 8), torch.arange(1)), 0)
