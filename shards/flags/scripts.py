"""The scripts that a language is written in, and texts that are mostly in another.

Codes: ISO 15924. Scripts are named as `shards.text.scripts` names them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from shards.language_table import language_table
from shards.text.scripts import scripts_in

_HAN, _JAPANESE, _KOREAN = ("Han",), ("Han", "Hiragana", "Katakana"), ("Hangul", "Han")
SCRIPTS: dict[str, tuple[str, ...]] = {
    **{"Arab": ("Arabic",), "Armn": ("Armenian",), "Beng": ("Bengali",), "Cans": ("Canadian Aboriginal",)},
    **{"Copt": ("Coptic",), "Cyrl": ("Cyrillic",), "Deva": ("Devanagari",), "Ethi": ("Ethiopic",)},
    **{"Geor": ("Georgian",), "Grek": ("Greek",), "Gujr": ("Gujarati",), "Guru": ("Gurmukhi",), "Hans": _HAN},
    **{"Hant": _HAN, "Hebr": ("Hebrew",), "Jpan": _JAPANESE, "Kali": ("Kayah",), "Khmr": ("Khmer",)},
    **{"Knda": ("Kannada",), "Kore": _KOREAN, "Laoo": ("Lao",), "Latn": ("Latin",), "Lepc": ("Lepcha",)},
    **{"Lisu": ("Lisu",), "Mlym": ("Malayalam",), "Mymr": ("Myanmar",), "Nkoo": ("N'Ko",), "Olck": ("Ol Chiki",)},
    **{"Orya": ("Oriya",), "Plrd": ("Miao",), "Sinh": ("Sinhala",), "Syrc": ("Syriac",), "Taml": ("Tamil",)},
    **{"Telu": ("Telugu",), "Tfng": ("Tifinagh",), "Thaa": ("Thaana",), "Thai": ("Thai",), "Tibt": ("Tibetan",)},
    **{"Vaii": ("Vai",), "Yiii": ("Yi",)},
}


def usual_scripts(language: str) -> tuple[str, ...]:
    """Return the scripts that the table of languages gives a training code; none if it does not know."""
    known = language_table().by_code.get(language)
    return SCRIPTS.get(known.script, ()) if known is not None else ()


def main_scripts(texts: Iterable[str]) -> tuple[str, ...]:
    """Return the script that most letters of the texts are in; none without letters."""
    counts: Counter[str] = Counter()
    for text in texts:
        counts += scripts_in(text)
    most = max(sorted(counts), key=lambda script: counts[script], default=None)
    return () if most is None else _JAPANESE if most in _JAPANESE and counts["Hiragana"] else (most,)


def share_outside(texts: Sequence[str], scripts: Sequence[str]) -> NDArray[np.float64]:
    """Return the share of each text's letters that are in none of the scripts; 0 without letters."""
    shares = np.zeros(len(texts))
    for row, text in enumerate(texts):
        found = scripts_in(text)
        if found and (total := sum(found.values())) > (inside := sum(found[script] for script in scripts)):
            shares[row] = 1 - inside / total
    return shares
