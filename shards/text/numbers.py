"""Spell out numbers that have only one reading in their language. All others have to be spelled by hand."""

from __future__ import annotations

import functools
import re
import unicodedata

from shards.drops import Rejected
from shards.text_rules import TextRules

IDEOGRAPHIC_ZERO = "〇"

_DIGITS = re.compile(r"\d+")
_LETTER = re.compile(r"[^\W\d_]")
_WORDS = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")
# Characters allowed directly before and directly after a number that is spelled out.
_OPENING = '"“„«‹(¿¡'
_CLOSING = '"”“»›),;!?…'
# Read in full, together with the number before them: 5 km, 8 h, 5 th.
_UNITS = {
    *("nm", "mm", "cm", "dm", "m", "km", "ft", "mg", "g", "kg", "t", "oz", "ml", "cl", "dl", "l"),
    *("ms", "s", "sec", "min", "mins", "h", "hr", "hrs", "hz", "khz", "mhz", "w", "kw", "v", "c", "f", "k"),
    *("b", "kb", "mb", "gb", "tb", "bn", "mio", "mrd", "tsd", "x", "st", "nd", "rd", "th", "ère"),
    *("lb", "lbs", "mph", "kph", "kmh", "yd", "yds", "yr", "yrs", "std", "sek", "stk", "jh", "px", "rpm", "fps"),
    *("db", "ghz", "kcal", "mbps", "gbps", "pct"),
}
# Read together with the number after them: p 5, no 5.
_LABELS = {
    *("no", "nos", "nr", "num", "p", "pp", "vol", "x", "chap", "sect", "fig", "code", "pin"),
    *("tel", "tél", "fax", "dial", "ext", "extension"),
}
# Languages, as num2words names them, that capitalise all nouns; and those that read a king's number as a cardinal.
_CAPITAL_NOUNS = ("de",)
_CARDINAL_KINGS = ("de", "fr")
# No. 5, p. 5, vol. 5
_SHORTENED = re.compile(r"(?<![^\W\d_])[^\W\d_]{1,3}\.\s*$")
# Cyrillic letters typed for I and X in a numeral, and numerals in languages where I may be typed for palochka.
_ROMAN_TYPED = str.maketrans("ІХ", "IX")
_ROMAN_WITH_PALOCHKA = re.compile(r"(?<!\S)[IVXLCDMivxlcdm]*[ӏӀ][IVXLCDMivxlcdmӏӀ]*(?!\S)")
_ROMAN = re.compile(
    r"(?<![\w'’-])(?=[IVXLCDM]{2})M{0,3}(?:CM|CD|D?C{0,3})(?:XC|XL|L?X{0,3})(?:IX|IV|V?I{0,3})(?![\w'’])"
)


def has_numbers(text: str) -> bool:
    """Whether there are digits, fractions or numerals, by Unicode category, so that Chinese numerals are letters."""
    return any(unicodedata.category(character)[0] == "N" and character != IDEOGRAPHIC_ZERO for character in set(text))


def roman_numeral(text: str) -> str | None:
    """Return a Roman numeral in Latin capitals, unless the whole text is in capitals; None if there is none.

    Words and abbreviations that look like numerals (MIX, CD, DC, LI) do not count.
    """
    if text == text.upper():
        return None
    for found in _ROMAN.finditer(text.translate(_ROMAN_TYPED)):
        if len(found[0]) >= 4 or not set(found[0]) - set("IVX"):
            return found[0]
    return None


def numeral_of_palochka(words: str) -> str | None:
    """Return a word of only palochka and Latin numerals, which is no word in any language; None if there is none."""
    found = _ROMAN_WITH_PALOCHKA.search(words) if "ӏ" in words or "Ӏ" in words else None
    return found[0] if found else None


