"""Print the hours of speakers, sources and tags, and what was found about the splits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.console import Console

from shards.display.tables import TextColumn, fitting_table, rounded_duration
from shards.display.terminal import say
from shards.errors import Problem
from shards.inspect_shards import SCORE_LEVELS, UNKNOWN, GroupHours, LanguageFacts
from shards.near_texts import NearTexts
from shards.wording import counted, elided

MOST_GROUPS, MOST_PROBLEMS = 12, 12
_EXAMPLES = 3
_NAME_CHARACTERS, _TEXT_CHARACTERS = 32, 70
_BAR = 30


def print_groups(console: Console, facts: Sequence[LanguageFacts]) -> None:
    """Print a table with a row per language: how many speakers and sources, and the share of the largest."""
    columns = [
        TextColumn("language", right=False),
        TextColumn("speakers"),
        TextColumn("largest", right=False, rank=2),
        TextColumn("its share"),
        TextColumn("sources"),
        TextColumn("largest", right=False, rank=3),
        TextColumn("its share", rank=1),
    ]
    rows = [(each.language, *_cells(each.speakers), *_cells(each.sources)) for each in facts]
    console.print(fitting_table("Speakers and sources of the training audio", columns, rows, console.width))
    lacking = [each.problem for each in facts if each.problem is not None]
    if lacking:
        more = f"; {counted(len(lacking) - 1, 'more language')} without it" if len(lacking) > 1 else ""
        say(console, f"{lacking[0]}{more}")


def print_split_problems(console: Console, problems: Sequence[Problem]) -> None:
    """Print what limits the conclusions from error rates, a line each; of very many languages, the first ones."""
    for problem in problems[:MOST_PROBLEMS]:
        say(console, str(problem))
    if len(problems) > MOST_PROBLEMS:
        more = f"and {len(problems) - MOST_PROBLEMS:,} more such remarks on splits"
        say(console, f"{more}; 'mms-dist shards inspect SHARDS --lang CODE' shows those of one language")


def print_scores(console: Console, facts: Sequence[LanguageFacts]) -> None:
    """Print the quantiles of the alignment scores, for the languages that have some."""
    scored = [each for each in facts if len(each.scores)]
    if not scored:
        return
    columns = [TextColumn("language", right=False), TextColumn("scored")]
    columns += [TextColumn(f"{level:.0%} below", rank=int(level not in (0.05, 0.5))) for level in SCORE_LEVELS]
    columns.append(TextColumn("by the model", right=False, rank=2))
    rows = [
        (
            each.language,
            f"{len(each.scores):,} of {len(each.durations):,}",
            *(f"{value:.2f}" for value in each.score_quantiles().values()),
            elided(each.align_model or "?", _NAME_CHARACTERS),
        )
        for each in scored
    ]
    console.print(fitting_table("Scores of alignment", columns, rows, console.width))


def print_group_hours(console: Console, facts: LanguageFacts) -> None:
    """Print the hours of each group of a language, the largest ones first."""
    kinds = {"speakers": facts.speakers, "sources": facts.sources or []}
    kinds |= {f"tag {name}": groups for name, groups in (facts.tags or {}).items()}
    for kind, groups in kinds.items():
        if known(groups):
            say(console, f"{facts.language}, {kind} of the training audio")
            for line in hours_lines(groups, facts.seconds):
                say(console, f"  {line}")


def print_leaks(console: Console, code: str, leaks: Mapping[str, tuple[int, Sequence[NearTexts]]]) -> None:
    """Print how many sentences of dev and test are in train, exactly and nearly, with examples."""
    for split, (equal, near) in leaks.items():
        say(console, f"{code}: {counted(equal, 'sentence')} of {split} in train too, {len(near):,} nearly the same")
        for pair in sorted(near, key=lambda pair: -pair.similarity)[:_EXAMPLES]:
            held_out, train = (elided(text, _TEXT_CHARACTERS) for text in (pair.held_out, pair.train))
            say(console, f"  {pair.similarity:.2f} {held_out!r} like {train!r}")


def known(groups: Sequence[GroupHours]) -> list[GroupHours]:
    """Return the groups without the utterances whose group is unknown."""
    return [group for group in groups if group.name != UNKNOWN]


def hours_lines(groups: Sequence[GroupHours], total: float) -> list[str]:
    """Return the lines of a bar chart: name, bar, hours and share."""
    shown, rest = list(groups[:MOST_GROUPS]), groups[MOST_GROUPS:]
    if rest:
        shown.append(
            GroupHours(f"{len(rest):,} more", sum(each.seconds for each in rest), sum(each.utterances for each in rest))
        )
    names = [elided(each.name, _NAME_CHARACTERS) if each.name != UNKNOWN else "(unknown)" for each in shown]
    width = max(map(len, names))
    most = max(each.seconds for each in shown)
    return [
        f"{name:<{width}} {'█' * round(_BAR * each.seconds / most) or '▏'} {rounded_duration(each.seconds)}, "
        f"{each.seconds / total:.0%}, {counted(each.utterances, 'utterance')}"
        for name, each in zip(names, shown, strict=True)
    ]


def _cells(groups: Sequence[GroupHours] | None) -> tuple[str, str, str]:
    if groups is None:
        return "?", "?", "?"
    found = known(groups)
    if not found:
        return "–", "–", "–"
    if len(found) > 1 and all(each.utterances == 1 for each in found):  # as of a corpus with a file for each sentence
        return f"{len(found):,}", "one utterance each", "–"
    share = found[0].seconds / sum(each.seconds for each in groups)
    return f"{len(found):,}", elided(found[0].name, _NAME_CHARACTERS), f"{share:.0%}"
