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
SILENCE = 0  # silence shares its class with the CTC blank


def decompose(ipa: str) -> list[str]:
    """Return the base letters of one espeak-ng phone: no stress, length or tone; nasal vowels, ʰ and ʲ are kept.

    >>> decompose("ˈɔø"), decompose("tʃ"), decompose("ɐ̃ː")
    (['ɔ', 'ø'], ['t', 'ʃ'], ['ɐ̃'])
    """
    letters: list[str] = []
    for character in unicodedata.normalize("NFD", ipa):
        if character in _KEPT_MODIFIERS or unicodedata.category(character) in ("Ll", "Lo", "Lu"):
            letters.append(character)
        elif character == _NASAL and letters and letters[-1] not in _KEPT_MODIFIERS:
            letters[-1] += _NASAL
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
