"""Batches of noise, in utterances as long as those of `tests.benchmarks.padding`; what is in it costs nothing."""

import numpy as np

from mms_dist.data.batch import BatchRequest, LoadedBatch, Utterance
from mms_dist.data.stream import Position
from mms_dist.data.utterance_id import UtteranceId
from shards.schema import SAMPLE_RATE, frames_of

LABELS = 28
"""Of the alphabet; vocabularies are at least this large and the five common ids."""
_LABELS_A_SECOND = 12


def rounds_of(count: int, *, languages: int, seconds: float) -> list[list[LoadedBatch]]:
    """Rounds with a batch of so many seconds of every language, all of other lengths."""
    return [round_of(languages, seconds, seed=seed) for seed in range(count)]


def round_of(languages: int, seconds: float, *, median: float = 4.0, seed: int = 0) -> list[LoadedBatch]:
    """One batch a language. Lengths are log-normal, from 1 to 30 s."""
    random = np.random.default_rng(seed)
    return [_batch(name(number), seconds, median, seed, random) for number in range(languages)]


def name(number: int) -> str:
    return f"l{number:02}"


def utterances_of(batches: list[LoadedBatch]) -> list[Utterance]:
    return [utterance for batch in batches for utterance in batch.utterances]


def one_pass(seconds: float, *, languages: int, length: float = 8.0) -> list[LoadedBatch]:
    """Equal utterances that fill a pass of so many seconds, shared among the languages."""
    random = np.random.default_rng(0)
    batches = [LoadedBatch(BatchRequest(name(number), Position())) for number in range(languages)]
    for item in range(max(1, int(seconds / length))):
        batch = batches[item % languages]
        batch.utterances.append(_utterance(batch.request.language, item, length, random))
    return [batch for batch in batches if batch.utterances]


def _batch(language: str, seconds: float, median: float, seed: int, random: np.random.Generator) -> LoadedBatch:
    batch = LoadedBatch(BatchRequest(language, Position()))
    while batch.audio_seconds < seconds:
        length = float(np.clip(random.lognormal(np.log(median), 0.7), 1.0, 30.0))
        batch.utterances.append(_utterance(language, 100_000 * seed + len(batch.utterances), length, random))
    return batch


def _utterance(language: str, row: int, seconds: float, random: np.random.Generator) -> Utterance:
    samples = int(seconds * SAMPLE_RATE)
    labels = 5 + np.arange(max(1, int(seconds * _LABELS_A_SECOND)), dtype=np.int32) % LABELS
    return Utterance(
        id=UtteranceId(language, "train", row),
        key=str(row),
        epoch=0,
        audio=random.integers(-3000, 3000, samples, dtype=np.int16),
        labels=labels,
        text="",
        frames=int(frames_of(np.array(samples))),
    )
