"""espeak-ng's formant voices: less natural than the others, but with the place of each phone."""

import random

import numpy as np

from tools.tiny_mms.engines.speech import EngineVoice, Spoken
from tools.tiny_mms.espeak import synthesizer
from tools.tiny_mms.languages import SpeechLanguage

_WORDS_PER_MINUTE, _PITCH, _RANGE = (110, 240), (15, 85), (20, 90)
_DEEP_VARIANTS, _DEEP_RANGE = ("rob",), 50  # a pitch below zero ends espeak-ng's process


class EspeakEngine:
    """One voice a language, spoken in one of ``variants``."""

    def __init__(self, languages: tuple[SpeechLanguage, ...], variants: tuple[str, ...]) -> None:
        self.voices = tuple(EngineVoice("espeak", language.voice) for language in languages)
        self._variants = variants

    def speak(self, text: str, voice: EngineVoice, generator: random.Random) -> Spoken | None:
        """Say ``text``."""
        variant, rate = generator.choice(self._variants), generator.randint(*_WORDS_PER_MINUTE)
        pitch, range_ = generator.randint(*_PITCH), generator.randint(*_RANGE)
        if variant in _DEEP_VARIANTS:
            range_ = min(range_, _DEEP_RANGE)
        said = synthesizer().speak(text, voice.language, variant, rate, pitch, range_)
        if not len(said.samples_T):
            return None
        return Spoken(said.samples_T.astype(np.float32) / np.float32(32768), said.rate_hz, said.phones)
