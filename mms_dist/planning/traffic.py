"""Estimate the bytes that a run moves: between processes, with the time this takes, and from the shards to each node.

Legend: W ranks.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mms_dist.data.language_summaries import LanguageSummary
from mms_dist.distributed.placement import RankGroup
from mms_dist.model.optimizer import MOMENTS
from mms_dist.planning.cluster import Cluster
from mms_dist.planning.schedule import Phase
from mms_dist.training.slot_manager import moves
from shards.index import ShardIndex

ROWS_MOVED = 1 + len(MOMENTS)
"""A row and its AdamW moments move to a new owner."""

FLAC_BYTES_PER_SECOND = 18_000
"""Size of 16 kHz mono speech as FLAC, assumed if there are no shards."""

_FLAGS, _FLAG_BYTES = 2, 4  # in addition to one flag per active language; int32


@dataclass(frozen=True)
class PlannedTraffic:
    """Bytes that all processes together send in a run, each counted once, at the sender."""

    flags: int = 0
    """The vector reduced after every round: languages that ended, requests to stop."""
    gradients: int = 0
    """Gradient rows of shared languages, summed over their owners."""
    moves: int = 0
    """Languages moved to new owners."""

    def __add__(self, other: "PlannedTraffic") -> "PlannedTraffic":
        return PlannedTraffic(self.flags + other.flags, self.gradients + other.gradients, self.moves + other.moves)


@dataclass(frozen=True)
class Communication:
    """The communication of a phase: all bytes, and the seconds that the busiest rank communicates in each round and at
    the start of the phase."""

    traffic: PlannedTraffic
    round_seconds: float
    move_seconds: float


def communication(
    phase: Phase, before: Mapping[str, RankGroup], cluster: Cluster, row_bytes: Mapping[str, int]
) -> Communication:
    """Estimate the communication of a phase.

    The time covers ring all-reduces, in which each of k owners sends and receives 2 (k - 1) / k of a row (Patarasuk and
    Yuan 2009), and moves, which each rank does one after another, all at the cluster's bandwidth.

    Args:
        before: the placement of the previous phase.
        row_bytes: size of each language's row.
    """
    world = cluster.world
    waits_W = np.zeros(world)
    summed = 0
    for language, group in phase.placement.items():
        if group.size > 1:
            summed += group.size * row_bytes[language]
            here = slice(group.first, group.first + group.size)
            waits_W[here] += 2 * (group.size - 1) / group.size * row_bytes[language] / cluster.bytes_per_second
    sent_W, received_W = np.zeros(world), np.zeros(world)
    for move in moves(before, phase.placement):
        sent_W[move.sender] += ROWS_MOVED * row_bytes[move.language]
        received_W[move.receiver] += ROWS_MOVED * row_bytes[move.language]
    flags = _FLAG_BYTES * (_FLAGS + len(phase.placement)) * world if world > 1 else 0
    return Communication(
        PlannedTraffic(phase.rounds * flags, phase.rounds * summed, int(sent_W.sum())),
        float(waits_W.max()),
        float(np.maximum(sent_W, received_W).max()) / cluster.bytes_per_second,
    )


@dataclass(frozen=True)
class Reads:
    """Bytes of training audio that the busiest node reads in a run, counted again in every epoch; and the bytes of all
    shards that it reads, which is the size of a cache on the node."""

    node_bytes: int
    node_distinct_bytes: int


def audio_byte_rates(summaries: Sequence[LanguageSummary], index: ShardIndex | None) -> dict[str, float]:
    """Return the bytes in the shards per second of training audio, by language."""
    if index is None:
        return {entry.language: float(FLAC_BYTES_PER_SECOND) for entry in summaries}
    rates = {}
    for entry in summaries:
        shards = index.language(entry.language).shards("train")
        rates[entry.language] = sum(shard.bytes for shard in shards) / sum(shard.seconds for shard in shards)
    return rates


def shard_reads(
    phases: Iterable[Phase], summaries: Sequence[LanguageSummary], cluster: Cluster, byte_rates: Mapping[str, float]
) -> Reads:
    """Add up the reads of each node, following every language from node to node."""
    seconds = {entry.language: entry.seconds for entry in summaries}
    read = np.zeros(cluster.nodes)
    seen: list[set[str]] = [set() for _ in range(cluster.nodes)]
    for phase in phases:
        for language, group in phase.placement.items():
            share = phase.rounds * phase.works[language].seconds * byte_rates[language] / group.size
            last = group.first + group.size - 1
            for node in range(group.first // cluster.gpus, last // cluster.gpus + 1):
                ranks = cluster.node_ranks(node)
                here = min(last + 1, ranks.stop) - max(group.first, ranks.start)
                read[node] += here * share
                seen[node].add(language)
    distinct = [sum(seconds[language] * byte_rates[language] for language in languages) for languages in seen]
    return Reads(round(float(read.max())), round(max(distinct)))
