"""Measure how fast this machine trains: a few rounds of the user's configuration, in a temporary folder.

What trains takes the whole configuration, as a run does.
"""

import contextlib
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import cycle
from pathlib import Path
from statistics import median
from time import perf_counter

import numpy as np

from mms_dist.config import Config
from mms_dist.data.language_summaries import LanguageSummary
from mms_dist.distributed.device import computes_on_cpu, set_threads, use_device
from mms_dist.monitor.reports import RoundReport
from mms_dist.training.assembly import resolve_for_single_process
from mms_dist.training.trial import shorten, trial
from shards.errors import DamagedSampleError
from shards.index import ShardIndex
from shards.read import ShardReader
from shards.schema import SAMPLE_RATE

LANGUAGES = 4
WARM_ROUNDS, ROUNDS = 2, 5
CPU_BATCH_SECONDS = 8.0
"""Enough to measure a CPU, on which a full batch of a large base would take minutes."""


def measured_speed(config: Config, summaries: Sequence[LanguageSummary]) -> float:
    """Measure the seconds of audio that one process trains on per second: the median of a few rounds after warm-up.

    A CPU caches the front end's output of earlier audio; in these rounds all audio is new.

    Raises:
        MmsDistError, ShardsError: an error that the user can fix.
    """
    longest = sorted(summaries, key=lambda entry: -entry.seconds)[:LANGUAGES]
    return median(report.audio_seconds / report.seconds for report in _rounds(config, longest))


def measured_device(config: Config, summaries: Sequence[LanguageSummary]) -> float:
    """Measure the seconds of audio that the device trains on per second without waiting, in a few rounds of a language.

    Raises:
        MmsDistError, ShardsError: an error that the user can fix.
    """
    if computes_on_cpu(config.run.device):
        seconds = min(config.optim.batch_seconds, CPU_BATCH_SECONDS)
        config = replace(config, optim=replace(config.optim, batch_seconds=seconds), languages={})
    reports = _rounds(config, [max(summaries, key=lambda entry: entry.seconds)])
    return median(report.audio_seconds / report.compute_seconds for report in reports)


def measured_reading(shards: str, summaries: Sequence[LanguageSummary], *, workers: int, seconds: float) -> float:
    """Measure the seconds of audio that `workers` threads read and decode per second, for about `seconds`.

    They read the language with the most audio from the folder or URL `shards`. Each reads at least one utterance,
    however slow that is; the result is 0 if none can be read.

    Raises:
        ShardsError: an error that the user can fix.
    """
    language = max(summaries, key=lambda entry: entry.seconds).language
    index = ShardIndex.load(shards, [language])
    utterances = index.language(language).utterances("train")
    rows = cycle(np.random.default_rng(0).permutation(utterances).tolist())
    began = perf_counter()

    def read(_: int) -> int:
        samples = tried = 0
        while perf_counter() - began < seconds or (not samples and tried < utterances):
            tried += 1
            with contextlib.suppress(DamagedSampleError):
                samples += len(reader.read(language, "train", next(rows)).audio)
        return samples

    with contextlib.closing(ShardReader(index)) as reader, ThreadPoolExecutor(workers) as pool:
        samples = sum(pool.map(read, range(workers)))
        return samples / SAMPLE_RATE / (perf_counter() - began)


def _rounds(config: Config, languages: Sequence[LanguageSummary]) -> list[RoundReport]:
    """Train a few rounds of these languages and return the reports of all but the first ones, which are warm-up.

    Batches, forward passes and base are the run's.
    """
    set_threads(config.run.threads)
    device = use_device(config.run.device)
    resolved = resolve_for_single_process(config, languages, device)
    with tempfile.TemporaryDirectory(prefix="mms-dist-plan-") as folder:
        short = shorten(
            config,
            [entry.language for entry in languages],
            directory=Path(folder) / "run",
            rounds=WARM_ROUNDS + ROUNDS,
            dev_utterances=1,
        )
        with trial(short, device, resolved) as trained:
            trained.components.loop.run()
            trained.store.drain()
            return trained.monitor.reports[WARM_ROUNDS:]
