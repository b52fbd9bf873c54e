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
    texts, number_N = numbered(index.later_column(split, "tags"))
    values = [str(json.loads(text).get(by.removeprefix(TAG), "")) if text else "" for text in texts]
    return np.array(values, dtype=STRING)[number_N]


def numbered(names_N: NDArray[Any]) -> tuple[list[str], NDArray[np.int64]]:
    """Return the different names, sorted, and the number of each utterance's, int64 [N].

    As `numpy.unique`, which takes five times as long for strings.
    """
    found = names_N.tolist()
    names = sorted(set(found))
    numbers = {name: number for number, name in enumerate(names)}
    return names, np.fromiter((numbers[name] for name in found), np.int64, len(found))
