"""Losses of the adversarial autoencoder (eq. 7-10), in the direction in which they are minimised.

The paper's Algorithm 1 minimises over D and maximises over G and E what eq. 7 and 9 write as log-likelihoods, which has
the sign the wrong way round; here discriminators minimise cross entropy, the others the non-saturating loss [decision].
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def discriminator_loss(real: Tensor, *fakes: Tensor) -> Tensor:
    """-log D(real) - log(1 - D(fake)) for every kind of fake, means over logits (B,). Zeros, two kinds: 3 ln 2."""
    loss = F.softplus(-real).mean()
    for fake in fakes:
        loss = loss + F.softplus(fake).mean()
    return loss


def fooling_loss(*fakes: Tensor) -> Tensor:
    """-log D(fake) for every kind of fake, means over logits (B,). Zeros, two kinds: 2 ln 2."""
    return torch.stack([F.softplus(-fake).mean() for fake in fakes]).sum()


def reconstruction_loss(
    image: Tensor, rebuilt: Tensor, projection: Tensor, rebuilt_projection: Tensor, weight: float = 100.0
) -> Tensor:
    """L_REC (eq. 8): weight * mean |x - x^|^2 - mean cosine of the projections of transformed x and x^.

    image, rebuilt: (B, C, S, S) in [0, 1].  projections: (B, d). The mean over elements is a decision: a sum would
    leave nothing of the cosine. x = 0.5, x^ = 0.6 everywhere, cosine 1: 100 * 0.01 - 1 = 0.
    """
    cosine = F.cosine_similarity(projection.float(), rebuilt_projection.float(), dim=1)
    return weight * F.mse_loss(rebuilt.float(), image) - cosine.mean()


def latent_reconstruction_loss(codes: Tensor, found: Tensor) -> Tensor:
    """L_LREC (eq. 10): mean |E(G(h)) - h|^2 over all elements of (B, 128)."""
    return F.mse_loss(found.float(), codes)
