"""Find the utterances that a build drops for their flags, before it writes any."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from shards.build.candidates import Candidate, LanguagePlan
from shards.build.encode import Measured
from shards.drops import Rejected
from shards.flags.flagging import flag_utterances, utterances_of
from shards.flags.names import FlagOptions
from shards.index.flag_parts import scripts_of


def flagged_candidates(
    plan: LanguagePlan, measured: Sequence[tuple[str, Candidate, Measured]], options: FlagOptions
) -> dict[str, Rejected]:
    """Return the utterances with one of the flags `options.dropped`, by key; each counts for the first one.

    Copies and repeated texts are looked for last, among what is left without the others: one of each remains.

    Args:
        measured: the split, candidate and measures of all utterances of the language, in the order of the shards.
    """
    columns: dict[str, list[Any]] = {
        "split": [split for split, _, _ in measured],
        "key": [candidate.key for _, candidate, _ in measured],
        "samples": [found.samples for _, _, found in measured],
        "align_score": [candidate.align_score for _, candidate, _ in measured],
    }
    measures = [asdict(found.measures) for _, _, found in measured]
    columns |= {name: [each[name] for each in measures] for name in (measures[0] if measures else ())}
    texts = [candidate.text for _, candidate, _ in measured]
    found = utterances_of(plan.language, columns, texts, scripts_of(plan.rules))
    flagged = flag_utterances(found, options, dropped=options.dropped)
    rejected: dict[str, Rejected] = {}
    for flag in (each for each in flagged.masks if each in options.dropped):
        for row in np.flatnonzero(flagged.masks[flag]).tolist():
            rejected.setdefault(found.key[row], Rejected(flag, flagged.details[flag](row)))
    return rejected
