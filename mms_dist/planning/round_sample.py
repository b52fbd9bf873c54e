"""Measure padding (or filler) and uneven load in real rounds, with the batches and forward passes of the run."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from mms_dist.data.batch_shard import BatchShard
from mms_dist.data.constant_packer import pack_constant
from mms_dist.data.packer import FORWARD_COST, pack
from mms_dist.data.stream import LanguageStream, Position
from mms_dist.model.packed_tables import BLOCK, STRIDE, pass_frames
from mms_dist.planning.schedule import Phase
from shards.schema import SAMPLE_RATE, frames_of

ROUNDS, RANKS = 3, 64
"""Maximum sample size: rounds spread over the run, and ranks in each round."""


@dataclass(frozen=True)
class RoundSample:
    """Figures of real batches: the fraction of padding or filler in forward passes, and how far the rank with the most
    audio is above the mean. Utterances cannot be split, so batches and their shards differ a little from the target."""

    rounds: int
    ranks: int
    padding_fraction: float
    skew: float


def sample_rounds(
    stream_of: Callable[[str], LanguageStream],
    phases: Sequence[Phase],
    *,
    world: int,
    forward_seconds: float,
    forward_cost: int = FORWARD_COST,
    packed: bool = False,
) -> RoundSample:
    """Distribute and pack the batches of a few rounds, without reading audio.

    Args:
        stream_of: returns the stream of a language's optimizer batches, by the language's code.
    """
    capacity = int(forward_seconds * SAMPLE_RATE)
    last = phases[-1].first_round + phases[-1].rounds - 1
    chosen = sorted({1 + (last - 1) * part // ROUNDS for part in range(ROUNDS)})
    ranks = sorted({world * part // min(RANKS, world) for part in range(min(RANKS, world))})
    streams: dict[str, LanguageStream] = {}
    audio, padded, skews = 0, 0, []
    for number in chosen:
        phase = next(phase for phase in phases if phase.first_round <= number < phase.first_round + phase.rounds)
        loads = []
        for rank in ranks:
            lengths: list[int] = []
            languages: list[str] = []
            for language, group in phase.placement.items():
                if rank in group:
                    stream = streams[language] = streams.get(language) or stream_of(language)
                    position = _position(stream, number - 1)
                    items = BatchShard(rank - group.first, group.size).take(stream.at(position))
                    lengths += stream.samples_of(items, position.epoch).tolist()
                    languages += [language] * (len(lengths) - len(languages))
            loads.append(sum(lengths))
            if packed:
                padded += _packed_samples(lengths, languages, capacity)
            else:
                padded += _padded_samples(lengths, capacity, forward_cost)
        audio += sum(loads)
        skews.append(max(loads) / (sum(loads) / len(loads)) - 1)
    return RoundSample(len(chosen), len(ranks), 1 - audio / padded, float(np.mean(skews)))


def _padded_samples(lengths: Sequence[int], capacity: int, forward_cost: int) -> int:
    groups = pack(lengths, capacity=capacity, forward_cost=forward_cost)
    return sum(len(group) * max(lengths[item] for item in group) for group in groups)


def _packed_samples(lengths: Sequence[int], languages: Sequence[str], capacity: int) -> int:
    size, frames = pass_frames(capacity), frames_of(np.array(lengths, dtype=np.int64)).tolist()
    passes = pack_constant(frames, languages, size=size, block=BLOCK)
    return STRIDE * sum(max(size, sum(frames[item] for strip in strips for item in strip)) for strips in passes)


def _position(stream: LanguageStream, step: int) -> Position:
    """Return the approximate position of a stream after `step` batches: epochs differ by a batch or two in length."""
    epoch, batch = divmod(step, len(stream.batches(0)))
    return Position(epoch, min(batch, len(stream.batches(epoch)) - 1))
