"""Read parquet files with a row for every utterance and the paths of the recordings."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from shards.errors import SourceError
from shards.file_content import detect_placeholder
from shards.sources.delimited_table import Line
from shards.wording import printable

if TYPE_CHECKING:
    import pyarrow as pa

_BATCH_ROWS = 1024


class ParquetTable:
    """A parquet file. A missing value is None, and no text is taken for one.

    Raises:
        SourceError: the file cannot be read, or has two columns of one name.
    """

    def __init__(self, path: Path) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        self._name = f"table {printable(str(path))}"
        try:
            if instead := detect_placeholder(path):
                raise SourceError(f"{self._name} {instead.found}", fix=instead.fix)
            self._file = pq.ParquetFile(path)
        except OSError as error:
            raise SourceError(f"{self._name} cannot be read: {error.strerror or error}") from error
        except pa.ArrowException as error:
            raise self._damaged(error) from error
        self._schema: pa.Schema = self._file.schema_arrow
        self.header: list[str] = list(self._schema.names)
        twice = next((name for name in self.header if self.header.count(name) > 1), None)
        if twice is not None:
            raise SourceError(f"{self._name}: column {twice!r} is given twice", fix="remove one of them, or rename it")

    def holds_paths(self, column: str) -> bool:
        """Whether a column has text, and not the recordings themselves."""
        import pyarrow as pa

        kind = self._schema.field(column).type
        kind = kind.value_type if pa.types.is_dictionary(kind) else kind
        return pa.types.is_string(kind) or pa.types.is_large_string(kind)

    def rows(self, columns: Collection[str]) -> Iterator[Line]:
        """Yield these columns of every row, with its number from 1."""
        import pyarrow as pa

        number = 0
        try:
            for batch in self._file.iter_batches(_BATCH_ROWS, columns=list(columns)):
                for fields in batch.to_pylist():
                    number += 1
                    yield number, fields
        except (pa.ArrowException, OSError) as error:
            raise self._damaged(error, f" after row {number}") from error

    def _damaged(self, error: Exception, place: str = "") -> SourceError:
        found = str(error).splitlines()[0] if str(error) else type(error).__name__
        return SourceError(f"{self._name} is damaged, or not parquet{place}: {found}", fix="copy or download it again")
