"""Build the corpus of the base: synthetic speech in many languages, recordings, and the test sets."""

import itertools
import random
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soxr
from numpy.typing import NDArray

from tools.tiny_mms.espeak import Speech, synthesizer
from tools.tiny_mms.languages import (
    DEMO_VOICES,
    TRAINING_VARIANTS,
    UNSEEN_VARIANTS,
    SpeechLanguage,
)
from tools.tiny_mms.phones import PhoneInventory, decompose
from tools.tiny_mms.recordings import (
    SAMPLE_RATE_HZ,
    Recording,
    demo_recordings,
    recordings,
    to_int16,
)
from tools.tiny_mms.store import LabelledSpeech, write_store
from tools.tiny_mms.texts import PhrasePool, TextSource

SYNTHETIC, RECORDED = "synthetic", "recorded"
UNSEEN_SYNTHETIC, UNSEEN_RECORDED, UNSEEN_DEMO = "unseen-synthetic", "unseen-recorded", "unseen-demo"
TEST_KINDS = (UNSEEN_SYNTHETIC, UNSEEN_RECORDED, UNSEEN_DEMO)
_SECONDS = (0.5, 8.0)
_RARE_PHONE = 30
_RECORDING_SPEEDS = (1.0, 0.84, 1.18, 0.92, 1.08)
_TEST_SCENES_EVERY = 12


@dataclass(frozen=True)
class Spoken:
    """One synthetic utterance before labelling; ``scale`` converts espeak's sample positions to 16 kHz."""

    samples_T: NDArray[np.int16]
    phones: list[tuple[str, int]]
    scale: float


@dataclass(frozen=True)
class CorpusPlan:
    """What to build: seconds of speech per language, and the sources of texts and recordings.

    The demo corpus is only used for evaluation, never for training.
    """

    languages: tuple[SpeechLanguage, ...]
    unseen_languages: tuple[SpeechLanguage, ...]
    sources: tuple[TextSource, ...]
    seconds_per_language: float
    unseen_seconds_per_language: float
    recordings_folder: Path | None
    demo_manifest: Path | None
    processes: int
    seed: int = 0


def speak_language(
    language: SpeechLanguage,
    sources: tuple[TextSource, ...],
    seconds: float,
    variants: tuple[str, ...],
    seed: int,
) -> list[Spoken]:
    """Synthesise ``seconds`` of one language with random voices, pitches, rates and vocal-tract lengths (speed)."""
    generator = random.Random(f"{seed} {language.voice} {variants[0]}")
    spoken, done = [], 0.0
    for text in itertools.islice(PhrasePool(language, sources, seed), 100_000):
        speech = synthesizer().speak(
            text,
            language.voice,
            generator.choice(variants),
            words_per_minute=generator.randint(110, 240),
            pitch=generator.randint(15, 85),
            range_=generator.randint(20, 90),
        )
        speed = generator.uniform(0.85, 1.15)
        utterance = _resampled(speech, speed)
        length_seconds = len(utterance.samples_T) / SAMPLE_RATE_HZ
        if _SECONDS[0] <= length_seconds <= _SECONDS[1]:
            spoken.append(utterance)
            done += length_seconds
        if done >= seconds:
            break
    return spoken


def _resampled(speech: Speech, speed: float) -> Spoken:
    scale = SAMPLE_RATE_HZ / (speech.rate_hz * speed)
    samples_T = soxr.resample(speech.samples_T.astype(np.float32), 1.0, scale, quality="MQ")
    return Spoken(to_int16(samples_T), speech.phones, scale)


def build_corpus(folder: Path, plan: CorpusPlan) -> None:
    """Synthesise, label and store everything in ``plan``."""
    jobs = [(language, TRAINING_VARIANTS, plan.seconds_per_language) for language in plan.languages]
    jobs += [(language, UNSEEN_VARIANTS, plan.unseen_seconds_per_language) for language in plan.unseen_languages]
    with ProcessPoolExecutor(plan.processes) as pool:
        futures = [
            pool.submit(speak_language, language, plan.sources, seconds, variants, plan.seed)
            for language, variants, seconds in jobs
        ]
        spoken = [future.result() for future in futures]
    seen, unseen = spoken[: len(plan.languages)], spoken[len(plan.languages) :]
    counts = Counter(
        letter for utterances in seen for one in utterances for ipa, _ in one.phones for letter in decompose(ipa)
    )
    inventory = PhoneInventory(letter for letter, count in counts.items() if count >= _RARE_PHONE)
    real = recordings(plan.recordings_folder) if plan.recordings_folder else iter(())
    demo = demo_recordings(plan.demo_manifest) if plan.demo_manifest else iter(())
    write_store(
        folder,
        inventory,
        itertools.chain(
            _labelled(seen, inventory, SYNTHETIC),
            _labelled(unseen, inventory, UNSEEN_SYNTHETIC),
            _recorded(real, inventory),
            _demo(demo, inventory),
        ),
    )


def _labelled(spoken: list[list[Spoken]], inventory: PhoneInventory, kind: str) -> Iterator[LabelledSpeech]:
    for one in itertools.chain.from_iterable(spoken):
        labels_L = inventory.sequence(one.phones)
        if len(labels_L):
            frames_F = inventory.frames_F(one.phones, one.scale, len(one.samples_T))
            yield LabelledSpeech(one.samples_T, labels_L, frames_F, kind)


def _recorded(real: Iterator[Recording], inventory: PhoneInventory) -> Iterator[LabelledSpeech]:
    """Label recordings at several speeds; whole scenes of the game are held out for testing."""
    scenes: dict[str, int] = {}
    nothing_F = np.zeros(0, np.int8)
    for recording in real:
        is_test = scenes.setdefault(recording.scene, len(scenes)) % _TEST_SCENES_EVERY == 0
        labels_L = inventory.sequence(synthesizer().speak(recording.text, recording.language).phones)
        if len(labels_L) == 0:
            continue
        for speed in _RECORDING_SPEEDS[:1] if is_test else _RECORDING_SPEEDS:
            samples_T = soxr.resample(recording.samples_T.astype(np.float32), speed, 1.0)
            kind = UNSEEN_RECORDED if is_test else RECORDED
            yield LabelledSpeech(to_int16(samples_T), labels_L, nothing_F, kind)


def _demo(real: Iterator[Recording], inventory: PhoneInventory) -> Iterator[LabelledSpeech]:
    for recording in real:
        labels_L = inventory.sequence(synthesizer().speak(recording.text, DEMO_VOICES[recording.language]).phones)
        if len(labels_L):
            yield LabelledSpeech(recording.samples_T, labels_L, np.zeros(0, np.int8), UNSEEN_DEMO)
