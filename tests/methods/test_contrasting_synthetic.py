"""Contrasting Synthetic Images: Algorithm 1, its stages, what the autoencoder makes, and FID."""

from __future__ import annotations

import copy
import math
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.multiprocessing as mp
from small_csi import SIDE, images, joint, train
from torch import Tensor, distributed, nn

from novelty.errors import NoveltyError
from novelty.info import DataInfo
from novelty.methods.contrasting_synthetic import ContrastingSynthetic, _size_for
from novelty.methods.contrasting_synthetic.fid import InceptionFeatures, fid

NETWORKS = ("extractor", "generator", "encoder", "discriminator", "code_discriminator")


def weights(method: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in method.named_parameters()}


def moved(method: ContrastingSynthetic, before: dict[str, Tensor]) -> set[str]:
    """The networks of which some weight changed."""
    return {name.split(".")[0] for name, value in method.named_parameters() if not torch.equal(value, before[name])}


# --- training -------------------------------------------------------------------------------------------------------


def test_every_few_steps_the_others_learn() -> None:
    method = joint(joint_every=3)
    steps = train(method, [images()] * 4)
    rounds = ["loss/joint" in step for step in steps]
    assert rounds == [True, False, False, True]
    assert set(steps[0]) == {
        f"loss/{name}"
        for name in (
            "contrast", "rotation", "discriminator", "adversarial", "synthetic", "code_discriminator",
            "code_adversarial", "reconstruction", "latent", "joint",
        )
    }  # fmt: skip
    assert all(math.isfinite(value) for step in steps for value in step.values())
    before = weights(method)
    method.iteration = 1
    method.training_step(images(), 0)
    assert moved(method, before) == {"extractor"}
    method.iteration = 3
    method.training_step(images(), 0)
    assert moved(method, before) == set(NETWORKS)


def test_every_sub_step_moves_its_own_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the order of Algorithm 1, and with F's statistics standing still but for its own steps."""
    method = joint()
    train(method, [images()])
    learn = type(method).learn
    seen: list[tuple[set[str], bool]] = []
    statistics = {name: value.clone() for name, value in method.extractor.named_buffers()}

    def watch(self: ContrastingSynthetic, optimizer: Any, loss: Tensor) -> None:
        before = weights(self)
        learn(self, optimizer, loss)
        still = all(torch.equal(value, statistics[name]) for name, value in self.extractor.named_buffers())
        seen.append((moved(self, before), still))
        statistics.update({name: value.clone() for name, value in self.extractor.named_buffers()})

    monkeypatch.setattr(type(method), "learn", watch)
    method.iteration = 0
    method.training_step(images(), 0)
    f, g, e, d, c = NETWORKS
    expected = [{f}, {d}, {g, e}, {g}, {c}, {e}, {g, e}, {e}, {f}]
    assert [networks for networks, _ in seen] == expected
    assert all(still for networks, still in seen if networks != {f})
    assert not any(still for networks, still in seen if networks == {f})


def test_the_extractors_statistics_come_from_its_own_steps_alone() -> None:
    one, other = joint(), joint(learning_rate=1e-30, generator_rate=1e-30)
    counts = []
    for method in (one, other):
        train(method, [images()])
        counts.append(int(method.extractor.trunk.bn1.num_batches_tracked))
    assert counts == [2, 2]  # L_CSI and L_JOINT


@pytest.mark.parametrize(
    ("stage", "networks"),
    [
        ("csi", {"extractor"}),
        ("generator", {"extractor", "generator", "discriminator"}),
        ("full", set(NETWORKS)),
    ],
)
def test_stages_of_the_ablation(stage: Any, networks: set[str]) -> None:
    method = joint(stage=stage)
    assert {name for name, child in method.named_children() if list(child.parameters())} == networks
    steps = train(method, [images()])
    if stage != "full":
        assert not {"loss/reconstruction", "loss/latent", "loss/code_discriminator"} & set(steps[0])
    assert ("loss/joint" in steps[0]) == (stage != "csi")
    method.eval()
    shown = method.pictures(images())
    assert set(shown) == {"csi": set(), "generator": {"synthetic"}, "full": {"reconstruction", "synthetic"}}[stage]


def test_discriminators_tell_and_the_autoencoder_rebuilds() -> None:
    method = joint(generator_rate=4e-3, generator_width=16, joint_every=1)
    steps = train(method, [images(4)] * 12)
    losses = [step["loss/reconstruction"] for step in steps]
    assert sum(losses[-3:]) < 0.7 * sum(losses[:3])
    assert all(math.isfinite(value) for step in steps for value in step.values())


def test_it_resumes_by_its_state() -> None:
    whole = joint()
    train(whole, [images()] * 3)
    again = joint()
    again.load_state_dict(copy.deepcopy(whole.state_dict()))
    assert again.iteration == 3


def _trained(batches: list[Tensor]) -> tuple[list[dict[str, float]], dict[str, Tensor]]:
    """Plain gradient descent: Adam's first steps follow the sign of rounding errors."""
    method = joint(joint_every=1)
    logged = train(method, batches, plain=1e-4)
    return logged, {name: value for name, value in method.state_dict().items() if isinstance(value, Tensor)}


def _work(rank: int, folder: str) -> None:
    distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    torch.set_num_threads(1)
    torch.save(_trained([images(4, seed=s)[2 * rank : 2 * rank + 2] for s in (1, 2)]), f"{folder}/{rank}.pt")
    distributed.destroy_process_group()


