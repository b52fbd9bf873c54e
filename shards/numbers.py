"""Numbers in words, where their language leaves no choice: all others are for a person to spell."""

from __future__ import annotations

import functools
import re
import unicodedata

from shards.rejected import Rejected
from shards.text_rules import TextRules

IDEOGRAPHIC_ZERO = "〇"

_DIGITS = re.compile(r"\d+")
_LETTER = re.compile(r"[^\W\d_]")
_WORDS = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")
# May stand right before and right behind a number that is spelled.
_OPENING = '"“„«‹(¿¡'
_CLOSING = '"”“»›),;!?…'
# Read in full and with the number before them: 5 km, 8 h, 5 th.
_UNITS = {
    *("nm", "mm", "cm", "dm", "m", "km", "ft", "mg", "g", "kg", "t", "oz", "ml", "cl", "dl", "l"),
    *("ms", "s", "sec", "min", "mins", "h", "hr", "hrs", "hz", "khz", "mhz", "w", "kw", "v", "c", "f", "k"),
    *("b", "kb", "mb", "gb", "tb", "bn", "mio", "mrd", "tsd", "x", "st", "nd", "rd", "th", "ère"),
    *("lb", "lbs", "mph", "kph", "kmh", "yd", "yds", "yr", "yrs", "std", "sek", "stk", "jh", "px", "rpm", "fps"),
    *("db", "ghz", "kcal", "mbps", "gbps", "pct"),
}
# Read with the number behind them: p 5, no 5.
_LABELS = {
    *("no", "nos", "nr", "num", "p", "pp", "vol", "x", "chap", "sect", "fig", "code", "pin"),
    *("tel", "tél", "fax", "dial", "ext", "extension"),
}
# Languages, as num2words names them, that write all nouns with a capital; and where a king's number is a cardinal.
_CAPITAL_NOUNS = ("de",)
_CARDINAL_KINGS = ("de", "fr")
# No. 5, p. 5, vol. 5
_SHORTENED = re.compile(r"(?<![^\W\d_])[^\W\d_]{1,3}\.\s*$")
# Cyrillic letters typed for I and X in a numeral, and what numerals are where I is typed for palochka.
_ROMAN_TYPED = str.maketrans("ІХ", "IX")
_ROMAN_WITH_PALOCHKA = re.compile(r"(?<!\S)[IVXLCDMivxlcdm]*[ӏӀ][IVXLCDMivxlcdmӏӀ]*(?!\S)")
_ROMAN = re.compile(
    r"(?<![\w'’-])(?=[IVXLCDM]{2})M{0,3}(?:CM|CD|D?C{0,3})(?:XC|XL|L?X{0,3})(?:IX|IV|V?I{0,3})(?![\w'’])"
)


def has_numbers(text: str) -> bool:
    """Whether there are digits, fractions or numerals; by category, since Chinese numerals are letters here."""
    return any(unicodedata.category(character)[0] == "N" and character != IDEOGRAPHIC_ZERO for character in set(text))


def roman_numeral(text: str) -> str | None:
    """A numeral that Latin capitals write, in a text that does not consist of capitals; None if there is none.

    Words and abbreviations that look like one (MIX, CD, DC, LI) are none.
    """
    if text == text.upper():
        return None
    for found in _ROMAN.finditer(text.translate(_ROMAN_TYPED)):
        if len(found[0]) >= 4 or not set(found[0]) - set("IVX"):
            return found[0]
    return None


def numeral_of_palochka(words: str) -> str | None:
    """A word of palochka and Latin numerals alone, which is none in any language; None if there is none."""
    found = _ROMAN_WITH_PALOCHKA.search(words) if "ӏ" in words or "Ӏ" in words else None
    return found[0] if found else None


def spelled(text: str, rules: TextRules) -> str:
    """`text` with its whole numbers in words.

    Raises:
        Rejected: `numbers`, if one of them is not certain: its reading depends on more than its digits (a date, a
            year, a telephone number, a unit), or its form on the noun beside it.
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
    before, behind = text[: found.start()], text[found.end() :]
    return (
        (not before or before[-1].isspace() or before[-1] in _OPENING)
        and _ends_well(behind, rules)
        and _is_apart(before, behind)
        and not _stands_beside(before, behind, frozenset(rules.numbers_not_beside))
        and not (_begins_a_name(behind) and rules.numbers not in _CAPITAL_NOUNS and text != text.upper())
        and not (_ends_a_name(before) and rules.numbers not in _CARDINAL_KINGS and text != text.upper())
    )


def _ends_well(behind: str, rules: TextRules) -> bool:
    """Whether what follows leaves it a cardinal: a full stop does at the text's end, where it is not an ordinal's."""
    if behind[:1] == ".":
        return rules.number_dot == "stop" and not any(map(str.isalnum, behind))
    return not behind or behind[0].isspace() or behind[0] in _CLOSING


def _is_apart(before: str, behind: str) -> bool:
    """Whether words or commas stand between it and the next numbers, and no sign beside it that may be read."""
    left, right = _LETTER.split(before)[-1], _LETTER.split(behind)[0]
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


def _stands_beside(before: str, behind: str, words: frozenset[str]) -> bool:
    """Whether a unit, a label or one of `words` is beside it, or one of these two words on, as in "5 of May"."""
    left = _WORDS.findall(before.lower())[-1:]
    right = _WORDS.findall(behind.lower())[:2]
    two_on = right[1:] if len(right) == 2 and len(right[0]) <= 2 else []
    return not (
        words.isdisjoint([*left, *right[:1], *two_on]) and _LABELS.isdisjoint(left) and _UNITS.isdisjoint(right[:1])
    )


def _begins_a_name(behind: str) -> bool:
    """Whether the next word is a name: 2 Samuel is the second, and 5 May is a day."""
    words = _WORDS.findall(behind)
    return bool(words) and behind.lstrip().startswith(words[0]) and words[0][0].isupper()


def _ends_a_name(before: str) -> bool:
    """Whether the word before is a name, and none that begins a sentence: Juan Pablo 2 is the second."""
    words = _WORDS.findall(before)
    return (
        len(words) > 1
        and before.rstrip().endswith(words[-1])
        and words[-1][0].isupper()
        and not set(words[-1]) & set("'’")
        and not re.search(r"[.!?…]\W*$", before.rstrip().removesuffix(words[-1]))
    )


def _is_one_script(text: str) -> bool:
    """Whether the words are in the script of the text around them, if there is any."""
    return len({unicodedata.name(character, "").partition(" ")[0] for character in text if character.isalpha()}) <= 1
