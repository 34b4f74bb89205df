"""The contract: what every method under conf/method must do, found by globbing, without a word about any of them."""

from __future__ import annotations

import copy
import warnings
from typing import Any

import lightning as L
import pytest
import torch
from cells import options, plan
from torch import Tensor

from novelty.data.datamodule import NoveltyData
from novelty.methods.base import Method
from novelty.training.callbacks import Calibrate, CollectScores, StepSeed, calibrate
from novelty.training.plan import Plan
from novelty.training.trainer import build_method, quiet

METHODS = options("method")


class Trained:
    """A method after a few steps, with its data."""

    def __init__(self, name: str) -> None:
        self.plan = plan(f"method={name}")
        self.data = _data(self.plan)
        self.method = _fit(self.plan, self.data)
        pixels = self.plan.images.pixels[torch.from_numpy(self.plan.split.test[:8])]
        self.images = pixels.float() / 255


def _data(planned: Plan) -> NoveltyData:
    return NoveltyData(planned.images, planned.split, seed=0, reference=4, score_batch=5)


def _fit(planned: Plan, data: NoveltyData, **trainer: Any) -> Method:
    method = build_method(planned, data)
    callbacks = [StepSeed(0), Calibrate(lambda method: None)]
    fitting = _trainer(callbacks, method.schedule.epochs or 1, **trainer)
    fitting.fit(method.learner, datamodule=data)
    if method.learner is not method:
        calibrate(fitting, method.eval())
    return method.eval()


def _trainer(callbacks: list[L.Callback], epochs: int = 1, **options: Any) -> L.Trainer:
    return L.Trainer(
        **{"accelerator": "cpu", "devices": 1} | options,
        max_epochs=epochs,
        logger=False,
        callbacks=callbacks,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )


@pytest.fixture(scope="module", params=METHODS)
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NOVELTY_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
        with quiet():
            return Trained(request.param)


def _image_scores(method: Method, images: Tensor) -> dict[str, Tensor]:
    with torch.no_grad():
        return {name: scores.image for name, scores in method.score(images).items()}


def test_scores_are_finite_one_per_image_and_the_primary_is_among_them(trained: Trained) -> None:
    with torch.no_grad():
        scores = trained.method.score(trained.images)
    assert trained.method.primary in scores
    for named in scores.values():
        assert named.image.shape == (8,)
        assert named.image.dtype == torch.float32
        assert named.image.isfinite().all()
        if named.map is not None:
            assert named.map.shape == (8, 1, *trained.images.shape[-2:])
            assert named.map.isfinite().all()
    assert (scores[trained.method.primary].map is not None) == trained.method.maps


def test_scores_do_not_depend_on_the_batch(trained: Trained) -> None:
    together = _image_scores(trained.method, trained.images)
    alone = [_image_scores(trained.method, image[None]) for image in trained.images]
    for name, values in together.items():
        torch.testing.assert_close(torch.cat([one[name] for one in alone]), values, rtol=1e-5, atol=1e-5)


def test_scores_repeat_bit_for_bit(trained: Trained) -> None:
    before = _image_scores(trained.method, trained.images)
    assert all(
        torch.equal(values, _image_scores(trained.method, trained.images)[name]) for name, values in before.items()
    )


def test_checkpoint_round_trip_is_bit_equal(trained: Trained, tmp_path: Any) -> None:
    torch.save(trained.method.state_dict(), tmp_path / "weights.ckpt")
    again = build_method(trained.plan, trained.data)
    again.load_state_dict(torch.load(tmp_path / "weights.ckpt", weights_only=True))
    again.eval()
    expected = _image_scores(trained.method, trained.images)
    assert all(torch.equal(values, expected[name]) for name, values in _image_scores(again, trained.images).items())


def test_input_gradients_flow_and_no_parameter_collects_one(trained: Trained) -> None:
    method = copy.deepcopy(trained.method)
    method.zero_grad()
    images = trained.images.clone().requires_grad_()
    if method.input_gradient:
        (gradient,) = torch.autograd.grad(method.score(images)[method.primary].image.sum(), images)
        assert gradient.isfinite().all()
        assert gradient.abs().sum() > 0
    with torch.inference_mode():
        method.score(trained.images)
    assert all(p.grad is None or not p.grad.any() for p in method.parameters())


def test_training_again_gives_the_same_bits(trained: Trained) -> None:
    with quiet():
        again = _fit(trained.plan, _data(trained.plan))
    expected = _image_scores(trained.method, trained.images)
    assert all(torch.equal(values, expected[name]) for name, values in _image_scores(again, trained.images).items())


def test_bfloat16_training_runs(trained: Trained) -> None:
    with quiet():
        method = _fit(trained.plan, _data(trained.plan), precision="bf16-mixed")
    assert all(v.isfinite().all() for v in _image_scores(method, trained.images).values())


def test_two_processes_score_every_image_once(trained: Trained, tmp_path: Any) -> None:
    def scored(**options: Any) -> dict[str, Any]:
        kept = tmp_path / f"{len(options)}.pt"
        collect = CollectScores(lambda image: torch.save({k: torch.from_numpy(v) for k, v in image.items()}, kept))
        with quiet(), warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*multi-threaded.*fork.*", DeprecationWarning)
            _trainer([collect], **options).test(trained.method, datamodule=_data(trained.plan), verbose=False)
        return dict(torch.load(kept, weights_only=True))

    one = scored()
    two = scored(devices=2, strategy="ddp_fork")
    for name, values in one.items():
        assert len(values) == len(trained.plan.split.test) + len(_data(trained.plan).reference)
        torch.testing.assert_close(two[name], values, rtol=1e-5, atol=1e-5)


def test_every_scoring_argument_exists() -> None:
    from novelty.check import parameters, target

    for name in METHODS:
        cls = target(plan(f"method={name}").config["method"], "method")
        assert set(cls.scoring) <= set(parameters(cls))  # type: ignore[attr-defined]
