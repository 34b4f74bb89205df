"""VGG trunks: architecture, weight files good and bad, statistics."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.error import URLError

import pytest
import torch
from safetensors.torch import save_file

from novelty.errors import NoveltyError
from novelty.nn.backbones import (
    VGGTrunk,
    feature_statistics,
    load_statistics,
    load_trunk,
    normalise,
    save_statistics,
)


@pytest.fixture(scope="module")
def random16() -> VGGTrunk:
    return load_trunk("vgg16", "random")


def weights_of(trunk: VGGTrunk) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in trunk.named_parameters()}


def test_oracle_trunks_are_torchvisions() -> None:
    with torch.device("meta"):
        vgg19, vgg16 = load_trunk("vgg19", "imagenet"), load_trunk("vgg16", "imagenet")
    assert sum(p.numel() for p in vgg19.parameters()) == 5_865_536
    assert len(vgg19.features) == 23
    assert len(vgg16.features) == 21
    names = [f"features.{n}.weight" for n in (0, 2, 5, 7, 10, 12, 14, 16, 19, 21)]
    assert [name for name, _ in vgg19.named_parameters() if name.endswith("weight")] == names
    names = [f"features.{n}.weight" for n in (0, 2, 5, 7, 10, 12, 14, 17, 19)]
    assert [name for name, _ in vgg16.named_parameters() if name.endswith("weight")] == names


def test_responses(random16: VGGTrunk) -> None:
    images = torch.rand(2, 3, 16, 16)
    responses = random16(images)
    assert responses.shape == (2, 512, 2, 2)
    assert responses.min() >= 0
    grey = images[:, :1]
    torch.testing.assert_close(random16(grey), random16(grey.expand(-1, 3, -1, -1)))
    assert not responses.requires_grad  # neither images nor weights want a gradient


def test_random_weights_are_fixed_and_leave_the_random_numbers_alone(random16: VGGTrunk) -> None:
    before = torch.get_rng_state()
    again = load_trunk("vgg16", "random")
    assert torch.equal(before, torch.get_rng_state())
    for a, b in zip(random16.parameters(), again.parameters(), strict=True):
        assert torch.equal(a, b)


def test_trunk_stays_out_of_checkpoints_but_follows_moves(random16: VGGTrunk) -> None:
    assert not random16.state_dict()
    random16.load_state_dict({}, strict=True)
    moved = load_trunk("vgg16", "random").to(torch.float64, memory_format=torch.channels_last)
    assert {p.dtype for p in moved.parameters()} == {torch.float64}
    assert moved.features[2].weight.is_contiguous(memory_format=torch.channels_last)
    assert not any(p.requires_grad for p in moved.parameters())


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_local_files_load(random16: VGGTrunk, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"trunk{suffix}"
    state = {name: value.half() for name, value in weights_of(random16).items()}
    state["classifier.0.weight"] = torch.zeros(2, 2)  # torchvision's files hold the classifier, too
    save_file(state, path) if suffix == ".safetensors" else torch.save(state, path)
    loaded = load_trunk("vgg16", str(path))
    assert len(loaded.digest) == 64
    assert loaded.source == path.name
    for name, value in loaded.named_parameters():
        assert torch.equal(value, state[name].float())


def test_bad_files_are_refused_in_one_sentence(random16: VGGTrunk, tmp_path: Path) -> None:
    good = weights_of(random16)
    torch.save(good, tmp_path / "good.pth")
    whole = (tmp_path / "good.pth").read_bytes()
    (tmp_path / "cut.pth").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "empty.pth").write_bytes(b"")
    save_file(good, tmp_path / "good.safetensors")
    (tmp_path / "cut.safetensors").write_bytes((tmp_path / "good.safetensors").read_bytes()[:1000])
    torch.save({**good, "features.19.weight": torch.zeros(512, 511, 3, 3)}, tmp_path / "shape.pth")
    torch.save([1, 2], tmp_path / "list.pth")
    for name, message in (
        ("nowhere.pth", "does not exist"),
        ("cut.pth", "cannot be read"),
        ("empty.pth", "cannot be read"),
        ("cut.safetensors", "cannot be read"),
        ("shape.pth", r"features.19.weight is \(512, 511, 3, 3\)"),
        ("list.pth", "holds no state dict"),
    ):
        with pytest.raises(NoveltyError, match=message) as caught:
            load_trunk("vgg16", str(tmp_path / name))
        assert name in str(caught.value)
        assert "\n" not in str(caught.value)
    with pytest.raises(NoveltyError, match=r"does not fit vgg19: features.16.weight is missing"):
        load_trunk("vgg19", str(tmp_path / "good.pth"))


def test_download_fails_in_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))

    def offline(*_: object, **__: object) -> None:
        raise URLError("no route to host")

    monkeypatch.setattr(torch.hub, "download_url_to_file", offline)
    with pytest.raises(NoveltyError, match=r"could not be downloaded .* method.weights"):
        load_trunk("vgg19", "imagenet")
    (tmp_path / "checkpoints" / "vgg19-dcbb9e9d.pth").write_bytes(b"half a file")
    with pytest.raises(NoveltyError, match=r"broken or incomplete .* delete it"):
        load_trunk("vgg19", "imagenet")


def test_downloaded_weights_are_used(random16: VGGTrunk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    (tmp_path / "checkpoints").mkdir()
    torch.save(weights_of(random16), tmp_path / "checkpoints" / "vgg16-397923af.pth")
    trunk = load_trunk("vgg16", "imagenet")
    assert (trunk.digest, trunk.source) == ("397923af", "imagenet")
    assert torch.equal(trunk.features[0].weight, random16.features[0].weight)


def test_published_statistics_within_the_ranges_of_the_sheet() -> None:
    with torch.device("meta"):
        trunk = load_trunk("vgg19", "imagenet")
    mean, std, source = load_statistics("auto", trunk, "imagenet")
    assert mean.shape == std.shape == (512,)
    assert "PIAD authors" in source
    assert mean.mean().item() == pytest.approx(1.073, abs=1e-3)
    assert (mean.min().item(), mean.max().item()) == pytest.approx((0.322, 2.341), abs=1e-3)
    assert std.mean().item() == pytest.approx(3.323, abs=1e-3)
    assert (std.min().item(), std.max().item()) == pytest.approx((1.569, 5.826), abs=1e-3)


def test_statistics_of_a_trunk(random16: VGGTrunk, tmp_path: Path) -> None:
    images = torch.rand(7, 3, 16, 16)
    found = feature_statistics(random16, images.split(3))
    responses = random16(images).double()
    torch.testing.assert_close(found.mean, responses.mean((0, 2, 3)), atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(found.std, responses.std((0, 2, 3), correction=0), atol=1e-6, rtol=1e-5)
    assert found.source == "measured on 7 images"

    path = tmp_path / "stats.json"
    save_statistics(path, random16, found)
    loaded = load_statistics(str(path), random16, "random")
    torch.testing.assert_close(loaded.mean, found.mean.float())
    torch.testing.assert_close(loaded.std, found.std.float())
    with pytest.raises(NoveltyError, match="No image"):
        feature_statistics(random16, [])


def test_statistics_that_do_not_belong(random16: VGGTrunk, tmp_path: Path) -> None:
    with torch.device("meta"):
        vgg16 = load_trunk("vgg16", "imagenet")
    with pytest.raises(NoveltyError, match=r"python -m novelty.data stats backbone=vgg16 .*method.statistics=none"):
        load_statistics("auto", vgg16, "imagenet")
    zero, one, source = load_statistics("none", vgg16, "imagenet")
    assert not zero.any()
    assert (one == 1).all()
    assert "none" in source
    path = tmp_path / "stats.json"
    save_statistics(path, random16, feature_statistics(random16, [torch.rand(1, 3, 8, 8)]))
    with pytest.raises(NoveltyError, match="was measured on vgg16"):
        load_statistics(str(path), vgg16, "imagenet")
    content = json.loads(path.read_text())
    for broken in ("{", json.dumps({"mean": [1]}), json.dumps({**content, "std": "x"}), "[]"):
        path.write_text(broken)
        with pytest.raises(NoveltyError, match="cannot be used"):
            load_statistics(str(path), random16, "random")
    path.write_text(json.dumps({**content, "mean": [1.0], "std": [1.0]}))
    with pytest.raises(NoveltyError, match="was measured on"):
        load_statistics(str(path), random16, "random")
    with pytest.raises(NoveltyError, match="cannot be used"):
        load_statistics(str(tmp_path / "nowhere.json"), random16, "random")


def test_filters_that_never_vary_are_left_unscaled() -> None:
    features = torch.tensor([[[2.0, 4.0], [3.0, 3.0]]])
    out = normalise(features, torch.tensor([1.0, 3.0]), torch.tensor([2.0, 0.0]))
    torch.testing.assert_close(out, torch.tensor([[[0.5, 1.5], [0.0, 0.0]]]))
