"""A model that hears the tones of `tests.corpus.speak` without any training, for tests of searches."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from shards.schema import SAMPLE_RATE, frames_of
from shards.vocabulary import BLANK, SPACE, Vocabulary
from tests.corpus import speak

ALPHABET = "abcdefgh"
_FRAME = 320
_QUIET = 1000.0


class ToneModel:
    """Has the methods of `AcousticModel` that alignment uses.

    Args:
        wrong: share of the frames in which it hears any letter.
    """

    chunk_samples = 20 * SAMPLE_RATE

    def __init__(self, languages: Sequence[str] = ("ita",), *, wrong: float = 0.0) -> None:
        self.vocabularies = {language: Vocabulary.build(language, [ALPHABET]) for language in languages}
        self._wrong = wrong

    def identity(self, language: str) -> str:
        return f"tones {self._wrong}, adapter {language}"

    def log_probs(self, languages: Sequence[str], audio: Sequence[NDArray[np.int16]]) -> list[NDArray[np.float32]]:
        return [self._hear(self.vocabularies[code], each) for code, each in zip(languages, audio, strict=True)]

    def _hear(self, vocabulary: Vocabulary, audio: NDArray[np.int16]) -> NDArray[np.float32]:
        frames = frames_of(len(audio))
        pieces = np.lib.stride_tricks.sliding_window_view(audio.astype(np.float64), _FRAME)[::_FRAME][:frames]
        spectrum = np.abs(np.fft.rfft(pieces * np.hanning(_FRAME), 4096))
        hertz = spectrum.argmax(axis=1) * SAMPLE_RATE / 4096
        letter_T = np.clip(np.round((hertz - 200) / 90).astype(int) - 1, 0, len(ALPHABET) - 1)
        random = np.random.default_rng(len(audio))
        letter_T = np.where(random.random(frames) < self._wrong, random.integers(0, len(ALPHABET), frames), letter_T)
        label_T = np.where(np.square(pieces).mean(axis=1) ** 0.5 < _QUIET, SPACE, SPACE + 1 + letter_T)
        log_prob_TV = np.full((frames, len(vocabulary)), np.log(0.02))
        log_prob_TV[np.arange(frames), label_T] = np.log(0.9)
        log_prob_TV[label_T == SPACE, BLANK] = np.log(0.5)
        return (log_prob_TV - np.log(np.exp(log_prob_TV).sum(axis=1, keepdims=True))).astype(np.float32)


def sentences(count: int, seed: int = 0) -> list[str]:
    """Texts of a few words in which no letter follows itself."""
    random = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        letters: list[str] = []
        while len(letters) < 24:
            letter = str(random.choice(list(ALPHABET)))
            if not letters or letters[-1] != letter:
                letters.append(letter)
        edges = sorted(random.choice(np.arange(2, 23, 3), 5, replace=False).tolist())
        found.append(" ".join("".join(letters[a:b]) for a, b in zip([0, *edges], [*edges, 24], strict=True)))
    return found


def recording(texts: Sequence[str], pause_seconds: float = 0.4) -> tuple[NDArray[np.int16], list[tuple[float, float]]]:
    """Return audio that says the texts one after the other, and the start and end of each in seconds."""
    random = np.random.default_rng(7)
    pieces: list[NDArray[np.float32]] = []
    spans = []
    samples = 0
    for text in texts:
        said = speak(text, random)
        pause = random.normal(0, 0.01, round(pause_seconds * SAMPLE_RATE)).astype(np.float32)
        spans.append((samples / SAMPLE_RATE, (samples + len(said)) / SAMPLE_RATE))
        pieces += [said, pause]
        samples += len(said) + len(pause)
    return (np.concatenate(pieces) * 32767).astype(np.int16), spans
