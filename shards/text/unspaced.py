"""Languages whose writing has no spaces between words, so that a space in a transcript is a matter of taste."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from shards.text.scripts import scripts_in

_CHINESE = ("cdo", "cjy", "cmn", "cpx", "czh", "czo", "gan", "hak", "hsn", "lzh", "mnp", "nan", "wuu", "yue", "zho")
_TIBETAN = ("adx", "bod", "dzo", "khg")
_THAI = ("nod", "sou", "tha", "tts")

UNSPACED: dict[str, frozenset[str]] = {
    **dict.fromkeys(_CHINESE, frozenset({"Han"})),
    **dict.fromkeys(_TIBETAN, frozenset({"Tibetan"})),
    **dict.fromkeys(_THAI, frozenset({"Thai"})),
    "jpn": frozenset({"Han", "Hiragana", "Katakana"}),
    "khm": frozenset({"Khmer"}),
    "lao": frozenset({"Lao"}),
    "mya": frozenset({"Myanmar"}),
    "rki": frozenset({"Myanmar"}),
    "shn": frozenset({"Myanmar"}),
}
"""By ISO 639-3 code, the scripts in which a language is written so. Hakka and Min Nan in Latin letters have spaces."""


def is_unspaced(language: str, texts: Iterable[str]) -> bool:
    """Whether the words of these texts are not spaced: the language is in `UNSPACED`, and most letters are of its
    scripts there."""
    scripts = UNSPACED.get(language.partition("-")[0])
    if scripts is None:
        return False
    letters: Counter[str] = Counter()
    for text in texts:
        letters.update(scripts_in(text))
    return 2 * sum(letters[script] for script in scripts) > letters.total()
