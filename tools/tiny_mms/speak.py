"""Make parts of the corpus with one synthesiser: random voices, texts, rates, pitches and speeds.

A part depends on its number, its synthesiser, the texts and the seed only, so parts may be made in any order by several
processes, and a run that was stopped goes on with the parts that are missing.
"""

import random
from collections.abc import Iterator
from pathlib import Path

import soxr

from tools.tiny_mms.engines.speech import Engine
from tools.tiny_mms.espeak import synthesizer
from tools.tiny_mms.parts import SAMPLE_RATE_HZ, Utterance, write_part
from tools.tiny_mms.sound import to_int16, trimmed
from tools.tiny_mms.texts import PhrasePool

SECONDS = (0.5, 8.0)  # of an utterance
_SPEED = (0.86, 1.16)
_CHARACTERS_PER_SECOND = (3.0, 30.0)


def utterances(
    engine: Engine, texts: dict[str, PhrasePool], seconds: float, generator: random.Random
) -> Iterator[Utterance]:
    """Yield utterances until they are ``seconds`` long together.

    Voices are drawn evenly; speed changes the length of the vocal tract with the rate.
    """
    voices = [voice for voice in engine.voices if voice.language in texts]
    made = 0.0
    while made < seconds:
        voice = generator.choice(voices)
        text, speed = texts[voice.language].draw(generator), generator.uniform(*_SPEED)
        spoken = engine.speak(text, voice, generator)
        if spoken is None:
            continue
        samples_T, cut = trimmed(spoken.samples_T, spoken.rate_hz)
        scale = SAMPLE_RATE_HZ / (spoken.rate_hz * speed)
        resampled_T = soxr.resample(samples_T, 1.0, scale, quality="MQ")
        length = len(resampled_T) / SAMPLE_RATE_HZ
        low, high = _CHARACTERS_PER_SECOND
        if not SECONDS[0] <= length <= SECONDS[1] or not low <= len(text) / length <= high:
            continue
        pairs = spoken.phones or synthesizer().speak(text, voice.language).phones
        starts = None if spoken.phones is None else [round((start - cut) * scale) for _, start in pairs]
        yield Utterance(to_int16(resampled_T), voice.language, voice.name, text, [ipa for ipa, _ in pairs], starts)
        made += length


def make_part(
    folder: Path, source: str, engine: Engine, texts: dict[str, PhrasePool], seconds: float, number: int, seed: int = 0
) -> None:
    """Make part ``number`` of ``source`` in ``folder``, unless it is there."""
    path = folder / f"{source}-{number:03d}"
    if not path.exists():
        write_part(path, utterances(engine, texts, seconds, random.Random(f"{seed} {source} {number}")))
