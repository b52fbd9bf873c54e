"""Remove diacritics from the letters of scripts in which they are not vowels of their own."""

from __future__ import annotations

import unicodedata

from shards.text.characters import is_mark

_SCRIPTS = ("ARABIC", "CYRILLIC", "GREEK", "HEBREW", "LATIN")
# Hamza and madda are letters that are written above or below another.
_KEPT_MARKS = frozenset("\u0653\u0654\u0655")


def without_diacritics(text: str, kept: str = "") -> str:
    """Return `text` in NFC, without the marks on Latin, Greek, Cyrillic, Arabic and Hebrew letters.

    Args:
        kept: letters that keep their marks, such as `й`.
    """
    if text.isascii():
        return text
    pieces: list[str] = []
    stripping = False
    for character in unicodedata.normalize("NFC", text):
        if is_mark(character):
            if not stripping or character in _KEPT_MARKS:
                pieces.append(character)
            continue
        stripping = unicodedata.name(character, "").startswith(_SCRIPTS) and character not in kept
        if not stripping:
            pieces.append(character)
            continue
        decomposed = unicodedata.normalize("NFD", character)
        pieces += [decomposed[0], *(mark for mark in decomposed[1:] if mark in _KEPT_MARKS)]
    return unicodedata.normalize("NFC", "".join(pieces))
