"""Keep the punctuation of sentences, next to the words that it belongs to."""

from __future__ import annotations

import re

# Before the word that they belong to.
_OPENING = frozenset("¿¡")
# After it: Western; ideographic; Arabic and Urdu; Indic; Armenian; Ethiopic; Burmese; Khmer; Tibetan; Mongolian; Cree;
# N'Ko; Lisu; Vai; Kayah Li; Limbu; of the Philippines. (Full-width forms are folded to Western ones.)
_CLOSING = frozenset(".,:;!?…‽、。،؛؟۔।॥՝։፡።፣፤፥፦፧፨၊။។៕៖།༎᠂᠃᙮߸߹꓾꓿꘍꘎꘏꤮꤯᥄᥅᜵᜶")
SIGNS = _OPENING | _CLOSING
_AFTER_IDEOGRAPHIC = re.compile("(?<=[、。]) ")


def attached(text: str) -> str:
    """Join signs that stand alone between spaces to their words. Repeated ones become one; those without a word go."""
    words: list[str] = []
    opening = ""
    for piece in text.split():
        if piece in _OPENING:
            opening += "" if opening.endswith(piece) else piece
        elif piece not in _CLOSING:
            words.append(opening + piece)
            opening = ""
        elif words and not words[-1].endswith(piece):
            words[-1] += piece
    return _AFTER_IDEOGRAPHIC.sub("", " ".join(words))
