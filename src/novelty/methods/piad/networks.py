"""The four networks of PIAD (Tuluptceva et al. 2019, supplement, Tables 1-4), and those of the authors' repository."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, NamedTuple

from torch import Tensor, nn

from novelty.errors import NoveltyError
from novelty.nn.blocks import (
    SLOPE,
    BlockDown,
    BlockUp,
    CodeToMap,
    PreActBlock,
    ResidualBlock,
    conv3x3,
    init_convolutions,
    init_dense,
    minibatch_stdev,
)

NetworkSet = Literal["auto", "mnist", "cifar10", "lsun", "celeba"]
Variant = Literal["paper", "repo"]


@dataclass(frozen=True)
class Plan:
    """One table of the supplement.

    code:      channels and side of a code.
    generator: channels at 4 pixels and after each doubling.
    encoder:   channels at full size and after each halving; the image critic's in ``critic``.
    dense:     width of the two hidden layers of the code critic.
    extra:     the fourth row of the image critic (Table 1 alone; a Pre-act Block by decision A1 of the fact sheet).
    """

    code: tuple[int, int]
    generator: tuple[int, ...]
    encoder: tuple[int, ...]
    critic: tuple[int, ...]
    dense: int
    extra: bool = False


PLANS = {
    "mnist": Plan((32, 1), (32,) * 4, (32,) * 4, (32,) * 4, 128, extra=True),
    "cifar10": Plan((256, 1), (256, 256, 128, 64), (64, 64, 128, 256), (32, 32, 64, 128), 1024),
    "lsun": Plan((32, 4), (64,) * 5, (64,) * 5, (64,) * 5, 2048),
    "celeba": Plan((64, 1), (64,) * 5, (64,) * 5, (64,) * 5, 256),
}
REPO = Plan((256, 1), (256, 256, 128, 64), (64, 128, 256, 256), (32, 64, 128, 128), 1024)
"""``residual9`` of ninatu/anomaly_detection (its CIFAR-10 configuration)."""


class Critic(nn.Module):
    """How real samples look: (B, ...) -> (B,). ``parts``: equal parts of the batch, judged without one another."""

    def __init__(self, body: nn.Module, head: nn.Module, stdev: bool) -> None:
        super().__init__()
        self.body = body
        self.head = head
        self.stdev = stdev

    def forward(self, x: Tensor, parts: int = 1) -> Tensor:
        h = self.body(x)
        return self.head(minibatch_stdev(h, parts) if self.stdev else h).flatten()


class Networks(NamedTuple):
    """generator: codes (B, *code) -> images (B, C, S, S), linear output.  encoder: back.  Two critics: -> (B,)."""

    generator: nn.Sequential
    encoder: nn.Sequential
    image_critic: Critic
    code_critic: Critic
    code: tuple[int, int, int]


def build_networks(
    channels: int,
    image_size: int,
    networks: NetworkSet = "auto",
    variant: Variant = "paper",
    dx_extra_block: bool = True,
) -> Networks:
    """The networks of one table for images (B, channels, image_size, image_size).

    ``auto``: Table 1 (mnist) for grey and Table 2 (cifar10) for colour images up to 32 pixels, Table 4 (celeba) above.
    The tables are for 32, 32, 64 and 64 pixels; for another power of two levels are left out, or the outermost is
    repeated, at the image end [decision: the paper has no other size]. NoveltyError for sizes that are none.
    """
    if variant == "repo":
        if networks not in ("auto", "cifar10"):
            raise NoveltyError(f"variant=repo knows networks=cifar10 only, not {networks}: choose variant=paper.")
        plan = REPO
    elif networks == "auto":
        plan = PLANS["celeba" if image_size > 32 else "mnist" if channels == 1 else "cifar10"]
    else:
        plan = PLANS[networks]
    levels = image_size.bit_length() - 3
    if image_size < 4 or image_size != 4 << levels:
        raise NoveltyError(
            f"PIAD's networks halve an image down to 4 pixels, which {image_size} pixels do not allow: "
            "set data.image_size to 32 (as the paper does for MNIST and CIFAR-10), 64, or another power of two."
        )
    extra = plan.extra and dx_extra_block
    built = Networks(
        _generator(channels, plan, levels, variant),
        _encoder(channels, plan, levels, variant),
        _image_critic(channels, plan, levels, variant, extra),
        _code_critic(plan),
        (plan.code[0], plan.code[1], plan.code[1]),
    )
    for network in built[:3]:
        init_convolutions(network)
    init_dense(built.code_critic)
    return built


def _fit(widths: tuple[int, ...], levels: int) -> tuple[int, ...]:
    """``widths`` from the image to 4 pixels, with as many as ``levels`` halvings need."""
    return (widths[0],) * (levels + 1 - len(widths)) + widths[-(levels + 1) :]


def _pairs(widths: tuple[int, ...]) -> list[tuple[int, int]]:
    return list(pairwise(widths))


def _generator(channels: int, plan: Plan, levels: int, variant: Variant) -> nn.Sequential:
    widths = _fit(plan.generator[::-1], levels)[::-1]
    ups = [BlockUp(a, b) for a, b in _pairs(widths)]
    last = widths[-1]
    if variant == "repo":
        first = CodeToMap(plan.code[0], widths[0])
        return nn.Sequential(nn.LeakyReLU(SLOPE), first, *ups, nn.LeakyReLU(SLOPE), conv3x3(last, channels))
    start = CodeToMap if plan.code[1] == 1 else ResidualBlock
    tail = (PreActBlock(last, last), nn.LeakyReLU(SLOPE), nn.Conv2d(last, channels, 1))
    return nn.Sequential(start(plan.code[0], widths[0]), *ups, *tail)


def _encoder(channels: int, plan: Plan, levels: int, variant: Variant) -> nn.Sequential:
    widths, code = _fit(plan.encoder, levels), plan.code[0]
    downs = [BlockDown(a, b) for a, b in _pairs(widths)]
    first, last = conv3x3(channels, widths[0]), widths[-1]
    if variant == "repo":
        early = PreActBlock(widths[0], widths[0])
        return nn.Sequential(first, early, *downs, nn.LeakyReLU(SLOPE), nn.Conv2d(last, code, 4))
    if plan.code[1] == 4:
        tail: tuple[nn.Module, ...] = (PreActBlock(last, last), nn.LeakyReLU(SLOPE), nn.Conv2d(last, code, 1))
    else:
        tail = (nn.LeakyReLU(SLOPE), nn.Conv2d(last, last, 4), nn.LeakyReLU(SLOPE), nn.Conv2d(last, code, 1))
    return nn.Sequential(first, *downs, *tail)


def _image_critic(channels: int, plan: Plan, levels: int, variant: Variant, extra: bool) -> Critic:
    widths = _fit(plan.critic, levels)
    downs = [BlockDown(a, b) for a, b in _pairs(widths)]
    first, last = conv3x3(channels, widths[0]), widths[-1]
    if variant == "repo":
        body = nn.Sequential(first, PreActBlock(widths[0], widths[0]), *downs)
        return Critic(body, nn.Sequential(nn.LeakyReLU(SLOPE), nn.Conv2d(last, 1, 4)), stdev=False)
    body = nn.Sequential(first, *downs, *([PreActBlock(last, last)] if extra else []))
    head = (nn.LeakyReLU(SLOPE), nn.Conv2d(last + 1, last, 4), nn.LeakyReLU(SLOPE), nn.Conv2d(last, 1, 1))
    return Critic(body, nn.Sequential(*head), stdev=True)


def _code_critic(plan: Plan) -> Critic:
    size, wide = plan.code[0] * plan.code[1] ** 2, plan.dense
    act = nn.LeakyReLU(SLOPE)
    head = nn.Sequential(nn.Linear(size, wide), act, nn.Linear(wide, wide), act, nn.Linear(wide, 1))
    return Critic(nn.Flatten(), head, stdev=False)
