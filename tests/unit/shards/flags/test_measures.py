"""Level, clipping and speech of recordings with known ones."""

import numpy as np
import pytest

from shards.flags.measures import measure
from tests.demo_clips import RATE, copy_of, demo_clips


def tone(seconds, amplitude, *, hz=220.0):
    return (amplitude * 32768 * np.sin(2 * np.pi * hz * np.arange(round(seconds * RATE)) / RATE)).astype(np.int16)


def noise(seconds, amplitude, seed=0):
    return (amplitude * 32768 * np.random.default_rng(seed).standard_normal(round(seconds * RATE))).astype(np.int16)


@pytest.fixture(scope="module")
def clips():
    return demo_clips("eng-train-1", least_seconds=1.0)[:40]


def test_the_level_is_that_of_the_speech_whatever_silence_surrounds_it():
    for amplitude in (0.5, 0.05):
        alone = measure(tone(2, amplitude))
        assert alone.level_db == pytest.approx(20 * np.log10(amplitude / np.sqrt(2)), abs=0.1)
        padded = measure(np.concatenate([noise(1, 1e-4), tone(2, amplitude), noise(3, 1e-4)]))
        assert padded.level_db == pytest.approx(alone.level_db, abs=0.3)
        assert padded.speech_seconds == pytest.approx(2.0, abs=0.05)


@pytest.mark.parametrize("floor", [0.0, 1e-4, 0.003])
def test_pauses_are_found_above_background_noise(clips, floor):
    for clip in clips[:10]:
        pause = noise(2, floor)
        spoken = clip.audio + noise(len(clip.audio) / RATE, floor)[: len(clip.audio)]
        alone, padded = measure(spoken), measure(np.concatenate([pause, spoken, pause]))
        assert padded.speech_seconds == pytest.approx(alone.speech_seconds, abs=0.4)


def test_real_speech_is_clipped_by_a_gain_of_six_decibels_only(clips):
    for clip in clips:
        loudest = copy_of(clip.audio, gain=32767 / int(np.abs(clip.audio.astype(np.int32)).max()))
        assert measure(loudest).clipped_share < 0.001
        assert measure(copy_of(loudest, gain=2)).clipped_share > 0.005
        quieter = copy_of(copy_of(loudest, gain=2), gain=0.3)
        assert measure(quieter).clipped_share > 0.005, "made quieter afterwards"


def test_measures_of_very_short_and_constant_audio_are_finite():
    for audio in (np.zeros(5, np.int16), np.full(4800, 7, np.int16), tone(0.3, 0.9)):
        found = measure(audio)
        assert np.isfinite([found.level_db, found.clipped_share, found.speech_seconds]).all()
        assert found.fingerprint == b"" or len(found.fingerprint) == 64
