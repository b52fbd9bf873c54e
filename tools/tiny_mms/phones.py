"""Map espeak-ng's IPA to a small set of phone classes, as sequences and as frame labels.

Shapes: F frames of 20 ms.
"""

import unicodedata
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

STRIDE_SAMPLES = 320
_FIELD_SAMPLES = 400
_NASAL = "\u0303"
_KEPT_MODIFIERS = "ʰʲ"
# How espeak-ng writes sounds that a language has no IPA for.
_MNEMONICS = {
    "S": "ʃ", "Z": "ʒ", "N": "ŋ", "C": "ç", "D": "ð", "T": "θ", "L": "ʎ", "J": "ɟ", "R": "ʁ", "E": "ɛ", "O": "ɔ",
    "I": "ɪ", "U": "ʊ", "A": "a", "V": "ʌ", "Q": "ɣ", "X": "χ", "Y": "y",
}  # fmt: skip
# Letters that espeak-ng uses for the same sound, depending on the language.
_SAME = {
    "ɾ": "r", "ʀ": "ʁ", "g": "ɡ", "ε": "ɛ", "ɫ": "l", "ɭ": "l", "ɻ": "ɹ", "ɚ": "ə", "ɝ": "ɜ", "ᵻ": "ɨ", "ɵ": "ø",
    "ʉ": "u", "ɒ": "ɔ", "ɦ": "h", "ʋ": "v", "ɱ": "m", "ɳ": "n", "χ": "x", "ʏ": "y", "ɗ": "d", "ʝ": "j",
    "ʐ": "ʒ", "ʑ": "ʒ", "ɽ": "r",
}  # fmt: skip
_GLOTTAL_STOP = "ʔ"  # mostly how espeak-ng writes the Danish stød: not a sound of its own
SILENCE = 0  # silence shares its class with the CTC blank


def decompose(ipa: str) -> list[str]:
    """Return the base letters of one espeak-ng phone: no stress, length or tone; nasality, ʰ and ʲ follow as letters.

    >>> decompose("ˈɔø"), decompose("tʃ"), decompose("ɐ̃ː")
    (['ɔ', 'ø'], ['t', 'ʃ'], ['ɐ', '\u0303'])
    """
    letters: list[str] = []
    for character in unicodedata.normalize("NFD", ipa):
        if character == _GLOTTAL_STOP:
            continue
        if character in _KEPT_MODIFIERS or unicodedata.category(character) in ("Ll", "Lo", "Lu"):
            letter = _MNEMONICS.get(character, character)
            letters.append(_SAME.get(letter, letter))
        elif character == _NASAL and letters:
            letters.append(_NASAL)
    return letters


def frame_count(samples: int) -> int:
    """Return the frames that the seven MMS convolutions (kernels 10 3 3 3 3 2 2, strides 5 2 2 2 2 2 2) output."""
    for kernel, stride in zip((10, 3, 3, 3, 3, 2, 2), (5, 2, 2, 2, 2, 2, 2), strict=True):
        samples = (samples - kernel) // stride + 1
    return max(samples, 0)


class PhoneInventory:
    """Phone letters ↔ class numbers; class 0 is silence and the CTC blank."""

    def __init__(self, letters: Iterable[str]) -> None:
        self.letters = sorted(letters)
        self._class_of = {letter: number for number, letter in enumerate(self.letters, start=1)}

    def __len__(self) -> int:
        return len(self.letters) + 1

    def sequence(self, phones: list[tuple[str, int]]) -> NDArray[np.int16]:
        """Return class numbers in order, without letters outside the inventory."""
        classes = [self._class_of[letter] for ipa, _ in phones for letter in decompose(ipa) if letter in self._class_of]
        return np.array(classes, np.int16)

    def frames_F(self, phones: list[tuple[str, int]], scale: float, samples: int) -> NDArray[np.int8]:
        """Return the class at the centre of each frame.

        ``scale`` converts the phones' sample positions to 16 kHz samples (resampling and speed together);
        ``samples`` is the length at 16 kHz. A phone of several letters is divided evenly among them.
        """
        labels_F = np.zeros(frame_count(samples), np.int8)
        ends = [start for _, start in phones[1:]] + [round(samples / scale)]
        for (ipa, start), end in zip(phones, ends, strict=True):
            letters = decompose(ipa)
            for index, letter in enumerate(letters):
                first = (start + (end - start) * index / len(letters)) * scale
                last = (start + (end - start) * (index + 1) / len(letters)) * scale
                low, high = (int(np.ceil((at - _FIELD_SAMPLES / 2) / STRIDE_SAMPLES)) for at in (first, last))
                labels_F[max(low, 0) : max(high, 0)] = self._class_of.get(letter, SILENCE)
        return labels_F
