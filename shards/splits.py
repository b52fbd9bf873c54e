"""The splits train, dev and test: their names, and which of them a sentence belongs to."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from shards.errors import ShardsError

SPLITS = ("train", "dev", "test")
# A sentence that a source puts into several splits is kept in the first of these.
PRECEDENCE = ("test", "dev", "train")

SENTENCE, SPEAKER, SPEAKER_ONLY = "sentence", "speaker", "speaker-only"
"""What is in one split only: a sentence; a sentence and a speaker; a speaker, whose sentences others may read in
another split."""

_SPLIT_NAMES = {
    **{name: name for name in SPLITS},
    **dict.fromkeys(("training", "trn"), "train"),
    **dict.fromkeys(("validation", "valid", "val", "development", "devel"), "dev"),
    **dict.fromkeys(("testing", "tst"), "test"),
}


def parse_split(split: str) -> str:
    """Return the split that `split` names: one of `SPLITS`, or another common name for one of them.

    Raises:
        ShardsError: the name is unknown.
    """
    if split.lower() in _SPLIT_NAMES:
        return _SPLIT_NAMES[split.lower()]
    raise ShardsError(f"split {split!r} is unknown: expected one of {', '.join(SPLITS)}")


def assign_splits(texts: Sequence[tuple[str, str | None]], dev_fraction: float, test_fraction: float) -> dict[str, str]:
    """Assign every distinct text to one split, given `(text, split or None)` pairs.

    A text with given splits gets the first of test, dev, train among them. The others are assigned by a hash of the
    text alone, so that a growing corpus never moves a text. If a requested split would be empty, it gets the text with
    the closest hash. Train is never empty as long as some text has no given split.
    """
    given: dict[str, set[str]] = defaultdict(set)
    for text, split in texts:
        given[text].update([split] if split else [])
    splits = {text: min(found, key=PRECEDENCE.index) for text, found in given.items() if found}
    free = sorted((_fraction(text), text) for text, found in given.items() if not found)
    for fraction, text in free:
        in_held_out = "test" if fraction < test_fraction else "dev"
        splits[text] = in_held_out if fraction < test_fraction + dev_fraction else "train"
    if free and "train" not in splits.values():
        splits[free[-1][1]] = "train"
    for split, wanted, start in (("test", test_fraction, 0.0), ("dev", dev_fraction, test_fraction)):
        movable = [(abs(fraction - start), text) for fraction, text in free if splits[text] == "train"]
        if wanted > 0 and len(movable) > 1 and split not in splits.values():
            splits[min(movable)[1]] = split
    return splits


class Utterance(NamedTuple):
    """What the split of an utterance depends on; `split` is that of the source, if it has one."""

    text: str
    speaker: str | None
    split: str | None


def assign_splits_by_speaker(
    utterances: Sequence[Utterance], dev_fraction: float, test_fraction: float
) -> tuple[list[str | None], dict[str, str]]:
    """Return the split of every utterance's speaker, and the split of every text.

    An utterance can be used if both are the same, or if its speaker is unknown: then no voice and no sentence is in two
    splits. A speaker goes to a split by a hash of the name alone. One with more utterances than the fraction of dev or
    test is not held out, unless there is no other. A text that is read in several splits goes to the one of them that a
    hash of the text prefers, in the same fractions: if test always took it, little would be left to train on where
    every sentence is read by many.
    """
    counts = Counter(one.speaker for one in utterances if one.speaker and not one.split)
    by_speaker = _split_speakers(counts, dev_fraction, test_fraction)
    # A speaker whom the source has in a split stays there.
    by_speaker |= {one.speaker: one.split for one in utterances if one.speaker and one.split}
    own = [one.split or (by_speaker[one.speaker] if one.speaker else None) for one in utterances]
    given: dict[str, set[str]] = defaultdict(set)
    found: dict[str, set[str]] = defaultdict(set)
    for one, split in zip(utterances, own, strict=True):
        given[one.text].update([one.split] if one.split else [])
        found[one.text].update([split] if split else [])
    several = {text: splits for text, splits in found.items() if len(splits) > 1 and not given[text]}
    preferred = {text: _preferred(text, splits, dev_fraction, test_fraction) for text, splits in several.items()}
    texts = assign_splits(
        [(one.text, preferred.get(one.text, split)) for one, split in zip(utterances, own, strict=True)],
        dev_fraction,
        test_fraction,
    )
    for split, wanted in (("test", test_fraction), ("dev", dev_fraction)):
        movable = [(_fraction(text), text) for text, its in several.items() if split in its and texts[text] == "train"]
        if wanted > 0 and len(movable) > 1 and split not in texts.values():
            texts[min(movable)[1]] = split
    return own, texts


def _split_speakers(counts: Counter[str], dev_fraction: float, test_fraction: float) -> dict[str, str]:
    total = counts.total()
    splits = dict.fromkeys(counts, "train")
    held_out = (("test", test_fraction, 0.0), ("dev", dev_fraction, test_fraction))
    for speaker, count in counts.items():
        for split, wanted, start in held_out:
            if start <= _fraction(speaker) < start + wanted and count <= wanted * total:
                splits[speaker] = split
    for split, wanted, start in held_out:
        movable = [
            (max(counts[speaker] - wanted * total, 0.0), abs(_fraction(speaker) - start), speaker)
            for speaker, its in splits.items()
            if its == "train"
        ]
        if wanted > 0 and len(movable) > 1 and split not in splits.values():
            splits[min(movable)[2]] = split
    return splits


def _preferred(text: str, splits: Iterable[str], dev_fraction: float, test_fraction: float) -> str:
    fraction = _fraction(text)
    if fraction < test_fraction:
        order = ("test", "dev", "train")
    elif fraction < test_fraction + dev_fraction:
        order = ("dev", "test", "train")
    else:
        order = ("train", "dev", "test")
    return min(splits, key=order.index)


def _fraction(text: str) -> float:
    """Hash a text to a number in [0, 1)."""
    return (
        int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8, person=b"mms-dist split").digest(), "big") / 2**64
    )
