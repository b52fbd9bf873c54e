"""The names of flags, what they mean, and their thresholds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from shards.errors import ShardsError
from shards.wording import nearest

FLAGS_COLUMN = "flags"
"""The column of the sample table with the names of an utterance's flags, separated by commas; empty without any."""


@dataclass(frozen=True, slots=True)
class Flag:
    """A reason to look at an utterance. `meaning` says what is found, `threshold` from which value on, by default."""

    meaning: str
    threshold: float
    threshold_meaning: str


OUTLIER = 4.5
_DEVIATIONS = "standard deviations from the median of the language, robustly estimated"

FLAGS = {
    "near_duplicate_audio": Flag(
        "a copy of another recording, even in another format, quieter or cut",
        0.25,
        "share of equal bytes of their fingerprints",
    ),
    "near_duplicate_text": Flag(
        "a text that is equal or nearly equal to that of another utterance",
        0.8,
        "Jaccard index of their sets of five characters in a row",
    ),
    "clipped": Flag(
        "the recording was too loud: its wave is cut off",
        0.001,
        "share of samples in rows of at least three at the peak",
    ),
    "mostly_silent": Flag("little of the recording is speech", 0.3, "share of speech below this"),
    "unexpected_script": Flag(
        "most letters are not in the script of the language", 0.5, "share of such letters above this"
    ),
    "unexpected_language": Flag(
        "the text reads like another language of the corpus", 20.0, "logarithm of how much likelier that one is"
    ),
    "unusual_speaking_rate": Flag("far more or fewer characters a second of speech than usual", OUTLIER, _DEVIATIONS),
    "unusual_loudness": Flag("far louder or quieter than usual", OUTLIER, _DEVIATIONS),
    "unusual_align_score": Flag(
        "the transcript fits the audio far worse than usual",
        OUTLIER,
        "standard deviations below the median of the language and split, robustly estimated",
    ),
}

NEEDS_OTHERS = "unexpected_language"
"""The flag that depends on the other languages of the corpus, so that only `shards flag` finds it."""


@dataclass(frozen=True, slots=True)
class FlagOptions:
    """Thresholds by name of the flag that differ from the defaults, and the flags whose utterances a build drops."""

    thresholds: Mapping[str, float] = field(default_factory=dict)
    dropped: tuple[str, ...] = ()

    def choice(self) -> dict[str, Any]:
        """Return what differs from the defaults, the same for the same choice, however it was written."""
        thresholds = {flag: value for flag in FLAGS if (value := self.threshold(flag)) != FLAGS[flag].threshold}
        dropped = [flag for flag in FLAGS if flag in self.dropped]
        return {
            **({"drop_flagged": dropped} if dropped else {}),
            **({"flag_thresholds": thresholds} if thresholds else {}),
        }

    def threshold(self, flag: str) -> float:
        """Return the threshold of a flag."""
        return self.thresholds.get(flag, FLAGS[flag].threshold)


def check_names(names: Iterable[str]) -> None:
    """Check that these are names of flags.

    Raises:
        ShardsError: names the first one that is not.
    """
    for name in names:
        if name not in FLAGS:
            raise ShardsError(f"{name!r} is not a flag{nearest(name, FLAGS)}", fix=f"give some of {', '.join(FLAGS)}")


def joined(names: Iterable[str]) -> str:
    """Return the value of the column for an utterance with these flags."""
    given = set(names)
    return ",".join(name for name in FLAGS if name in given)
