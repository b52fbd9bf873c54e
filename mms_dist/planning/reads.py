"""Estimate how much of the shards each node reads."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mms_dist.data.language_summaries import LanguageSummary
from mms_dist.planning.cluster import Cluster
from mms_dist.planning.schedule import Phase
from shards.index import ShardIndex

FLAC_BYTES_PER_SECOND = 18_000
"""Size of 16 kHz mono speech as FLAC, assumed if there are no shards."""


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


def reads(
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
