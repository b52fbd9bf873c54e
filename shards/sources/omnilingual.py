"""Read the Omnilingual ASR corpus: parquet files in folders named after corpus, split and language.

`version=0/corpus=NAME/split=train/language=ron_Latn/part-0.parquet` with `text` and `audio_bytes`, as
https://github.com/facebookresearch/omnilingual-asr/tree/main/workflows/dataprep describes it.
"""

from __future__ import annotations

from shards.sources.data_folder import first_data_file, partitions
from shards.sources.parquet import SUFFIXES, Parquet
from shards.sources.source_place import SourcePlace


class Omnilingual(Parquet):
    """A folder of parquet files in the partitions of the Omnilingual ASR corpus."""

    name = "omnilingual"
    expected = "the parquet files of Omnilingual ASR (corpus=…/split=…/language=…/part-0.parquet)"

    def recognises(self, place: SourcePlace) -> bool:
        """Whether it has a parquet file in folders named as split and language."""
        found = first_data_file(place.path, SUFFIXES)
        return found is not None and {"split", "language"} <= partitions(found.absolute().parts).keys()
