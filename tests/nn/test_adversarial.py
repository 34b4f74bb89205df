"""Critic losses against the oracles of the PIAD fact sheet (section 7), and gradients scaled on their way."""

from __future__ import annotations

import torch

from novelty.nn.adversarial import (
    drift,
    gradient_penalty,
    scale_gradient,
    wasserstein_loss,
)


def test_oracle_4_penalty_of_a_linear_critic() -> None:
    w = torch.tensor([3.0, 4.0], requires_grad=True)
    penalty = 10 * gradient_penalty(lambda x: x @ w, torch.randn(5, 2), torch.randn(5, 2))
    torch.testing.assert_close(penalty, torch.tensor(160.0))
    (slope,) = torch.autograd.grad(penalty, w)
    torch.testing.assert_close(slope, 10 * 2 * 4 * torch.tensor([0.6, 0.8]))


def test_oracle_4_penalty_of_a_constant_critic_has_a_finite_gradient() -> None:
    w = torch.zeros(3, requires_grad=True)
    penalty = 10 * gradient_penalty(lambda x: (x * w).sum(1) + 7, torch.randn(4, 3), torch.randn(4, 3))
    torch.testing.assert_close(penalty, torch.tensor(10.0))
    (slope,) = torch.autograd.grad(penalty, w)
    assert slope.isfinite().all()


def test_penalty_takes_the_gradient_of_the_summed_output() -> None:
    # A critic that couples the samples: D(x)_i = mean of the batch; each sample moves the sum by 1 in all.
    penalty = gradient_penalty(lambda x: x.mean().expand(4) * 3, torch.randn(4, 1), torch.randn(4, 1))
    torch.testing.assert_close(penalty, torch.tensor(4.0))


def test_penalty_points_lie_between_real_and_fake() -> None:
    seen = []
    gradient_penalty(lambda x: (seen.append(x.detach()), x.sum(1))[1], torch.ones(50, 3), torch.zeros(50, 3))
    assert seen[0].min() >= 0
    assert seen[0].max() <= 1
    torch.testing.assert_close(seen[0][:, 0], seen[0][:, 2])  # one number per sample
    assert seen[0][:, 0].std() > 0.1


def test_oracle_5_critic_loss_and_drift() -> None:
    real, fake = torch.tensor([1.0, 3.0]), torch.tensor([0.0, 2.0])
    assert wasserstein_loss(real, fake).item() == -1
    torch.testing.assert_close(0.001 * drift(real, fake, "both"), torch.tensor(0.007))
    torch.testing.assert_close(0.001 * drift(real, fake, "real"), torch.tensor(0.005))


def test_scaled_gradient() -> None:
    x = torch.randn(3, requires_grad=True)
    y = scale_gradient(x, torch.tensor(2.5))
    torch.testing.assert_close(y, x)
    torch.testing.assert_close(torch.autograd.grad(y.sum(), x)[0], torch.full((3,), 2.5))


def test_penalty_does_not_depend_on_its_scale() -> None:
    w = torch.tensor([3.0, 4.0])
    penalty = gradient_penalty(lambda x: x @ w, torch.randn(5, 2), torch.randn(5, 2), scale=128.0)
    torch.testing.assert_close(penalty, torch.tensor(16.0))
