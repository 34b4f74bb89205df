"""A single training image, which is a batch of one: numbers or a sentence, for every method."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from cells import options, plan, run

from novelty.errors import NoveltyError

ONE = ("budget.max_train=1", "pictures=false")


@pytest.mark.parametrize("name", options("method"))
def test_one_image_trains_or_is_refused_in_a_sentence(name: str, runs: Path) -> None:
    typed = (f"method={name}", *ONE)
    try:
        record = run(*typed)
    except NoveltyError as error:
        assert "normal images are all alike" in str(error), error  # noqa: PT017  (either is right)
        return
    with np.load(plan(*typed).record.scores) as scores:
        assert np.isfinite(scores[f"score/{record['primary']}"]).all()
