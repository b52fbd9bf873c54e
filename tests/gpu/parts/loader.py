"""Seconds of audio a second that the loader supplies, by its number of threads, against what the device takes."""

import os
import shutil
import tempfile
import time
from contextlib import closing
from pathlib import Path

from shards.index import ShardIndex
from shards.read import ShardReader
from tests.benchmarks.loader import Training, build
from tests.gpu.part import Part
from tests.gpu.parts.speed import RATE

EPOCHS = 2


def run(part: Part) -> None:
    folder = Path(tempfile.mkdtemp(dir=part.scratch))
    try:
        index = ShardIndex.load(str(build(folder, utterances=3 if part.smoke else 60)))
        audio = float(sum(index.language(code).table("train").durations.sum() for code in index.languages))
        rates = {workers: supply(index, workers, audio) for workers in workers_of(part)}
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    part.record.note("audio s a second that the loader supplies, by threads", rates)
    part.record.figure("loader: audio s a second, best number of threads", max(rates.values()))
    for shape in ("300m", "1b"):
        taken = part.found(f"speed-{shape}", RATE.format(shape=shape))
        if taken:
            part.record.figure(f"loader: supply against what {shape} takes", max(rates.values()) / taken)


def workers_of(part: Part) -> list[int]:
    cores = len(os.sched_getaffinity(0))
    return [1] if part.smoke else sorted({1, 2, 4, min(8, cores), cores})


def supply(index: ShardIndex, workers: int, audio: float) -> float:
    """Epochs of all languages in rounds, as training takes them; the files are in the page cache."""
    with closing(ShardReader(index)) as reader:
        training = Training(index, reader, workers=workers)
        with training.loader:
            training.one_epoch()
            began = time.perf_counter()
            for _ in range(EPOCHS):
                training.one_epoch()
            return EPOCHS * audio / (time.perf_counter() - began)
