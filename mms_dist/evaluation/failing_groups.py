"""Groups of utterances with more errors than the rest of their languages."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from mms_dist.evaluation.metrics import Scores
from mms_dist.evaluation.utterance_groups import BANDS, OTHERS, Groups, GroupScores

FEWEST_UTTERANCES = 5
"""Smaller groups are in the tables, and never said to stand out."""


class Grouped(NamedTuple):
    """The scores of a language, and those of its groups of utterances."""

    scores: Scores
    groups: Groups


@dataclass(frozen=True, slots=True)
class ComparedGroup:
    """A group of one kind, beside its whole language."""

    language: str
    kind: str
    name: str
    group: GroupScores
    whole: Scores

    @property
    def scores(self) -> Scores:
        """Those of the group."""
        return self.group.scores

    @property
    def change(self) -> float:
        """CER minus that of the language."""
        return self.scores.cer - self.whole.cer

    @property
    def more_errors(self) -> float:
        """Characters that are wrong here and would not be if the group were like the language."""
        return self.change * self.scores.reference_characters

    @property
    def stands_out(self) -> bool:
        """Whether it is worse than the language by more than chance: the 95 % interval is above the language's CER."""
        enough = self.name != OTHERS and self.scores.utterances >= FEWEST_UTTERANCES
        return enough and self.scores.cer_low > self.whole.cer


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupRow:
    """A group of one kind over all languages that have it. Rates are means over these, each counting the same."""

    name: str
    languages: Sequence[str]
    utterances: int
    seconds: float
    cer: float
    wer: float
    change: float
    worst: str
    worst_cer: float


def compared_groups(language: str, found: Grouped) -> list[ComparedGroup]:
    """Return the groups of a language, those with most errors first. A kind with a single group has no others to
    compare, so it is left out."""
    groups = [
        ComparedGroup(language, kind, name, group, found.scores)
        for kind, own in found.groups.items()
        if len(own) > 1
        for name, group in own.items()
    ]
    return sorted(groups, key=lambda each: (-each.more_errors, each.kind, each.name))


def standing_out(languages: Mapping[str, Grouped]) -> list[ComparedGroup]:
    """Return the groups of all languages that stand out, those with most errors first."""
    found = [each for code, own in languages.items() for each in compared_groups(code, own) if each.stands_out]
    return sorted(found, key=lambda each: (-each.more_errors, each.language, each.kind, each.name))


def group_rows(languages: Mapping[str, Grouped], kind: str) -> list[GroupRow]:
    """Return the groups of one kind: durations in order, others by how much worse they are than their languages.

    Empty if no language has several groups.
    """
    if not any(len(each.groups.get(kind, {})) > 1 for each in languages.values()):
        return []
    by_name: dict[str, dict[str, GroupScores]] = {}
    for code, each in languages.items():
        for name, group in each.groups.get(kind, {}).items():
            by_name.setdefault(name, {})[code] = group
    rows = [_row(name, own, languages) for name, own in by_name.items()]
    order = list(BANDS.values())
    if kind == "duration":
        return sorted(rows, key=lambda row: order.index(row.name) if row.name in order else len(order))
    return sorted(rows, key=lambda row: (-row.change, row.name))


def _row(name: str, own: Mapping[str, GroupScores], languages: Mapping[str, Grouped]) -> GroupRow:
    scores = {code: each.scores for code, each in own.items()}
    worst = max(scores, key=lambda code: scores[code].cer)
    cer = sum(each.cer for each in scores.values()) / len(scores)
    return GroupRow(
        name=name,
        languages=sorted(scores),
        utterances=sum(each.utterances for each in scores.values()),
        seconds=sum(each.seconds for each in own.values()),
        cer=cer,
        wer=sum(each.wer for each in scores.values()) / len(scores),
        change=cer - sum(languages[code].scores.cer for code in scores) / len(scores),
        worst=worst,
        worst_cer=scores[worst].cer,
    )
