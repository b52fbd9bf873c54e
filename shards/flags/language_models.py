"""Tell by its characters which language of a corpus a text is in.

A text is a bag of trigrams, and a language has a probability for each (multinomial naive Bayes, as in Lui & Baldwin
2012, langid.py: an off-the-shelf language identification tool, https://aclanthology.org/P12-3005). Trigrams are hashed
into a fixed number of classes, so memory depends on the number of languages alone: 256 KiB each.

Legend: B classes of trigrams; L languages; T trigrams of a text.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

_CLASSES = 1 << 16
_SMOOTHING = 0.1
_FACTORS = np.array([0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D], np.uint64)
MOST_CHARACTERS = 400_000
"""Text of each language that is counted: as much of all, so that large corpora do not win by their size."""


class LikelierLanguage(NamedTuple):
    """The likeliest other language of a text, and how much likelier it is than its own: the logarithm of the ratio."""

    language: str
    log_ratio: float


class LanguageModels:
    """The trigrams of the languages of a corpus.

    Args:
        texts: some texts of each language. What follows the first `MOST_CHARACTERS` is not used.

    Attributes:
        counted: the number of texts that were used, the first ones, by language.
    """

    def __init__(self, texts: Mapping[str, Iterable[str]]) -> None:
        self.languages = tuple(sorted(texts))
        self.counted = dict.fromkeys(self.languages, 0)
        self._counts_BL = np.zeros((_CLASSES, len(self.languages)), np.float32)
        for number, language in enumerate(self.languages):
            characters = 0
            for text in texts[language]:
                if characters >= MOST_CHARACTERS:
                    break
                characters += len(text)
                self.counted[language] += 1
                np.add.at(self._counts_BL[:, number], _trigrams(text), 1)
        self._totals_L = self._counts_BL.sum(axis=0, dtype=np.float64) + _SMOOTHING * _CLASSES

    def leave_out(self, languages: Collection[str]) -> None:
        """Compare texts with these languages no longer."""
        kept = [number for number, language in enumerate(self.languages) if language not in languages]
        self.languages = tuple(self.languages[number] for number in kept)
        self._counts_BL, self._totals_L = self._counts_BL[:, kept], self._totals_L[kept]

    def likelier(self, text: str, language: str, *, counted: bool) -> LikelierLanguage | None:
        """Return the likeliest of the other languages, if it is likelier than the text's own.

        Args:
            counted: whether the text is one of those that the language was counted from. It is then not counted.
        """
        if len(self.languages) < 2 or language not in self.languages:
            return None
        own = self.languages.index(language)
        trigram_T, times_T = np.unique(_trigrams(text), return_counts=True)
        counts_TL = self._counts_BL[trigram_T].astype(np.float64)
        totals_L = self._totals_L.copy()
        if counted:
            counts_TL[:, own] = np.maximum(counts_TL[:, own] - times_T, 0)
            totals_L[own] -= times_T.sum()
        log_L = times_T @ (np.log(counts_TL + _SMOOTHING) - np.log(totals_L))
        log_own, log_L[own] = log_L[own], -np.inf
        best = int(np.argmax(log_L))
        ratio = float(log_L[best] - log_own)
        return LikelierLanguage(self.languages[best], ratio) if ratio > 0 else None


def _trigrams(text: str) -> NDArray[np.int64]:
    """Return the classes of the trigrams of a text, with a space before and after it."""
    codes = np.frombuffer(f" {text} ".encode("utf-32-le"), np.uint32).astype(np.uint64)
    if len(codes) < 3:
        return np.empty(0, np.int64)
    mixed = codes[:-2] * _FACTORS[0] + codes[1:-1] * _FACTORS[1] + codes[2:] * _FACTORS[2]
    return ((mixed ^ (mixed >> np.uint64(17))) % np.uint64(_CLASSES)).astype(np.int64)
