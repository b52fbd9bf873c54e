"""Read parquet files with a row for every utterance and the paths of the recordings."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING

from shards.errors import SourceError
from shards.file_content import detect_placeholder
from shards.sources.audio_columns import holds_text
from shards.sources.data_file import DataFile
from shards.sources.delimited_table import Line

if TYPE_CHECKING:
    import pyarrow as pa

_BATCH_ROWS = 1024


class ParquetTable:
    """A parquet file. A missing value is None, and no text is taken for one.

    Raises:
        SourceError: the file cannot be read, or has two columns of one name.
    """

    def __init__(self, file: DataFile) -> None:
        import pyarrow.parquet as pq

        self.place = file
        try:
            if file.path is not None and (instead := detect_placeholder(file.path)):
                raise file.instead(instead)
            self.file = pq.ParquetFile(file.readable())
        except SourceError:
            raise
        except Exception as error:
            raise file.unreadable(error) from error
        self.schema: pa.Schema = self.file.schema_arrow
        self.header: list[str] = list(self.schema.names)
        twice = next((name for name in self.header if self.header.count(name) > 1), None)
        if twice is not None:
            raise SourceError(f"table {file}: column {twice!r} is given twice", fix="remove one of them, or rename it")

    def holds_paths(self, column: str) -> bool:
        """Whether a column has text, and not the recordings themselves."""
        return holds_text(self.schema.field(column))

    def rows(self, columns: Collection[str]) -> Iterator[Line]:
        """Yield these columns of every row, with its number from 1."""
        number = 0
        try:
            for batch in self.file.iter_batches(_BATCH_ROWS, columns=list(columns)):
                for fields in batch.to_pylist():
                    number += 1
                    yield number, fields
        except Exception as error:
            raise self.place.unreadable(error, f" after row {number}") from error
