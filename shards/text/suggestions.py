"""Suggest text rules from a survey, as YAML that can be pasted into a file for `--text-rules`."""

from __future__ import annotations

import json
import unicodedata

from shards.language_table import language_table
from shards.text.scripts import script_of
from shards.text.survey import TextSurvey
from shards.wording import counted

_SHOWN = 8
_LONGEST_TAG = 20


def suggested_rules(survey: TextSurvey) -> list[str]:
    """Return the lines of one language's entry; empty if there is nothing to suggest.

    What a person has to complete, such as how a symbol is read, is a comment.
    """
    lines: list[str] = []
    replaced = [
        f"      {json.dumps(old)}: {_quoted(new)}  # {script_of(letter)} {old}, as in {_word_with(survey, letter)}"
        for letter, other in survey.look_alikes().items()
        for old, new in dict.fromkeys([(letter, other), (letter.upper(), other.upper())])
    ]
    unread = [
        f'      # {_quoted(character)}: " … "  # {unicodedata.name(character, "no name")}: write how it is read; '
        f"{counted(number, 'transcript')} left out"
        for character, number in survey.refused.most_common(_SHOWN)
    ]
    if replaced or unread:
        lines += ["    replace:" if replaced else "    # replace:", *replaced, *unread]
    tags = [tag for tag, _ in survey.markup.most_common(_SHOWN) if tag and len(tag) <= _LONGEST_TAG]
    if survey.drops["markup"] and tags:
        shown = ", ".join(_quoted(tag) for tag in tags)
        lines.append(f"    markup: [{shown}]  # {counted(survey.drops['markup'], 'transcript')} left out")
    spelling = _num2words_code(survey.language)
    if survey.numbers and survey.rules.numbers == "drop" and spelling:
        lines.append(
            f"    # numbers: {spelling}  # spells whole numbers up to {survey.rules.numbers_up_to}; only if their form "
            "depends on neither gender nor case"
        )
    return [f"  {survey.language}:", *lines] if lines else []


def _quoted(text: str) -> str:
    """Return YAML of a string in which every character can be seen."""
    seen = all(unicodedata.category(character)[0] in "LNPS" or character == " " for character in text)
    return json.dumps(text, ensure_ascii=not seen)


def _word_with(survey: TextSurvey, letter: str) -> str:
    word = next((word for word, _ in survey.mixed_words.most_common() if letter in word), "")
    return word or survey.example_words.get(letter, letter)


def _num2words_code(language: str) -> str | None:
    """Return num2words' code for a language; None if it does not know it."""
    from num2words import CONVERTER_CLASSES

    known = language_table().by_code.get(language)
    aliases = known.aliases if known else ()
    return next((alias for alias in aliases if len(alias) == 2 and alias in CONVERTER_CLASSES), None)
