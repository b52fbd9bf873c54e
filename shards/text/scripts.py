"""The scripts that letters belong to, by their Unicode names."""

from __future__ import annotations

import functools
import re
import unicodedata
from collections import Counter

_WORDS = re.compile(r"[^\W\d_]+")
# Scripts that are written together: Japanese and Korean.
_JAPANESE = frozenset({"Han", "Hiragana", "Katakana"})
_KOREAN = frozenset({"Han", "Hangul"})
_NAMES = {"Cjk": "Han", "Ideographic": "Han", "Canadian": "Canadian Aboriginal", "Nko": "N'Ko", "Ol": "Ol Chiki"}


@functools.lru_cache(maxsize=65536)
def script_of(character: str) -> str:
    """Return the script of a letter, such as `Latin`; empty for marks, signs, and letters that modify others."""
    plain = unicodedata.normalize("NFKC", character)[:1]
    if unicodedata.category(plain) not in ("Ll", "Lu", "Lt", "Lo") or plain in "ªº":
        return ""
    word = unicodedata.name(plain, "").partition(" ")[0].capitalize()
    return _NAMES.get(word, word)


def scripts_in(text: str) -> Counter[str]:
    """Return how many letters of each script are in `text`."""
    if text.isascii():
        letters = sum(map(str.isalpha, text))
        return Counter({"Latin": letters} if letters else {})
    return Counter(script for character in text if (script := script_of(character)))


def is_mixed(scripts: Counter[str]) -> bool:
    """Whether the scripts are more than one, and are not written together as in Japanese and Korean."""
    found = scripts.keys()
    return len(found) > 1 and not found <= _JAPANESE and not found <= _KOREAN


def mixed_words(text: str) -> list[str]:
    """Return the words with letters of several scripts, as typing errors leave them."""
    return [] if text.isascii() else [word for word in _WORDS.findall(text) if is_mixed(scripts_in(word))]
