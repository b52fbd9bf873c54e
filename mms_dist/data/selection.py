"""Select the utterances of a split that can be trained on."""

from shards.index import SampleTable


def trainable(table: SampleTable, *, max_seconds: float | None) -> SampleTable:
    """Select utterances whose transcript fits their frames and that are at most `max_seconds` long.

    In shards built by this project every transcript fits; in others that may not be so.
    """
    keep = (table.label_length > 0) & (table.frames >= table.required_frames)
    if max_seconds is not None:
        keep &= table.durations <= max_seconds
    return table if keep.all() else table.select(keep)
