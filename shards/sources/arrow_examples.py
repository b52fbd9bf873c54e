"""Read the Arrow files of saved datasets: their recordings are byte ranges of the files."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from shards.file_content import detect_placeholder
from shards.sources.audio_columns import bytes_path, class_labels, holds_text
from shards.sources.audio_reference import FileRange
from shards.sources.data_file import DataFile
from shards.sources.example_reader import Example

if TYPE_CHECKING:
    import pyarrow as pa


class ArrowExamples:
    """An Arrow file, as a stream of batches that is mapped to memory.

    Raises:
        SourceError: the file cannot be read.
    """

    def __init__(self, file: DataFile) -> None:
        import pyarrow as pa

        assert file.path is not None
        self._file = file
        self._path: Path = file.path
        self.name = file.name
        self.shown = str(file)
        try:
            instead = detect_placeholder(file.path)
            if instead is None:
                self._mapped = pa.memory_map(str(file.path)).read_buffer()
                schema = pa.ipc.open_stream(self._mapped).schema
        except Exception as error:
            raise file.unreadable(error) from error
        if instead:
            raise file.instead(instead)
        self.header: list[str] = list(schema.names)
        self._schema = schema
        self._bytes = {field.name: path for field in schema if (path := bytes_path(field)) is not None}
        self.audio_columns = list(self._bytes)
        self.labels: Mapping[str, Sequence[str]] = class_labels(schema.metadata)

    def examples(self, columns: Collection[str], audio: str | None) -> Iterator[Example]:
        """Yield every row, with the values of `columns` and the recording in the column `audio`."""
        import pyarrow as pa

        number = 0
        try:
            for batch in pa.ipc.open_stream(self._mapped):
                ranges, paths = self._recordings(batch, audio) if audio else (None, None)
                for row, fields in enumerate(batch.select(list(columns)).to_pylist()):
                    number += 1
                    recording = ranges[row] if ranges else None
                    yield Example(number, fields, recording, paths[row] if paths else None)
        except Exception as error:
            raise self._file.unreadable(error, f" after row {number}") from error

    def holds_paths(self, column: str) -> bool:
        """Whether a column has text, and not the recordings themselves."""
        return holds_text(self._schema.field(column))

    def _recordings(self, batch: pa.RecordBatch, audio: str) -> tuple[list[FileRange | None], list[str | None] | None]:
        """Return the byte ranges of a batch's recordings, and their paths."""
        outer = batch.column(batch.schema.get_field_index(audio))
        inner = outer
        for name in self._bytes[audio][1:]:
            inner = inner.field(name)
        ends, start = self._offsets(inner)
        valid = np.asarray(outer.is_valid()) & np.asarray(inner.is_valid())
        ranges = [
            FileRange(self._path, start + int(ends[row]), int(ends[row + 1] - ends[row])) if valid[row] else None
            for row in range(len(valid))
        ]
        has_path = inner is not outer and outer.type.get_field_index("path") >= 0
        return ranges, outer.field("path").to_pylist() if has_path else None

    def _offsets(self, array: Any) -> tuple[np.ndarray, int]:
        """Return where the values of an array begin and end in its data, and where that is in the file."""
        import pyarrow as pa

        _, offsets, *_, data = array.buffers()
        wide = pa.types.is_large_binary(array.type) or pa.types.is_large_list(array.type)
        ends = np.frombuffer(offsets, np.int64 if wide else np.int32)[array.offset : array.offset + len(array) + 1]
        start = data.address - self._mapped.address if data is not None else 0
        if not 0 <= start <= self._mapped.size:
            raise ValueError("its batches are compressed")
        return ends, start
