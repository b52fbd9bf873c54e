"""Print what is in the transcripts of a language, and the rules that it may need."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Console

from shards.display.terminal import say
from shards.text.scripts import script_of
from shards.text.suggestions import suggested_rules
from shards.text.survey import RARE_TEXTS, TextSurvey
from shards.wording import counted

_SHOWN = 12
_EXAMPLE_CHARACTERS = 100


def print_survey(console: Console, survey: TextSurvey) -> None:
    """Print one language."""
    left_out = ", ".join(f"{entry['count']:,} {reason}" for reason, entry in survey.drops.as_dict().items())
    say(console, f"{survey.language}: {counted(survey.texts, 'transcript')}, {survey.usable:,} usable")
    for heading, found in _lines(survey, left_out):
        if found:
            say(console, f"  {heading}: {found}")


def _lines(survey: TextSurvey, left_out: str) -> Iterable[tuple[str, str]]:
    lost = survey.lost()
    yield "left out", left_out
    for reason, entry in survey.drops.as_dict().items():
        yield f"  {reason}, for example", entry["examples"][0][:_EXAMPLE_CHARACTERS]
    yield "characters of the text", f"{len(survey.kept)}: {' '.join(sorted(map(shown, survey.kept)))}"
    yield "become spaces", _counted(one for one in survey.seen.most_common() if lost.get(one[0]) == " ")
    yield "removed", _counted(one for one in survey.seen.most_common() if lost.get(one[0]) == "")
    yield "cost their transcript", _counted(survey.refused.most_common())
    yield (
        f"rare (in fewer than {RARE_TEXTS} transcripts)",
        _listed(f"{shown(one)} ({survey.in_texts[one]}, {survey.example_words[one]})" for one in survey.rare()),
    )
    total = survey.scripts.total()
    yield "scripts", ", ".join(f"{name} {100 * count / total:.1f} %" for name, count in survey.scripts.most_common())
    yield "transcripts of several scripts", f"{survey.mixed:,}" if survey.mixed else ""
    yield "words of several scripts", _counted(survey.mixed_words.most_common())
    yield (
        "letters that look like another",
        _listed(
            f"{letter} (U+{ord(letter):04X}, {script_of(letter)}) like {other} (U+{ord(other):04X}), "
            f"{survey.kept[letter]:,}"
            for letter, other in survey.look_alikes().items()
        ),
    )
    yield "numbers that were spelled", f"in {counted(survey.spelled, 'transcript')}" if survey.spelled else ""
    yield "numbers in transcripts left out", _counted(survey.numbers.most_common())
    yield "in brackets", _counted(survey.markup.most_common())
    for lengths in survey.lengths():
        far = [f"{value:.1f} {where}" for value, where in [*lengths.low, *lengths.high]]
        suspicious = f"; {lengths.suspicious:,} far from it, for example {'; '.join(far)}" if far else ""
        yield "length", f"median {lengths.median:.1f} {lengths.unit}{suspicious}"


def print_suggestions(console: Console, surveys: Sequence[TextSurvey]) -> None:
    """Print the suggested rules of all languages as one YAML file."""
    entries = [line for survey in surveys for line in suggested_rules(survey)]
    if not entries:
        say(console, "suggested rules: none")
        return
    say(console, "suggested rules, for a file that --text-rules names:")
    for line in ("languages:", *entries):
        say(console, line)


def survey_as_dict(survey: TextSurvey) -> Mapping[str, Any]:
    """Return everything in a survey, in a form that JSON preserves."""
    return {
        "language": survey.language,
        "transcripts": survey.texts,
        "usable": survey.usable,
        "drops": survey.drops.as_dict(),
        "seen": dict(survey.seen.most_common()),
        "text": dict(survey.kept.most_common()),
        "lost": survey.lost(),
        "refused": dict(survey.refused.most_common()),
        "rare": {
            one: {"transcripts": survey.in_texts[one], "word": survey.example_words[one]} for one in survey.rare()
        },
        "scripts": dict(survey.scripts.most_common()),
        "mixed_script": survey.mixed,
        "mixed_words": dict(survey.mixed_words.most_common()),
        "look_alikes": survey.look_alikes(),
        "numbers_spelled": survey.spelled,
        "numbers_left_out": dict(survey.numbers.most_common()),
        "markup": dict(survey.markup.most_common()),
        "lengths": [
            {
                "unit": lengths.unit,
                "median": lengths.median,
                "suspicious": lengths.suspicious,
                "lowest": lengths.low,
                "highest": lengths.high,
            }
            for lengths in survey.lengths()
        ],
        "suggested_rules": suggested_rules(survey),
    }


def shown(character: str) -> str:
    """Return a character as it can be seen: a mark on a circle, an invisible one by its code point."""
    category = unicodedata.category(character)
    if category[0] == "M":
        return f"◌{character}"
    return f"U+{ord(character):04X}" if category[0] in "CZ" else character


def _counted(found: Iterable[tuple[str, int]]) -> str:
    return _listed(f"{shown(what) if len(what) == 1 else what} ({count:,})" for what, count in found)


def _listed(found: Iterable[str]) -> str:
    items = list(found)
    return ", ".join(items[:_SHOWN]) + (f" … and {len(items) - _SHOWN:,} more" if len(items) > _SHOWN else "")
