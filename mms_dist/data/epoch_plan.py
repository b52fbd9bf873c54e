"""Plan one epoch of one language as optimizer batches: a pure function of the index.

    shards --permute--> windows --sort into similar lengths--> batches of ~batch_seconds --shuffle--> epoch

Windows keep reads local (a few shards at a time), sorting keeps lengths in a batch similar, and jitter on the sort key
gives every epoch different batches. Nothing here depends on other languages, processes or workers, so every process
computes the same plan from the same index.

Legend: N utterances (rows of the sample table), S shards, W windows, K batches.
"""

import numpy as np

from mms_dist.data.randomness import epoch_generator, unit_interval
from shards.schema import SAMPLE_RATE

PLAN_VERSION = 1
"""Increment whenever the result of `plan_epoch` changes, because stored positions then refer to other batches."""

LENGTH_JITTER = 0.15
"""For sorting, an utterance's length is increased by a random fraction up to this."""

LEAST_BATCHES_PER_WINDOW = 4
"""Windows of very small shards are widened until an average window fills this many batches. Cutting a window evenly
then changes the size of a batch by at most 1 / (2 * this)."""


def plan_epoch(
    shard: np.ndarray,
    durations: np.ndarray,
    *,
    seed: int,
    language: str,
    epoch: int,
    batch_seconds: float,
    window_shards: int,
) -> tuple[np.ndarray, ...]:
    """Plan one epoch: every utterance exactly once, in batches of about `batch_seconds` of audio.

    Args:
        shard: number of the shard that holds each utterance, non-negative, int [N].
        durations: seconds of audio of each utterance, float [N].
        seed: seed of the run; with `language` and `epoch` it determines every random choice here.
        language: language code.
        epoch: epoch, from 0.
        batch_seconds: target audio of an optimizer batch. Batches of a window have about equal size, so that there is
            no small remainder; an utterance longer than this is a batch of its own.
        window_shards: shards read at the same time.

    Returns:
        K batches in training order, each a read-only int64 array of at least one row, shorter utterances
        first. A table shorter than a batch gives one batch; an empty one gives none.
    """
    if len(shard) == 0:
        return ()
    generator = epoch_generator(seed, language, epoch)
    samples_N = np.maximum(1, np.rint(np.asarray(durations, dtype=np.float64) * SAMPLE_RATE).astype(np.int64))
    batch_samples = batch_seconds * SAMPLE_RATE

    window_N = _windows(np.asarray(shard), samples_N, generator, batch_samples, window_shards)
    apparent_N = samples_N * (1.0 + LENGTH_JITTER * unit_interval(generator.random_raw(len(samples_N))))
    order_N = np.lexsort((apparent_N, window_N))
    window_N = window_N[order_N]
    starts_K = _batch_starts(samples_N[order_N], window_N, batch_samples)

    order_N.flags.writeable = False  # plans are cached and shared, and the batches are views of this array
    batches = np.split(order_N, starts_K[1:])
    shuffled_K = np.lexsort((generator.random_raw(len(starts_K)), window_N[starts_K]))
    return tuple(batches[batch] for batch in shuffled_K)


def _windows(
    shard_N: np.ndarray,
    samples_N: np.ndarray,
    generator: np.random.Philox,
    batch_samples: float,
    window_shards: int,
) -> np.ndarray:
    """Return the window of every utterance, int64 [N]: the shards in random order, cut into W even windows."""
    shards_S = np.flatnonzero(np.bincount(shard_N))
    rank_S = np.empty(len(shards_S), dtype=np.int64)
    rank_S[np.argsort(generator.random_raw(len(shards_S)), kind="stable")] = np.arange(len(shards_S))
    filled = int(samples_N.sum() / (LEAST_BATCHES_PER_WINDOW * batch_samples))
    windows = max(1, min(-(-len(shards_S) // window_shards), filled))
    window_of_shard = np.empty(int(shards_S[-1]) + 1, dtype=np.int64)
    window_of_shard[shards_S] = rank_S * windows // len(shards_S)
    return window_of_shard[shard_N]


def _batch_starts(samples_N: np.ndarray, window_N: np.ndarray, batch_samples: float) -> np.ndarray:
    """Return the first positions of the batches, for utterances in reading order, int64 [K].

    A window of total length T has n = max(1, round(T / batch_samples)) batches. [0, T) is cut into n equal parts, and
    an utterance belongs to the part that contains its middle. (A long utterance may leave a part empty.)
    """
    starts_W = np.flatnonzero(np.diff(window_N, prepend=-1))
    utterances_W = np.diff(starts_W, append=len(window_N))
    end_N = np.cumsum(samples_N)
    before_W = end_N[starts_W] - samples_N[starts_W]
    total_W = np.diff(before_W, append=end_N[-1])
    batches_W = np.maximum(1, np.rint(total_W / batch_samples)).astype(np.int64)

    middle_N = end_N - 0.5 * samples_N - np.repeat(before_W, utterances_W)
    part_N = np.floor(middle_N * np.repeat(batches_W / total_W, utterances_W)).astype(np.int64)
    first_part_W = np.cumsum(batches_W) - batches_W
    return np.flatnonzero(np.diff(part_N + np.repeat(first_part_W, utterances_W), prepend=-1))