def test_two_processes_train_as_one(tmp_path: Path) -> None:
    context: Any = mp.start_processes(_work, (str(tmp_path),), nprocs=2, start_method="fork", join=False)
    while not context.join():
        pass
    logged, state = _trained([images(4, seed=s) for s in (1, 2)])
    for rank in (0, 1):
        other, found = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        for a, b in zip(logged, other, strict=True):
            assert b == pytest.approx(a, rel=1e-4, abs=1e-4)
        for name, value in state.items():
            torch.testing.assert_close(found[name], value, rtol=1e-4, atol=1e-5)


# --- sizes ----------------------------------------------------------------------------------------------------------


def test_sizes_of_generated_images() -> None:
    assert [_size_for(side) for side in (8, 16, 28, 32, 64, 96, 128, 224)] == [8, 16, 32, 32, 64, 64, 64, 64]
    with pytest.raises(NoveltyError, match="halves an image down to 4 pixels, which 48 pixels do not allow"):
        joint(generator_size=48)


def test_a_generator_of_another_size_than_the_data() -> None:
    torch.manual_seed(0)
    options: dict[str, Any] = {"width": 4, "generator_width": 8, "generator_size": 8, "batch_size": 4, "samples": 1}
    method = ContrastingSynthetic(DataInfo(3, 24, 6), network="cifar", **options)
    steps = train(method, [images(4, side=24)])
    assert all(math.isfinite(value) for value in steps[0].values())
    shown = method.eval().pictures(images(3, side=24))
    assert all(picture.shape == (3, 3, 24, 24) for picture in shown.values())


@pytest.mark.parametrize("options", [{"generator_family": "cnn"}, {"optimizer": "lars"}, {"checkpoint": True}])
def test_every_choice_trains(options: dict[str, Any]) -> None:
    steps = train(joint(**options), [images()] * 2)
    assert all(math.isfinite(value) for step in steps for value in step.values())


# --- what it makes --------------------------------------------------------------------------------------------------


def test_pictures_are_images_and_repeat() -> None:
    method = joint()
    train(method, [images()])
    method.eval()
    x = images(3, seed=5)
    with torch.no_grad():
        first = method.pictures(x)
        torch.manual_seed(77)
        second = method.pictures(x)
        torch.testing.assert_close(first["reconstruction"], method.reconstruct(x))
    for name, shown in first.items():
        assert shown.shape == (3, 3, SIDE, SIDE)
        assert shown.min() >= 0
        assert shown.max() <= 1
        assert torch.equal(shown, second[name])
    assert first["synthetic"].std(0).sum() > 0


class Moments(nn.Module):
    """Three numbers of an image in place of an Inception network."""

    num_features = 3

    def forward(self, x: Tensor) -> Tensor:
        return x.mean((2, 3))


def test_fid_of_gaussians() -> None:
    torch.manual_seed(0)
    real, fake = torch.randn(400, 3), torch.randn(400, 3) * 2 + 1
    found = fid([real.view(-1, 3, 1, 1)], fake.view(-1, 3, 1, 1).split(150), Moments(), torch.device("cpu"))
    expected = (real.mean(0) - fake.mean(0)).square().sum().double()
    a, b = (torch.cov(x.T.double()) for x in (real, fake))
    expected += (a + b).trace() - 2 * torch.linalg.eigvals(a @ b).sqrt().real.sum()
    assert found == pytest.approx(expected.item(), rel=1e-4)


@pytest.fixture(scope="module")
def inception(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file like torchvision's, of one number in each tensor."""
    from torchvision.models import inception_v3

    with torch.device("meta"):
        network = inception_v3(weights=None, init_weights=False)
    state = {
        name: torch.full((), 0.01 if value.dim() > 1 else 1.0).expand(value.shape)
        for name, value in network.state_dict().items()
    }
    path = tmp_path_factory.mktemp("weights") / "inception.pth"
    torch.save(state, path)  # a number a tensor: expanded views are saved as what they view
    return path


def test_fid_is_measured_with_a_file_and_not_without(inception: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert joint().measure([images()]) == {}
    assert joint(stage="csi", fid_weights=str(inception)).measure([images()]) == {}
    method = joint(fid_weights=str(inception)).eval()
    with torch.no_grad():
        features = InceptionFeatures(str(inception))(images(2))
    assert features.shape == (2, 2048)
    monkeypatch.setattr("novelty.methods.contrasting_synthetic.InceptionFeatures", lambda weights: Moments())
    found = method.measure(iter([images(3), images(3, seed=4)]))
    assert list(found) == ["fid"]
    assert found["fid"] > 0
    assert found == method.measure(iter([images(3), images(3, seed=4)]))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "does not exist: give a state dict of torchvision's inception_v3"),
        (b"no weights at all", "cannot be read as a file of weights"),
        ({"conv.weight": torch.zeros(3)}, r"has no .* of shape .*: give a state dict"),
    ],
)
def test_a_wrong_file_is_one_sentence_before_training(content: Any, words: str, tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        torch.save(content, path)
    with pytest.raises(NoveltyError, match=words):
        joint(fid_weights=str(path))


def test_weights_of_another_network_are_refused(inception: Path, tmp_path: Path) -> None:
    state = torch.load(inception, weights_only=True)
    torch.save(state | {"extra.weight": torch.zeros(1)}, tmp_path / "more.pth")
    with pytest.raises(NoveltyError, match=r"holds extra\.weight, which Inception v3 has not"):
        joint(fid_weights=str(tmp_path / "more.pth"))


def test_numbers_that_make_no_sense() -> None:
    with pytest.raises(NoveltyError, match=r"method\.joint_every is 0: it must be at least 1"):
        joint(joint_every=0)
