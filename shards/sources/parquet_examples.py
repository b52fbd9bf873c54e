"""Read parquet files that hold recordings, without holding them in memory."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from shards.sources.audio_columns import bytes_path, class_labels
from shards.sources.data_file import DataFile
from shards.sources.example_reader import Example
from shards.sources.parquet_audio import ParquetAudio
from shards.sources.parquet_table import ParquetTable

if TYPE_CHECKING:
    import pyarrow as pa

_BATCH_ROWS = 1024
# In files with empty cells, recordings are read to learn which cells are empty, a few at a time.
_RECORDINGS = 8


class ParquetExamples(ParquetTable):
    """A parquet file, in the form that `datasets` gives it or in one like it.

    Raises:
        SourceError: the file cannot be read, or has two columns of one name.
    """

    def __init__(self, file: DataFile) -> None:
        super().__init__(file)
        self.name = file.name
        self.shown = str(file)
        self.audio_columns = [field.name for field in self.schema if bytes_path(field) is not None]
        self.labels: Mapping[str, Sequence[str]] = class_labels(self.schema.metadata)

    def examples(self, columns: Collection[str], audio: str | None) -> Iterator[Example]:
        """Yield every row, with the values of `columns` and the recording in the column `audio`."""
        number = 0
        try:
            for group in range(self.file.num_row_groups):
                first = number
                for fields, has_bytes, path in self._group(group, columns, audio):
                    recording = None
                    if audio is not None and has_bytes:
                        column = bytes_path(self.schema.field(audio))
                        assert column is not None
                        recording = ParquetAudio(self.place, ".".join(column), group, number - first)
                    number += 1
                    yield Example(number, fields, recording, path)
        except Exception as error:
            raise self.place.unreadable(error, f" after row {number}") from error

    def _group(
        self, group: int, columns: Collection[str], audio: str | None
    ) -> Iterator[tuple[dict[str, Any], bool, str | None]]:
        """Yield the values of every row of a row group, whether it has a recording, and the recording's path."""
        leaves = list(columns)
        path = (audio, "path") if audio is not None and self._has_path(audio) else None
        cells = None if audio is None else bytes_path(self.schema.field(audio))
        if cells is not None and self._nulls(group, ".".join(cells)) == 0:
            cells = None  # all have a value, so there is no need to look
        leaves += [".".join(leaf) for leaf in (path, cells) if leaf]
        rows = self.file.metadata.row_group(group).num_rows
        if not leaves:
            yield from (({}, True, None) for _ in range(rows))
            return
        size = _RECORDINGS if cells else _BATCH_ROWS
        for batch in self.file.iter_batches(size, row_groups=[group], columns=leaves, use_threads=False):
            valid = _valid(batch, cells) if cells else None
            paths = _leaf(batch, path).to_pylist() if path else None
            for row, fields in enumerate(batch.select(list(columns)).to_pylist()):
                yield fields, valid is None or valid[row], paths[row] if paths else None

    def _has_path(self, audio: str) -> bool:
        import pyarrow as pa

        kind = self.schema.field(audio).type
        return pa.types.is_struct(kind) and kind.get_field_index("path") >= 0

    def _nulls(self, group: int, column: str) -> int | None:
        """Return the number of empty cells, None if the file does not say."""
        found = self.file.metadata.row_group(group)
        for number in range(found.num_columns):
            chunk = found.column(number)
            name = chunk.path_in_schema
            if name == column or name.startswith(f"{column}."):
                statistics = chunk.statistics if chunk.is_stats_set else None
                return statistics.null_count if statistics is not None and statistics.has_null_count else None
        return None


def _leaf(batch: pa.RecordBatch, path: Sequence[str]) -> pa.Array:
    found = batch.column(batch.schema.get_field_index(path[0]))
    for name in path[1:]:
        found = found.field(name)
    return found


def _valid(batch: pa.RecordBatch, path: Sequence[str]) -> list[bool]:
    """Whether each row has a value; the structure around it may be missing, too."""
    outer = batch.column(batch.schema.get_field_index(path[0])).is_valid().to_pylist()
    inner = _leaf(batch, path).is_valid().to_pylist()
    return [one and other for one, other in zip(outer, inner, strict=True)]
