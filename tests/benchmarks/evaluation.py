"""Evaluation against its own forward passes, and its share of a run at the default interval.

The reference side makes the same forward passes over audio that lies on the device. The share is
computed from the measured rates: after every `evaluation.every_steps` steps of `optim.batch_seconds` a language hears
one hour of dev audio.
"""

import contextlib
import statistics
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from mms_dist.config import Evaluation, Optim
from mms_dist.decoding.decoder import Decoder
from mms_dist.evaluation.evaluator import Evaluator, PassOnDevice, PreparedPass
from mms_dist.model.staging import StagedHere
from mms_dist.training.components import RunComponents
from shards.schema import SAMPLE_RATE
from tests.benchmarks.bases import random_base
from tests.benchmarks.corpora import toy_shards
from tests.benchmarks.measure import Measurement, Target, alternate, median_ratio
from tests.benchmarks.rounds import training

OVER_FORWARD, SHARE = Target("at most", 1.2), Target("at most", 0.07)
DEV_SECONDS = 3600.0
SPLIT = "train"
"""The toy shards have no other; which split is decoded makes no difference."""


def run(*, quick: bool) -> Iterator[Measurement]:
    cases = [("tiny", 4, 16.0, 100), ("300m", 2, 16.0, 12)]
    for shapes, languages, batch_seconds, utterances in cases[:1] if quick else cases:
        repeats, rounds = (1, 1) if quick else (5, 6)
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            settings: dict[str, Any] = {
                "model": {"base": str(random_base(folder / "base", shapes)), "feature_cache_gib": 0.0},
                "data": {"shards": str(toy_shards(folder, languages=languages, utterances=utterances))},
                "optim": {"steps": 1_000_000, "batch_seconds": batch_seconds},
                "checkpoint": {"every_rounds": 1_000_000},
            }
            with training(folder / "run", settings) as (components, clock, _):
                clock.run(components, 1)  # the languages come in
                round_seconds = statistics.median(clock.run(components, rounds))
                yield from _measure(components, shapes, languages, round_seconds / (languages * batch_seconds), repeats)


def _measure(
    components: RunComponents, shapes: str, languages: int, train_seconds_a_second: float, repeats: int
) -> Iterator[Measurement]:
    active = components.loop.slot_manager.in_order()[0]
    index = components.language_slots.index.language(active.language)
    evaluator, audio_seconds = components.evaluator, float(index.table(SPLIT).samples.sum()) / SAMPLE_RATE
    ready = _ready(components, evaluator, active.language, active.slot)

    @torch.no_grad()
    def forward_alone() -> None:
        begun = [compute() for compute in ready]
        begun[-1].kept_BT.get()  # the device has computed all of them

    timings = alternate(
        {"evaluation": lambda: evaluator.transcribe(index, SPLIT, active.slot), "forward": forward_alone},
        repeats=repeats,
    )
    case = f"{shapes} shapes, {len(ready)} passes of one language, {audio_seconds:.0f} s of audio"
    yield Measurement(
        "evaluation",
        f"{case}: against its forward passes alone",
        timings["evaluation"].median,
        timings["forward"].median,
        "s",
        median_ratio(timings["evaluation"], timings["forward"]),
        "seconds of evaluation / seconds of the same forward passes on audio that is on the device",
        OVER_FORWARD,
    )
    every, batch_seconds = Evaluation().every_steps, Optim().batch_seconds
    evaluating = DEV_SECONDS * timings["evaluation"].median / audio_seconds
    training_seconds = every * batch_seconds * train_seconds_a_second
    yield Measurement(
        "evaluation",
        f"{shapes} shapes, share of a run: {every} steps of {batch_seconds:g} s, then an hour of dev audio",
        evaluating,
        evaluating + training_seconds,
        "s",
        evaluating / (evaluating + training_seconds),
        "seconds of evaluation / seconds of training and evaluation",
        SHARE,
        details={"training [s]": round(training_seconds, 1)},
    )


def _ready(components: RunComponents, evaluator: Evaluator, language: str, slot: int) -> list[Callable[[], Any]]:
    """The evaluation's own forward passes, with all that they need on the device: only begun, and not waited for."""
    passes: list[Callable[[], Any]] = []

    def keep(prepared: PreparedPass, decoder: Decoder) -> PassOnDevice:
        assert prepared.staged is not None
        tensors = {name: tensor.clone() for name, tensor in prepared.staged.on_device().items()}
        ready = replace(prepared, staged=StagedHere(tensors))
        passes.append(lambda: begin(ready, decoder))
        return begin(ready, decoder)

    begin = evaluator.begin
    with contextlib.ExitStack() as stack:
        evaluator.begin = keep  # type: ignore[method-assign]
        stack.callback(setattr, evaluator, "begin", begin)
        evaluator.transcribe(components.language_slots.index.language(language), SPLIT, slot)
    return passes
