"""The index of shards: where every utterance is stored, without reading the shards."""

from shards.index.language import LanguageIndex
from shards.index.shard_index import ShardIndex, indexed_languages
from shards.index.table import STRING, SampleTable, ShardInfo

__all__ = ["STRING", "LanguageIndex", "SampleTable", "ShardIndex", "ShardInfo", "indexed_languages"]
