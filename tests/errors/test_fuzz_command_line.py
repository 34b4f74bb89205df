"""Random command lines: a plan, or sentences only, and an end in bounded time."""

from __future__ import annotations

from cells import SMALL
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from novelty.config import compose_cell, conf_dir, explain, names_under
from novelty.doors import _known
from novelty.errors import NoveltyError, refusal
from novelty.flags import in_order
from novelty.run import _arguments
from novelty.training.plan import make_plan

GROUPS = ["method", "data", "protocol", "recipe", "budget", "hardware", "logger", "evaluation", "augment", "launcher"]
KEYS = [
    *GROUPS, "seed", "keep", "maps", "dry_run", "table", "figure", "nosuch", "hydra", "method.lr", "method.epochs",
    "method.batch_size", "method._target_", "method.info", "protocol.normal", "protocol.repeat", "data.channels",
    "data.image_size", "data.source", "data.source.download", "budget.scale", "budget.max_test", "hardware.precision",
    "hardware.score_batch", "evaluation.quantile", "paths.runs", "paths", "logger.mode", "a.b.c", "", ".", "method.",
]  # fmt: skip
VALUES = st.one_of(
    st.sampled_from(
        ["", "null", "true", "0", "-1", "1e400", "nan", "[", "]", "[0,1]", "{a:1}", "0,1", "range(3)", "???", "${seed}",
         "${nosuch}", "${oc.env:NOSUCH}", "'x", '"', "\\", "os.system", "kde", "digits", "smoke", "cpu", "x" * 300, "é"]
    ),
    st.sampled_from([name for group in ("method", "protocol") for name in names_under(conf_dir() / group)]),
    st.text(max_size=8),
    st.integers(-3, 40).map(str),
)  # fmt: skip
OVERRIDES = st.one_of(
    st.builds("{}{}={}".format, st.sampled_from(["", "", "", "+", "++", "~"]), st.sampled_from(KEYS), VALUES),
    st.builds("{}{}".format, st.sampled_from(["~", "-", "--", ""]), st.sampled_from(KEYS)),
    st.text(max_size=10),
)


def _only_sentences(error: Exception) -> None:
    """Whether the door would print one sentence for ``error``."""
    found = explain(error)
    assert isinstance(found, NoveltyError) or _known(found) or refusal(found), repr(error)


@settings(max_examples=150, deadline=20_000, suppress_health_check=list(HealthCheck))
@given(st.lists(OVERRIDES, min_size=1, max_size=3))
def test_a_random_command_line_is_planned_or_refused_in_a_sentence(typed: list[str]) -> None:
    data = any(o.lstrip("+~").startswith("data=") for o in typed)
    fixed = [o for o in SMALL if o != "data=digits" or not data]
    try:
        arguments = _arguments(in_order([*fixed, *typed]))
        make_plan(*compose_cell([o for o in arguments if not o.startswith("-") and "=" in o]))
    except Exception as error:
        _only_sentences(error)
