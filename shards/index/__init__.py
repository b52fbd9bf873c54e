"""The index of shards: where every utterance is stored, without reading the shards."""

from shards.index.language_index import LanguageIndex
from shards.index.sample_table import STRING, SampleTable, ShardInfo
from shards.index.shard_index import ShardIndex, indexed_languages

__all__ = ["STRING", "LanguageIndex", "SampleTable", "ShardIndex", "ShardInfo", "indexed_languages"]
