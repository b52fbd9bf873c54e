"""Which utterances of a split can be trained on."""

from shards.index import SampleTable


def trainable(table: SampleTable, *, max_seconds: float | None) -> SampleTable:
    """Those with a transcript that fits their frames, and not longer than asked.

    Shards built here hold no others; foreign ones may.
    """
    keep = (table.label_length > 0) & (table.frames >= table.required_frames)
    if max_seconds is not None:
        keep &= table.durations <= max_seconds
    return table if keep.all() else table.select(keep)
