"""What single characters are, whatever their language: invisible, another form of a letter, or part of a word."""

from __future__ import annotations

import functools
import re
import unicodedata

# Typed for an apostrophe, or made by compatibility forms. Some are letters to Unicode, none is one in a language.
TYPED_APOSTROPHES = "'’‘‛`´′‵ʹ՚׳᾽᾿῾"
# Letters to Unicode, and an apostrophe to the eye: U+02BC, U+02BD, and the saltillo in both cases.
LETTER_APOSTROPHES = "ʼʽꞋꞌ"
JOINERS = "\u200c\u200d"
TATWEEL = "\u0640"

# Punctuation or symbols to Unicode, and parts of words: ideographic zero, the letters ꞉ ꞊, of CLDR's main sets the
# Burmese words ၌ ၍ ၎ ၏ and signs of Shan, Bengali and Nyiakeng Hmong, and the words of one sign in Sindhi (and, in),
# Cree (Christ), Limbu and New Tai Lue.
ALSO_LETTERS = frozenset("〇꞉꞊၌၍၎၏႞႟৺\U0001e14f۽۾᙭᥀᧞᧟")
# Letters and marks by category that show and say nothing: grapheme joiner, fillers, inherent vowels, selectors.
_INVISIBLE = frozenset(
    map(
        chr,
        [
            *(0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2065, 0x3164, 0xFFA0),
            *(*range(0x180B, 0x1810), *range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0)),
        ],
    )
)
# Marks of intonation and recitation that are written into words: Armenian emphasis, exclamation, question and
# abbreviation, Hebrew cantillation, Koranic pauses, and the strokes that only stretch a word (tatweel, lajanyalan).
_NOT_SAID = frozenset(
    map(chr, [0x055B, 0x055C, 0x055E, 0x055F, 0x0640, 0x07FA, *range(0x0591, 0x05AF), *range(0x06D6, 0x06DD)])
)
# Compatibility forms that are other characters to a reader: NFKC takes the vowel am of Thai and Lao apart, two Lao
# consonants and the Armenian letter yev; Hangul letters that stand alone would join their neighbours.
_KEPT_FORMS = frozenset("\u0e33\u0eb3\u0edc\u0eddև") | frozenset(map(chr, range(0x3131, 0x318F)))
_KEPT_KINDS = ("<super>", "<sub>", "<fraction>", "<circle>", "<square>")

# Scripts in which a joiner between letters is spelling: Arabic, Syriac, Thaana, N'Ko and the scripts of India and
# their kin. Elsewhere (Latin, Cyrillic, Thai …) it is left over from a page's layout.
_JOINING = (
    "\u0600-\u08ff\u0900-\u0dff\u1000-\u109f\u1780-\u17ff\u1b00-\u1b7f\ua8e0-\ua8ff\ua980-\ua9df\U00011000-\U00011fff"
)
_STRAY_JOINER = re.compile(f"(?<![{_JOINING}])[{JOINERS}]+")
_RUN_OF_JOINERS = re.compile(f"([{JOINERS}])[{JOINERS}]+")
_OUTER_JOINER = re.compile(f"[{JOINERS}](?![{_JOINING}])")

# Their dot is part of them: one above, as `İ` leaves behind when it becomes small, is the same letter.
_SOFT_DOTTED = frozenset("ijıȷɨʝɉіј")
_DOT_ABOVE = "\u0307"
_DOTTED = re.compile(f"(\\w)([\u0300-\u036f]*?){_DOT_ABOVE}")


@functools.cache
def is_letter(character: str) -> bool:
    """Whether it is part of a word by itself: a letter, a mark on one, or one of a few that Unicode files elsewhere."""
    return unicodedata.category(character)[0] in "LM" or character in ALSO_LETTERS


def is_mark(character: str) -> bool:
    """Whether it stands on the letter before it."""
    return unicodedata.category(character)[0] == "M"


def visible(text: str, *, joiners: bool) -> str:
    """`text` without what shows nothing; of the joiners those are left that may be spelling, if `joiners`."""
    if text.isascii():
        return text
    text = text.translate(_VISIBLE)
    if joiners:
        return _RUN_OF_JOINERS.sub(r"\1", _STRAY_JOINER.sub("", text))
    return text.translate(dict.fromkeys(map(ord, JOINERS)))


def without_outer_joiners(text: str) -> str:
    """`text` without joiners that have no letter of their script behind them."""
    return _OUTER_JOINER.sub("", text)


def folded(text: str) -> str:
    """`text` in NFC, with ligatures, full-width letters and presentation forms as the letters that they stand for.

    That is NFKC, but for what NFKC gives another reading: raised letters (gʷ is not gw), numerals, symbols (№ is not
    "no"), and accents that stand alone.
    """
    return text if text.isascii() else unicodedata.normalize("NFC", text.translate(_FOLDED))


def without_soft_dots(text: str) -> str:
    """`text` without dots above on letters that have one anyhow."""
    if _DOT_ABOVE not in text:
        return text
    previous = ""
    while previous != text:
        previous, text = text, _DOTTED.sub(_without_dot, text)
    return text


def _without_dot(found: re.Match[str]) -> str:
    base = unicodedata.normalize("NFD", found[1])[0]
    # A letter that has no dot of its own, as ı, is i with it.
    letter = {"ı": "i", "ȷ": "j"}.get(found[1], found[1])
    return unicodedata.normalize("NFC", letter + found[2]) if base in _SOFT_DOTTED else found[0]


class _Table(dict[int, str]):
    """For `str.translate`: filled as characters are met."""

    def __missing__(self, codepoint: int) -> str:
        self[codepoint] = piece = self.piece(chr(codepoint))
        return piece

    def piece(self, character: str) -> str:
        raise NotImplementedError


class _Visible(_Table):
    def piece(self, character: str) -> str:
        invisible = unicodedata.category(character) == "Cf" and character not in JOINERS
        return "" if invisible or character in _INVISIBLE or character in _NOT_SAID else character


class _Folded(_Table):
    def piece(self, character: str) -> str:
        plain = unicodedata.normalize("NFKC", character)
        kind = unicodedata.decomposition(character).partition(" ")[0]
        category = unicodedata.category(character)
        if character in _KEPT_FORMS or kind in _KEPT_KINDS or category[0] == "S" or category in ("Nl", "No"):
            return character
        if plain[:1] == " " and category[0] != "Z":
            # A mark shown on a space: the mark if it belongs into a word, as the isolated Arabic vowels do.
            return plain.lstrip() if category == "Lo" else character
        return plain.replace(TATWEEL, "")


_VISIBLE = _Visible()
_FOLDED = _Folded()
