"""The identity of an utterance. Its key is only for people, as two tars of a language may both contain a `000000`."""

from dataclasses import dataclass

IDENTITY_VERSION = 2
"""Version of the utterance identity, stored in checkpoints. A checkpoint without one has version 1, which used language
and key. SpecAugment, dropout and the selection of utterances to evaluate are drawn by this identity."""


@dataclass(frozen=True, order=True, slots=True)
class UtteranceId:
    """The location of an utterance, by which its features are cached, its randomness keyed and its damage reported.

    Attributes:
        language: language code.
        split: split of the shards.
        row: row of the split's full sample table (`SampleTable.rows`), never a position in a selection of it, which
            would change with data.max_seconds and other filters.
    """

    language: str
    split: str
    row: int