def spelled(text: str, rules: TextRules) -> str:
    """Return `text` with its whole numbers spelled out.

    Raises:
        Rejected: `numbers`, if a number is ambiguous: its reading depends on more than its digits (a date, a year, a
            telephone number, a unit), or its form depends on the noun next to it.
    """
    if rules.numbers == "drop":
        raise Rejected("numbers", repr(text))
    text = "".join(
        str(unicodedata.digit(character)) if unicodedata.category(character) == "Nd" else character
        for character in text
    )
    if not all(_is_certain(found, text, rules) for found in _DIGITS.finditer(text)):
        raise Rejected("numbers", repr(text))
    words = _DIGITS.sub(lambda found: _words(int(found[0]), rules.numbers), text)
    if has_numbers(words) or not _is_one_script(words):
        raise Rejected("numbers", repr(text))
    return words


@functools.lru_cache(maxsize=4096)
def _words(number: int, language: str) -> str:
    from num2words import num2words

    return str(num2words(number, lang=language))


def _is_certain(found: re.Match[str], text: str, rules: TextRules) -> bool:
    digits = found[0]
    if digits[0] == "0" or len(digits) > 15 or int(digits) > rules.numbers_up_to or int(digits) in rules.numbers_unsure:
        return False
    before, after = text[: found.start()], text[found.end() :]
    return (
        (not before or before[-1].isspace() or before[-1] in _OPENING)
        and _can_end_a_cardinal(after, rules)
        and _stands_alone(before, after)
        and not _has_ambiguous_neighbour(before, after, frozenset(rules.numbers_not_beside))
        and not (_begins_a_name(after) and rules.numbers not in _CAPITAL_NOUNS and text != text.upper())
        and not (_ends_a_name(before) and rules.numbers not in _CARDINAL_KINGS and text != text.upper())
    )


def _can_end_a_cardinal(after: str, rules: TextRules) -> bool:
    """Whether the text after a number leaves it a cardinal. A dot does at the end, if it does not mark ordinals."""
    if after[:1] == ".":
        return rules.number_dot == "stop" and not any(map(str.isalnum, after))
    return not after or after[0].isspace() or after[0] in _CLOSING


def _stands_alone(before: str, after: str) -> bool:
    """Whether words or commas separate the number from other numbers, and no symbol next to it may be read aloud."""
    left, right = _LETTER.split(before)[-1], _LETTER.split(after)[0]
    if any(unicodedata.category(character)[0] == "S" for character in left + right) or before.rstrip().endswith(
        ("/", "\\")
    ):
        return False
    if _SHORTENED.search(before):
        return False
    if any(unicodedata.category(character) == "Pd" for character in left):
        return False
    return all(
        not any(map(str.isdigit, between)) or re.search(r"[,;!?]\s", between) is not None for between in (left, right)
    )


def _has_ambiguous_neighbour(before: str, after: str, words: frozenset[str]) -> bool:
    """Whether a unit, a label or one of `words` is next to the number, or `words` two words later: "5 of May"."""
    left = _WORDS.findall(before.lower())[-1:]
    right = _WORDS.findall(after.lower())[:2]
    two_on = right[1:] if len(right) == 2 and len(right[0]) <= 2 else []
    return not (
        words.isdisjoint([*left, *right[:1], *two_on]) and _LABELS.isdisjoint(left) and _UNITS.isdisjoint(right[:1])
    )


def _begins_a_name(after: str) -> bool:
    """Whether the next word is a name: in "2 Samuel" the number is an ordinal, and "5 May" is a date."""
    words = _WORDS.findall(after)
    return bool(words) and after.lstrip().startswith(words[0]) and words[0][0].isupper()


def _ends_a_name(before: str) -> bool:
    """Whether the previous word is a name and does not begin a sentence: in "Juan Pablo 2" the number is an ordinal."""
    words = _WORDS.findall(before)
    return (
        len(words) > 1
        and before.rstrip().endswith(words[-1])
        and words[-1][0].isupper()
        and not set(words[-1]) & set("'’")
        and not re.search(r"[.!?…]\W*$", before.rstrip().removesuffix(words[-1]))
    )


def _is_one_script(text: str) -> bool:
    """Whether all letters are of one script, so that the spelled numbers match the text around them."""
    return len({unicodedata.name(character, "").partition(" ")[0] for character in text if character.isalpha()}) <= 1
