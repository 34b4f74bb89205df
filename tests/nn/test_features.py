"""Pixel features: oracle 4 of the fact sheet "baselines_deterministic", section 1, and scikit-learn's PCA."""

from __future__ import annotations

import pytest
import torch
from sklearn.decomposition import PCA

from novelty.errors import NoveltyError
from novelty.nn.features import collect, fit_projection, project, rows_within, squared_distances

RECTANGLE = torch.tensor([[0.0, 0.0], [2.0, 0.0], [0.0, 4.0], [2.0, 4.0]])


def images(n: int, size: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.rand(n, size, generator=generator) * torch.linspace(0.1, 1, size)


def test_whitening_oracle() -> None:
    plain = fit_projection(RECTANGLE, "pca", 0.99)
    variances = project(RECTANGLE, *plain).var(0)
    torch.testing.assert_close(variances, torch.tensor([16 / 3, 4 / 3], dtype=torch.float64))
    white = project(torch.tensor([[1.0, 4.0]]), *fit_projection(RECTANGLE, "pca_whiten", 0.99))
    torch.testing.assert_close(white.abs(), torch.tensor([[0.866025, 0.0]], dtype=torch.float64), atol=1e-6, rtol=0)


@pytest.mark.parametrize(("n", "size"), [(60, 20), (20, 60)])
@pytest.mark.parametrize("kind", ["pca", "pca_whiten"])
@pytest.mark.parametrize("components", [None, 3])
def test_agrees_with_scikit_learn(n: int, size: int, kind: str, components: int | None) -> None:
    x, new = images(n + 5, size).split([n, 5])
    reference = PCA(components or 0.9, whiten=kind == "pca_whiten", svd_solver="full").fit(x.double().numpy())
    ours = project(new, *fit_projection(x, kind, 0.9, components))
    expected = torch.from_numpy(reference.transform(new.double().numpy()))
    torch.testing.assert_close(ours.abs(), expected.abs(), atol=1e-8, rtol=1e-8)  # axes have no sign


def test_no_more_components_than_directions() -> None:
    assert fit_projection(images(4, 20), "pca_whiten", components=16).axes.shape == (20, 3)
    with pytest.raises(NoveltyError, match="all alike"):
        fit_projection(torch.ones(5, 4), "pca")
    with pytest.raises(NoveltyError, match=r"variance is 1\.0"):
        fit_projection(images(5, 4), "pca", 1.0)


def test_raw_features_are_flat_pixels_in_float64() -> None:
    x = torch.rand(2, 3, 4, 4)
    assert torch.equal(project(x, None, None), x.flatten(1).double())


def test_squared_distances() -> None:
    x, y = images(5, 7).double(), images(9, 7).double()[5:]
    torch.testing.assert_close(squared_distances(x, y), torch.cdist(x, y).square())
    assert (squared_distances(x, x).diagonal() < 1e-12).all()
    assert torch.autograd.gradcheck(squared_distances, (x.requires_grad_(), y.requires_grad_()))


def test_collect_and_rows() -> None:
    with torch.inference_mode():
        batches = [torch.rand(2, 1, 2, 2), torch.rand(1, 1, 2, 2)]
    with torch.inference_mode(False):
        assert not collect(batches).is_inference()
        assert not collect(batches[:1]).is_inference()
    with pytest.raises(NoveltyError, match="no normal image"):
        collect([])
    assert rows_within(1024, 1) == 128
    assert rows_within(10**9, 1) == 1
