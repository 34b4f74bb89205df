"""Gradient-normalising weights: how much reconstruction counts beside the adversarial loss (PIAD 3.3, Alg. 2-3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

Reduce = Literal["mean", "median"]
Cut = Literal["paper", "repo"]


def smooth(history: Tensor, alpha: float) -> Tensor:
    """Exponential smoothing along the first axis: s_0 = h_0, s_t = alpha h_t + (1 - alpha) s_(t-1).

    (2, 4, 8) with alpha 0.05 gives (2, 2.1, 2.395).
    """
    rows = [history[0]]
    for row in history[1:]:
        rows.append(alpha * row + (1 - alpha) * rows[-1])
    return torch.stack(rows)


def relative_weight(
    adversarial: Tensor,
    reconstruction: Tensor,
    alpha: float = 0.05,
    last: int = 200,
    reduce: Reduce = "mean",
    cut: Cut = "paper",
) -> float:
    """gamma of one network (Alg. 3): smoothed gradient norms of the adversarial over those of the reconstruction loss.

    adversarial, reconstruction: (updates, layers) float64 histories of norms.  last: entries that count.
    cut: to the last entries after smoothing all (paper) or before (repo).  reduce: mean over entries, then over layers
    (paper), or the median of all ratios (repo; of two in the middle, their mean). Constant 6 over constant 2 is 3.
    """
    if cut == "repo":
        adversarial, reconstruction = adversarial[-last:], reconstruction[-last:]
    ratios = (smooth(adversarial, alpha) / smooth(reconstruction, alpha))[-last:]
    return float(ratios.quantile(0.5) if reduce == "median" else ratios.mean())


class GradientWeight(nn.Module):
    """gamma of one network, and the histories that it follows from; both survive checkpoints exactly.

    gamma: scalar float32 buffer, on the device, so that reading it needs no wait.
    """

    gamma: Tensor

    def __init__(self, gamma: float, alpha: float, last: int, reduce: Reduce, cut: Cut) -> None:
        super().__init__()
        self.rule: dict[str, Any] = {"alpha": alpha, "last": last, "reduce": reduce, "cut": cut}
        self.register_buffer("gamma", torch.tensor(gamma))
        self.history = torch.zeros(0, 2, 0, dtype=torch.float64, device="cpu")

    def update(self, adversarial: Sequence[Tensor], reconstruction: Sequence[Tensor]) -> None:
        """One entry more: gradients of both losses by each weight tensor, in a fixed order. Waits for the device."""
        norms = torch.stack([torch.linalg.vector_norm(g.float()) for g in (*adversarial, *reconstruction)])
        entry = norms.double().cpu().view(1, 2, -1)
        self.history = entry if not len(self.history) else torch.cat([self.history, entry])
        self.gamma.fill_(relative_weight(self.history[:, 0], self.history[:, 1], **self.rule))

    def get_extra_state(self) -> dict[str, Tensor]:
        return {"history": self.history}

    def set_extra_state(self, state: dict[str, Tensor]) -> None:
        self.history = state["history"].cpu()
