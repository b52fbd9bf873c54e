"""Which utterance is meant. Its key is for people: two tars of one language may both hold a `000000`."""

from dataclasses import dataclass

IDENTITY_VERSION = 2
"""How training tells utterances apart, as checkpoints say it; checkpoints that say nothing are of version 1, which
went by language and key. SpecAugment, dropout and the choice of utterances to evaluate are drawn by this identity."""


@dataclass(frozen=True, order=True, slots=True)
class UtteranceId:
    """Where an utterance lies, and with it what is remembered, seeded and reported of it.

    Attributes:
        language: language code.
        split: split of the shards.
        row: row of the split's whole sample table (`SampleTable.rows`), never a position in a selection of it: that
            would change with data.max_seconds, or with what is left out for another reason.
    """

    language: str
    split: str
    row: int
