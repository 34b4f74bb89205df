"""CSI: its training, alone and shared by two processes, and its scores."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.multiprocessing as mp
from small_csi import SIDE, csi, images, train
from torch import Tensor, distributed

from novelty.errors import NoveltyError
from novelty.info import DataInfo
from novelty.methods.csi import CSI
from novelty.methods.csi.bank import Bank
from novelty.nn.processes import average_over_processes


def calibrated(**options: Any) -> CSI:
    method = csi(**options)
    with torch.no_grad():  # some statistics of batches
        method.extractor.train()(images(8))
    method.eval().calibrate(iter(images(6).split(4)))
    return method


def scores(method: CSI, x: Tensor) -> dict[str, Tensor]:
    with torch.inference_mode():
        return {name: found.image for name, found in method.score(x).items()}


# --- training -------------------------------------------------------------------------------------------------------


def test_a_batch_has_two_views_of_every_rotation() -> None:
    method = csi(crop=(1.0, 1.0), flip=0.0, jittered=0.0, grey=0.0)
    x = images(2)
    views, turns = method._views(x)
    assert views.shape == (16, 3, SIDE, SIDE)
    expected = torch.cat([torch.rot90(x, k, (2, 3)) for k in range(4)]).repeat(2, 1, 1, 1)
    torch.testing.assert_close(views, expected)
    assert turns.tolist() == [0, 0, 1, 1, 2, 2, 3, 3] * 2


def test_views_differ() -> None:
    views, _ = csi()._views(images(1).expand(2, -1, -1, -1))
    assert len({tuple(view.flatten().tolist()) for view in views}) == 16


def test_the_union_of_two_batches_has_its_own_order() -> None:
    """Partners are half of all samples apart, whatever the number of batches."""
    method = csi(crop=(1.0, 1.0), flip=0.0, jittered=0.0, grey=0.0).eval()
    x = images(4)
    together = [loss.item() for loss in method.csi_loss(x)]
    apart = [loss.item() for loss in method.csi_loss(x[:1], x[1:])]
    assert apart == pytest.approx(together, rel=1e-5)


@pytest.mark.parametrize("optimizer", ["lars", "adam"])
def test_it_learns(optimizer: str) -> None:
    method = csi(optimizer=optimizer, learning_rate={"lars": 3.0, "adam": 3e-3}[optimizer], width=8)
    steps = train(method, [images(6)] * 24)
    totals = [step["loss/contrast"] + step["loss/rotation"] for step in steps]
    assert sum(totals[-5:]) < 0.98 * sum(totals[:5])
    assert method.iteration == 24


def test_the_rate_follows_the_epoch() -> None:
    method = csi()
    optimizer = method.configure_optimizers()
    method._trainer = type("T", (), {"num_training_batches": 4})()  # type: ignore[assignment]
    rates = []
    for method.iteration in (0, 20, 40):
        method._set_rate(optimizer)
        rates.append(optimizer.param_groups[0]["lr"])
    assert rates == pytest.approx([0.1, 0.55, 1.0])


def test_checkpointing_gives_the_same_training() -> None:
    states = []
    for checkpoint in (False, True):
        method = csi(checkpoint=checkpoint)
        train(method, [images(4), images(4, seed=3)])
        states.append(method.extractor.state_dict())
    for name, value in states[0].items():
        torch.testing.assert_close(states[1][name], value, rtol=1e-4, atol=1e-6)


# --- two processes --------------------------------------------------------------------------------------------------


def _gradients(method: CSI, x: Tensor) -> tuple[list[Tensor], list[Tensor]]:
    """Losses and gradients of F by L_CSI of two mini-batches of x, and its running statistics afterwards."""
    torch.manual_seed(5)
    method.train()
    losses = method.csi_loss(x, 1 - x)
    gradients = torch.autograd.grad(sum(losses), list(method.extractor.parameters()))
    found = [loss.detach() for loss in losses] + list(gradients)
    average_over_processes(found)
    return found, [buffer.clone() for buffer in method.extractor.buffers()]


def _work(rank: int, folder: str) -> None:
    distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    torch.set_num_threads(1)
    torch.save(_gradients(csi(), images(6)[3 * rank : 3 * rank + 3]), f"{folder}/{rank}.pt")
    distributed.destroy_process_group()


def test_two_processes_have_the_loss_and_the_gradients_of_one(tmp_path: Path) -> None:
    context: Any = mp.start_processes(_work, (str(tmp_path),), nprocs=2, start_method="fork", join=False)
    while not context.join():
        pass
    expected = _gradients(csi(), images(6))
    assert sum(float(g.abs().sum()) for g in expected[0][2:]) > 0
    for rank in (0, 1):
        found = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        torch.testing.assert_close(found[0], expected[0], rtol=1e-3, atol=2e-5)
        torch.testing.assert_close(found[1], expected[1])


# --- scoring --------------------------------------------------------------------------------------------------------


def test_scores_are_what_the_sheet_says() -> None:
    method = calibrated(samples=1)
    x, normal = images(3, seed=8), images(6)

    def seen(batch: Tensor) -> tuple[Tensor, Tensor]:
        found = [method.extractor(torch.rot90(batch, k, (2, 3))) for k in range(4)]
        logits = torch.stack([one.logits[:, k] for k, one in enumerate(found)], 1)
        return torch.stack([one.projections for one in found], 1), logits

    with torch.no_grad():
        (features, logits), (bank, bank_logits) = seen(x), seen(normal)
        length = features.norm(dim=2)
        cosines = torch.einsum("bsd,nsd->bns", features / length[:, :, None], bank / bank.norm(dim=2, keepdim=True))
    similar = cosines * length[:, None]
    found = scores(method, x)
    torch.testing.assert_close(-found["joint"], similar.sum(2).amax(1))
    terms = similar.amax(1) / bank.norm(dim=2).mean(0) + logits / bank_logits.mean(0)
    torch.testing.assert_close(-found["csi"], terms.mean(1), rtol=1e-4, atol=1e-5)


def test_ensembled_features_are_means_over_draws_before_anything_else() -> None:
    method = calibrated(samples=3)
    x = images(2, seed=8)
    draws = method._draws()
    assert draws.shape[:2] == (3, 4)
    assert len({tuple(row.tolist()) for row in draws.flatten(0, 1)}) == 12
    with torch.no_grad():
        features, logits = method._project_ensembled(x)
        means = []
        for k in range(4):
            views = [method.score_transform(x, draws[r, k].expand(2, -1), torch.full((2,), k)) for r in range(3)]
            means.append([torch.stack(parts).mean(0) for parts in zip(*map(method.extractor, views), strict=True)])
    torch.testing.assert_close(features, torch.stack([mean[0] for mean in means], 1), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(logits, torch.stack([mean[1][:, k] for k, mean in enumerate(means)], 1))
    assert method.score_transform.scale == (0.54, 0.54)


def test_scores_depend_neither_on_the_batch_nor_on_its_order_nor_on_the_random_state() -> None:
    method = calibrated()
    x = images(7, seed=4)
    together = scores(method, x)
    torch.manual_seed(99)
    alone = [scores(method, one) for one in x.split(1)]
    backwards = scores(method, x.flip(0))
    assert set(together) == {"csi", "csi_ensembled", "joint", "joint_ensembled"}
    for name, values in together.items():
        assert values.std() > 0
        torch.testing.assert_close(torch.cat([one[name] for one in alone]), values, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(backwards[name].flip(0), values, rtol=1e-5, atol=1e-5)


def test_memory_is_bounded_and_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    method = calibrated()
    x = images(5, seed=4)
    expected = scores(method, x)
    seen: list[int] = []
    method.extractor.register_forward_pre_hook(lambda module, inputs: seen.append(len(inputs[0])))
    monkeypatch.setattr("novelty.methods.csi._PIXELS", 3 * SIDE * SIDE)
    monkeypatch.setattr("novelty.methods.csi.bank._BYTES", 1)
    found = scores(method, x)
    assert max(seen) == 3
    for name, values in expected.items():
        torch.testing.assert_close(found[name], values, rtol=1e-5, atol=1e-6)


def test_normal_images_are_their_own_neighbours() -> None:
    method = calibrated()
    normal = scores(method, images(6))["joint"]
    with torch.no_grad():
        features, _ = method._project(images(6))
    torch.testing.assert_close(-normal, features.norm(dim=2).sum(1))


def test_another_seed_draws_other_crops() -> None:
    method = calibrated()
    other = copy.deepcopy(method)
    other.seed = 1
    assert not torch.equal(method._draws(), other._draws())


def test_weights_of_a_network_that_knows_nothing_stay_finite() -> None:
    bank = Bank(2, 3)
    bank.fill(torch.zeros(2, 4, 3), torch.zeros(2, 4))
    assert all(value.isfinite().all() for value in bank(torch.randn(2, 4, 3), torch.randn(2, 4)).values())


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"width": 0}, "method.width is 0"),
        ({"samples": 0}, "method.samples is 0"),
        ({"grey": 1.5}, "method.grey is 1.5: a probability"),
        ({"crop": (0.0, 1.0)}, r"method.crop is \[0.0, 1.0\]"),
        ({"jitter": (0.4, 0.4)}, "method.jitter is"),
    ],
)
def test_what_makes_no_sense_is_one_sentence(options: dict[str, Any], words: str) -> None:
    with pytest.raises(NoveltyError, match=words):
        csi(**options)


@pytest.mark.parametrize(("network", "side", "good"), [("auto", 4, 8), ("imagenet", 16, 32)])
def test_images_that_are_too_small_say_what_works(network: Any, side: int, good: int) -> None:
    with pytest.raises(NoveltyError, match=f"data.image_size to {good}"):
        CSI(DataInfo(3, side, 6), network=network)
    CSI(DataInfo(1, good, 6), network=network, width=4)
