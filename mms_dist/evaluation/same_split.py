"""Whether two runs have the same split of a language: compared on one that the other has trained on, it would win."""

from collections.abc import Iterator, Sequence

import numpy as np

from mms_dist.errors import DataError
from mms_dist.evaluation.scoring_rules import ScoringRules
from shards.errors import IndexFileError, ShardsError, StorageError
from shards.index import LanguageIndex, ShardIndex
from shards.read import ShardReader

EXPORT = "or compare with its export (mms-dist export), whose shards are not known"


def check_same_split(
    other: str, ours: str, theirs: str, languages: Sequence[str], split: str, rules: ScoringRules
) -> str | None:
    """Check that the utterances and transcripts of a split are the same in the shards of two runs.

    Args:
        other: name of the other run.
        ours, theirs: the shards.
        rules: differences that these leave out do not count.

    Returns:
        Why it could not be checked; None if it was.

    Raises:
        DataError: they are not the same.
    """
    if ours == theirs:
        return None
    try:
        their_index = ShardIndex.load(theirs, list(languages))
    except (IndexFileError, StorageError) as error:
        return (
            f"whether {split} is the same for {other} is not known, because its shards {theirs} cannot be read "
            f"({error.found})"
        )
    our_index = ShardIndex.load(ours, list(languages))
    for code in languages:
        _check_keys(other, our_index.language(code), their_index.language(code), split)
    readers = ShardReader(our_index), ShardReader(their_index)
    try:
        for code in languages:
            found = list(_different_texts(readers, our_index.language(code), their_index.language(code), split, rules))
            if found:
                raise DataError(
                    f"{len(found):,} {split} transcripts of {code} are not the same in {ours} and {theirs}, the shards "
                    f"of {other}, such as {found[0][0]!r} and {found[0][1]!r}",
                    fix="build both with the same text rules, or leave out what differs with --ignore "
                    f"case,punctuation, {EXPORT}",
                )
    except ShardsError as error:
        return f"whether all {split} transcripts are the same for {other} is not known ({error.found})"
    finally:
        for reader in readers:
            reader.close()
    return None


def _check_keys(other: str, ours: LanguageIndex, theirs: LanguageIndex, split: str) -> None:
    own, their = (set(index.table(split).keys.tolist()) for index in (ours, theirs))
    if own == their:
        return
    trained = len(own & set(theirs.table("train").keys.tolist()))
    also = f", and {other} was trained on {trained:,} of these here" if trained else ""
    raise DataError(
        f"the {split} split of {ours.language} has {len(own):,} utterances in {ours.root} and {len(their):,} in "
        f"{theirs.root}, the shards of {other}, {len(own & their):,} of them the same{also}",
        fix=f"compare runs with the same splits, leave {ours.language} out with --languages, {EXPORT}",
    )


def _different_texts(
    readers: tuple[ShardReader, ShardReader],
    ours: LanguageIndex,
    theirs: LanguageIndex,
    split: str,
    rules: ScoringRules,
) -> Iterator[tuple[str, str]]:
    """Yield the transcripts of the same keys that differ. Equal bytes have equal texts."""
    tables = [index.table(split) for index in (ours, theirs)]
    rows = [np.argsort(table.keys, kind="stable") for table in tables]
    for our_row, their_row in zip(*(own.tolist() for own in rows), strict=True):
        if tables[0].crc32[our_row] == tables[1].crc32[their_row]:
            continue
        pair = (
            readers[0].read_text(ours.language, split, our_row),
            readers[1].read_text(theirs.language, split, their_row),
        )
        if rules.words(pair[0]) != rules.words(pair[1]):
            yield pair
