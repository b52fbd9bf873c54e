"""Groups of a language's utterances: by speaker, by source, or by a tag such as the accent."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shards.index.language_index import LanguageIndex
from shards.index.sample_table import STRING

SPEAKER, SOURCE, TAG = "speaker", "source", "tag:"


def is_grouping(by: str) -> bool:
    """Whether `by` names a grouping: `speaker`, `source`, or `tag:NAME`."""
    return by in (SPEAKER, SOURCE) or (by.startswith(TAG) and len(by) > len(TAG))


def group_names(index: LanguageIndex, split: str, by: str) -> NDArray[Any]:
    """Return the group of every utterance of a split, strings [N] in the order of the table; "" where it is unknown.

    Args:
        by: `speaker`; `source`, which is the entry of the list of sources that the corpus was built from, or the
            sample's own `source` if there was no list; or `tag:NAME`.

    Raises:
        MissingColumnError: the table was written by an earlier version and lacks the column.
        IndexFileError: the table cannot be read.
    """
    assert is_grouping(by), by
    if by == SPEAKER:
        return index.table(split).speaker
    if by == SOURCE:
        return index.later_column(split, SOURCE)
    texts, places = np.unique(index.later_column(split, "tags"), return_inverse=True)
    values = [str(json.loads(text).get(by.removeprefix(TAG), "")) if text else "" for text in texts.tolist()]
    return np.array(values, dtype=STRING)[places]
