"""Check the splits of a language: their speakers, and the size of test."""

from __future__ import annotations

import math
from statistics import NormalDist

from shards.errors import Problem
from shards.index.language_index import LanguageIndex
from shards.index.shard_index import ShardIndex
from shards.splits import SPLITS
from shards.wording import counted

POINTS, ASSUMED_CER, CONFIDENCE = 2.0, 0.2, 0.95
DESIGN_EFFECT = 2.0
"""Characters of an utterance are wrong together, so an error rate varies more than one of independent characters: by
this factor in variance. Measured on test of the demo's five languages, greedy decoding: 0.9 to 3.2, median 1.6; with a
language model 4.6 to 10.8."""


def characters_to_tell_apart(points: float = POINTS, cer: float = ASSUMED_CER) -> int:
    """Return the characters of text at which two error rates that differ by `points` (in %) can be told apart.

    Each of two independent error rates p over n characters has the variance D p (1 - p) / n, with the design effect D
    (Kish 1965, Survey Sampling; for recognisers Guyon et al. 1998, What size test set gives good error rate
    estimates?, https://doi.org/10.1109/34.655649). Their difference d is found at the level z if
    z sqrt(2 D p (1 - p) / n) <= d, so

        n = 2 z^2 D p (1 - p) / d^2

    Two systems scored on the same sentences differ by less chance than that, so fewer may do.
    """
    z = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
    return math.ceil(2 * z**2 * DESIGN_EFFECT * cer * (1 - cer) / (points / 100) ** 2)


def split_problems(index: LanguageIndex) -> list[Problem]:
    """Return what limits the conclusions from error rates on test, from the index alone."""
    code, test = index.language, index.table("test")
    problems = []
    names = {split: {name for name in set(index.table(split).speaker.tolist()) if name} for split in SPLITS}
    everyone = set().union(*names.values())
    if len(everyone) == 1:
        problems.append(
            Problem(
                f"{code}: it has one speaker ({min(everyone)}), so its error rates say nothing of other voices",
                "add recordings of others",
            )
        )
    elif shared := names["test"] & (names["train"] | names["dev"]):
        problems.append(
            Problem(
                f"{code}: {len(shared):,} of {counted(len(names['test']), 'speaker')} of test also in train or dev, "
                "so its error rates say less of new voices",
                "split by speaker with --split-by speaker",
            )
        )
    characters, needed = int(test.label_length.sum()), characters_to_tell_apart()
    if not len(test):
        problems.append(
            Problem(f"{code}: no test split", "assign some utterances to it, or build with --test-fraction")
        )
    elif characters < needed:
        utterances = math.ceil(needed * len(test) / max(1, characters))
        problems.append(
            Problem(
                f"{code}: test has {characters:,} characters in {counted(len(test), 'utterance')}, too few to tell "
                f"error rates apart that differ by {POINTS:g} points: that needs about {needed:,} characters, "
                f"{utterances:,} utterances like these",
                "hold out more with --test-fraction",
            )
        )
    return problems


def all_split_problems(index: ShardIndex) -> list[Problem]:
    """Return `split_problems` of all languages. One language's sample table at a time is in memory."""
    problems = []
    for code in index.languages:
        language = index.language(code)
        problems += split_problems(language)
        language.forget()
    return problems
