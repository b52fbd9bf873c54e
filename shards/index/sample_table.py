"""The sample table: one row per utterance.

Legend: `[N]` one entry per utterance, in shard order.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shards.index.checks import INTEGER_COLUMNS, SCORE_COLUMN
from shards.schema import SAMPLE_RATE

STRING = np.dtypes.StringDType()
LATER_COLUMNS = ("source", "tags")
"""Text columns that tables of earlier versions lack. They are read when they are asked for."""


@dataclass(frozen=True, slots=True)
class ShardInfo:
    """One tar. `name` is relative to the language's folder, or a full URL; `samples` counts utterances."""

    name: str
    samples: int
    seconds: float
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleTable:
    """One row per utterance of a split, in shard order.

    `rows` is the row's number in the whole split, as `ShardReader.read` expects it; it differs from the position only
    after `select`. `samples` counts audio samples at 16 kHz, `frames` the encoder's output frames for them, and
    `required_frames` the minimum number of frames with which CTC can emit the labels. `align_score` is how well the
    text fits the audio, NaN if that is not known.
    """

    rows: NDArray[np.int64]
    keys: NDArray[Any]
    shard: NDArray[np.int32]
    offset: NDArray[np.int64]
    size: NDArray[np.int64]
    crc32: NDArray[np.uint32]
    samples: NDArray[np.int32]
    frames: NDArray[np.int32]
    label_length: NDArray[np.int32]
    required_frames: NDArray[np.int32]
    speaker: NDArray[Any]
    align_score: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def durations(self) -> NDArray[np.float64]:
        """Durations in seconds `[N]`."""
        return self.samples / np.float64(SAMPLE_RATE)

    def select(self, mask: NDArray[Any]) -> SampleTable:
        """Return the rows that a boolean mask or an index array selects."""
        return SampleTable(**{column.name: getattr(self, column.name)[mask] for column in fields(self)})


def _of_split(whole: Any, split: str) -> Any:
    """Return the rows of a split.

    pyarrow imports pandas, which takes half a second, to convert a string to a scalar and in `to_numpy`. So this
    function takes the scalar from the column itself, and `_table` uses DLPack.
    """
    import pyarrow.compute

    splits = whole.column("split")
    found = [scalar for scalar in splits.unique() if scalar.as_py() == split]
    return whole.filter(pyarrow.compute.equal(splits, found[0])) if found else whole.slice(0, 0)


def _table(whole: Any) -> SampleTable:
    import pyarrow

    columns: dict[str, Any] = {"rows": np.arange(whole.num_rows, dtype=np.int64)}
    for name, kind in INTEGER_COLUMNS.items():
        numbers = whole.column(name).cast(pyarrow.from_numpy_dtype(kind)).combine_chunks()
        columns[name] = np.from_dlpack(numbers).copy() if len(numbers) else np.empty(0, dtype=kind)
    columns["keys"] = np.array(whole.column("key").to_pylist(), dtype=STRING)
    columns["speaker"] = np.array([name or "" for name in whole.column("speaker").to_pylist()], dtype=STRING)
    scores = whole.column(SCORE_COLUMN).to_pylist() if SCORE_COLUMN in whole.column_names else [None] * whole.num_rows
    columns["align_score"] = np.array([np.nan if score is None else score for score in scores], np.float32)
    return SampleTable(**columns)
