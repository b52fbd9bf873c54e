"""The splits train, dev and test: their names, and which of them a sentence belongs to."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence

from shards.errors import ShardsError

SPLITS = ("train", "dev", "test")
# A sentence that a source puts into several splits is kept in the first of these.
PRECEDENCE = ("test", "dev", "train")

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


def _fraction(text: str) -> float:
    """Hash a text to a number in [0, 1)."""
    return (
        int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8, person=b"mms-dist split").digest(), "big") / 2**64
    )
