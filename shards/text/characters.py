"""Properties of single characters in any language: invisible, a compatibility form of a letter, or part of a word."""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Callable

# Typed in place of an apostrophe, or produced by NFKC. Unicode calls some of them letters; no language does.
TYPED_APOSTROPHES = "'’‘‛`´′‵ʹ՚׳᾽᾿῾"
# Letters in Unicode that look like an apostrophe: U+02BC, U+02BD, and the saltillo in both cases.
LETTER_APOSTROPHES = "ʼʽꞋꞌ"
JOINERS = "\u200c\u200d"
TATWEEL = "\u0640"

# Punctuation or symbols in Unicode that are parts of words: ideographic zero; the letters ꞉ ꞊; from CLDR's main sets,
# the Burmese words ၌ ၍ ၎ ၏ and signs of Shan, Bengali and Nyiakeng Hmong; and one-character words in Sindhi (and, in),
# Cree (Christ), Limbu and New Tai Lue.
ALSO_LETTERS = frozenset("〇꞉꞊၌၍၎၏႞႟৺\U0001e14f۽۾᙭᥀᧞᧟")
# Letters and marks by category that are invisible and silent: grapheme joiner, fillers, inherent vowels, selectors.
_INVISIBLE = frozenset(
    map(
        chr,
        [
            *(0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2065, 0x3164, 0xFFA0),
            *(*range(0x180B, 0x1810), *range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0)),
        ],
    )
)
# Intonation and recitation marks written inside words: Armenian emphasis, exclamation, question and abbreviation,
# Hebrew cantillation, Koranic pauses, and the strokes that only stretch a word (tatweel, lajanyalan).
_NOT_SAID = frozenset(
    map(chr, [0x055B, 0x055C, 0x055E, 0x055F, 0x0640, 0x07FA, *range(0x0591, 0x05AF), *range(0x06D6, 0x06DD)])
)
# Compatibility forms that readers see as different characters. NFKC decomposes the vowel am of Thai and Lao, two Lao
# consonants and the Armenian letter yev; and standalone Hangul letters would join their neighbours.
_KEPT_FORMS = frozenset("\u0e33\u0eb3\u0edc\u0eddև") | frozenset(map(chr, range(0x3131, 0x318F)))
_KEPT_KINDS = ("<super>", "<sub>", "<fraction>", "<circle>", "<square>")

# Scripts in which a joiner between letters is part of the spelling: Arabic, Syriac, Thaana, N'Ko, and Indic and related
# scripts. In others (Latin, Cyrillic, Thai …) it is left over from page layout.
_JOINING = (
    "\u0600-\u08ff\u0900-\u0dff\u1000-\u109f\u1780-\u17ff\u1b00-\u1b7f\ua8e0-\ua8ff\ua980-\ua9df\U00011000-\U00011fff"
)
_STRAY_JOINER = re.compile(f"(?<![{_JOINING}])[{JOINERS}]+")
_RUN_OF_JOINERS = re.compile(f"([{JOINERS}])[{JOINERS}]+")
_OUTER_JOINER = re.compile(f"[{JOINERS}](?![{_JOINING}])")

# Letters with a dot of their own. A combining dot above, as lower-casing `İ` produces, changes nothing.
_SOFT_DOTTED = frozenset("ijıȷɨʝɉіј")
_DOT_ABOVE = "\u0307"
_DOTTED = re.compile(f"(\\w)([\u0300-\u036f]*?){_DOT_ABOVE}")


@functools.cache
def is_letter(character: str) -> bool:
    """Whether the character is part of a word: a letter, a mark, or one of `ALSO_LETTERS`."""
    return unicodedata.category(character)[0] in "LM" or character in ALSO_LETTERS


def is_mark(character: str) -> bool:
    """Whether the character is a combining mark on the letter before it."""
    return unicodedata.category(character)[0] == "M"


def visible(text: str, *, joiners: bool) -> str:
    """Remove invisible characters. With `joiners`, keep the joiners that may be part of the spelling."""
    if text.isascii():
        return text
    text = text.translate(_VISIBLE)
    if joiners:
        return _RUN_OF_JOINERS.sub(r"\1", _STRAY_JOINER.sub("", text))
    return text.translate(dict.fromkeys(map(ord, JOINERS)))


def without_outer_joiners(text: str) -> str:
    """Remove joiners that are not followed by a letter of a script that uses them."""
    return _OUTER_JOINER.sub("", text)


def folded(text: str) -> str:
    """Return `text` in NFC, with ligatures, full-width letters and presentation forms as the letters they stand for.

    This is NFKC except where NFKC changes the reading: raised letters (gʷ is not gw), numerals, symbols (№ is not
    "no"), and standalone accents.
    """
    return text if text.isascii() else unicodedata.normalize("NFC", text.translate(_FOLDED))


def without_soft_dots(text: str) -> str:
    """Remove combining dots above from letters that already have a dot."""
    if _DOT_ABOVE not in text:
        return text
    previous = ""
    while previous != text:
        previous, text = text, _DOTTED.sub(_without_dot, text)
    return text


def _without_dot(found: re.Match[str]) -> str:
    base = unicodedata.normalize("NFD", found[1])[0]
    # A dotless letter with a dot above is the dotted letter: ı becomes i.
    letter = {"ı": "i", "ȷ": "j"}.get(found[1], found[1])
    return unicodedata.normalize("NFC", letter + found[2]) if base in _SOFT_DOTTED else found[0]


class _Table(dict[int, str]):
    """A table for `str.translate`, filled by `piece_of` when a character first occurs."""

    def __init__(self, piece_of: Callable[[str], str]) -> None:
        super().__init__()
        self._piece_of = piece_of

    def __missing__(self, codepoint: int) -> str:
        self[codepoint] = piece = self._piece_of(chr(codepoint))
        return piece


def _visible_piece(character: str) -> str:
    invisible = unicodedata.category(character) == "Cf" and character not in JOINERS
    return "" if invisible or character in _INVISIBLE or character in _NOT_SAID else character


def _folded_piece(character: str) -> str:
    plain = unicodedata.normalize("NFKC", character)
    kind = unicodedata.decomposition(character).partition(" ")[0]
    category = unicodedata.category(character)
    if character in _KEPT_FORMS or kind in _KEPT_KINDS or category[0] == "S" or category in ("Nl", "No"):
        return character
    if plain[:1] == " " and category[0] != "Z":
        # A mark shown on a space: keep the mark alone if it belongs to words, like the isolated Arabic vowels.
        return plain.lstrip() if category == "Lo" else character
    return plain.replace(TATWEEL, "")


_VISIBLE = _Table(_visible_piece)
_FOLDED = _Table(_folded_piece)
