"""How much of the shards every node reads."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mms_dist.planning.cluster import Cluster
from mms_dist.planning.schedule import Phase
from mms_dist.training.summaries import LanguageSummary
from shards.index import ShardIndex

FLAC_BYTES_PER_SECOND = 18_000
"""Of 16 kHz mono speech as FLAC, where there are no shards to look at."""


@dataclass(frozen=True)
class Reads:
    """Bytes of training audio that the node with the most of it reads in a run, repeated epochs counted each time, and
    those of the shards that it meets at all, which is what a cache on the node would hold."""

    node_bytes: int
    node_distinct_bytes: int


def audio_byte_rates(summaries: Sequence[LanguageSummary], index: ShardIndex | None) -> dict[str, float]:
    """Bytes in the shards for a second of each language's training audio."""
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
    """Follow every language from node to node."""
    seconds = {entry.language: entry.seconds for entry in summaries}
    read = np.zeros(cluster.nodes)
    met: list[set[str]] = [set() for _ in range(cluster.nodes)]
    for phase in phases:
        for language, group in phase.placement.items():
            share = phase.rounds * phase.works[language].seconds * byte_rates[language] / group.size
            last = group.first + group.size - 1
            for node in range(group.first // cluster.gpus, last // cluster.gpus + 1):
                ranks = cluster.node_ranks(node)
                here = min(last + 1, ranks.stop) - max(group.first, ranks.start)
                read[node] += here * share
                met[node].add(language)
    distinct = [sum(seconds[language] * byte_rates[language] for language in languages) for languages in met]
    return Reads(round(float(read.max())), round(max(distinct)))
