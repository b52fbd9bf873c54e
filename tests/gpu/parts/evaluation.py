"""Evaluation against its forward passes alone, and its share of a run: the benchmark of that name, on this device."""

import shutil
import statistics
import tempfile
from pathlib import Path
from typing import Any

from tests.benchmarks import evaluation
from tests.benchmarks.bases import random_base
from tests.benchmarks.corpora import toy_shards
from tests.benchmarks.rounds import training
from tests.gpu import targets
from tests.gpu.part import Part

LANGUAGES, UTTERANCES, BATCH_SECONDS, REPEATS, ROUNDS = 4, 150, 160.0, 3, 4


def run(part: Part) -> None:
    folder = Path(tempfile.mkdtemp(dir=part.scratch))
    try:
        measure(part, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def measure(part: Part, folder: Path) -> None:
    """A run of the 300M shapes on toy shards; the figures that have targets."""
    smoke = part.smoke
    languages, utterances, batch_seconds = (1, 4, 4.0) if smoke else (LANGUAGES, UTTERANCES, BATCH_SECONDS)
    shape, seconds = ("tiny", 2.0) if smoke else ("300m", 4.0)
    base = random_base(folder / "base", shape, dtype="float32" if smoke else "bfloat16")
    corpus = toy_shards(folder, languages=languages, utterances=utterances, seconds_median=seconds)
    settings: dict[str, Any] = {
        "model": {"base": str(base), "feature_cache_gib": 0.0},
        "data": {"shards": str(corpus)},
        "optim": {"steps": 1_000_000, "batch_seconds": batch_seconds},
        "checkpoint": {"every_rounds": 1_000_000},
    }
    with training(folder / "run", settings) as (parts, clock, _):
        clock.run(parts, 1)  # the languages come in
        round_seconds = statistics.median(clock.run(parts, 1 if smoke else ROUNDS))
        rate = languages * batch_seconds / round_seconds
        part.record.note("audio s a second in rounds of the product's own loop", rate)
        for found in evaluation._measure(parts, shape, languages, 1 / rate, 1 if smoke else REPEATS):
            figure = targets.EVALUATION_SHARE if found.target is evaluation.SHARE else targets.EVALUATION
            part.record.figure(figure, found.ratio)
            part.record.note(found.case, {"ours": found.ours, "reference": found.reference, "unit": found.unit})
