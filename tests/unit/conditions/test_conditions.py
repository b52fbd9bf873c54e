"""What is true of every condition, and what each one does to audio."""

from typing import Any

import numpy as np
import pytest

from mms_dist.conditions.clipping import Clipping
from mms_dist.conditions.codec import Mp3, Opus
from mms_dist.conditions.condition import Condition, level_of
from mms_dist.conditions.noise import Noise
from mms_dist.conditions.overlap import Overlap
from mms_dist.conditions.parsing import parse_conditions
from mms_dist.conditions.reverb import Reverb, impulse_response
from mms_dist.conditions.soft import Soft
from mms_dist.conditions.speed import Speed
from mms_dist.conditions.telephone import Telephone
from shards.schema import SAMPLE_RATE
from tests.conditioning import applied, decibels, speech_like, tone

EVERY = parse_conditions(["all"])
MIDDLE = slice(2_000, -2_000)
RANDOM = ("noise", "overlap", "reverb")
every_condition = pytest.mark.parametrize("condition", EVERY.values(), ids=EVERY)


@every_condition
def test_the_same_utterance_is_changed_in_the_same_way_every_time(condition: Condition) -> None:
    audio_S = speech_like()
    once = applied(condition, audio_S)
    assert np.array_equal(once, applied(condition, audio_S))
    assert once.dtype == np.int16 and len(once) == condition.lengths(np.array([len(audio_S)]))[0]
    assert len(once) != len(audio_S) or not np.array_equal(once, audio_S)


@every_condition
def test_utterances_of_any_length_and_silence_can_be_changed(condition: Condition) -> None:
    for audio_S in (np.zeros(8_000, np.int16), speech_like(0.025), np.full(900, -32768, np.int16)):
        assert len(applied(condition, audio_S)) == condition.lengths(np.array([len(audio_S)]))[0]


@pytest.mark.parametrize("label", [label for label in EVERY if label.partition(":")[0] in RANDOM])
def test_what_is_drawn_differs_between_utterances(label: str) -> None:
    audio_S = speech_like()
    assert not np.array_equal(applied(EVERY[label], audio_S, key=1), applied(EVERY[label], audio_S, key=2))


@pytest.mark.parametrize("kind", [Noise, Overlap])
@pytest.mark.parametrize("ratio", [20.0, 0.0, -10.0])
def test_what_is_mixed_in_has_the_ratio_of_its_level(kind: Any, ratio: float) -> None:
    audio_S = speech_like()
    added_S = applied(kind(ratio), audio_S).astype(float) - audio_S
    assert decibels(level_of(audio_S) / level_of(added_S)) == pytest.approx(ratio, abs=0.02)


def test_levels_of_a_kind_differ_in_the_level_alone() -> None:
    audio_S = speech_like()
    loud_S, quiet_S = (applied(Noise(ratio), audio_S).astype(float) - audio_S for ratio in (0, 20))
    assert np.corrcoef(loud_S, quiet_S)[0, 1] > 0.999


def test_a_mixture_beyond_full_scale_keeps_its_ratio() -> None:
    audio_S = tone(440, level=0.7)
    mixture_S = applied(Noise(0), audio_S, noise=True).astype(float)
    assert np.abs(mixture_S).max() == 32767
    spectrum = np.abs(np.fft.rfft(mixture_S))
    assert spectrum[440] == pytest.approx(spectrum[1000], rel=1e-3)


def test_a_room_decays_by_60_decibels_in_its_reverberation_time() -> None:
    response_R = impulse_response(0.5, np.random.default_rng(0))
    energy_R = np.cumsum(response_R[::-1] ** 2)[::-1]
    # Schroeder 1965: the energy that is still to come falls like the sound itself; measured from -10 to -30 dB.
    decay_R = 10 * np.log10(energy_R[1:] / energy_R[1])
    first, last = (int(np.argmax(decay_R < edge)) for edge in (-10, -30))
    assert 3 * (last - first) / SAMPLE_RATE == pytest.approx(0.5, rel=0.1)
    assert response_R[0] == 1 and np.sum(response_R[1:] ** 2) == pytest.approx(1)


def test_reverberation_keeps_level_and_place_and_fills_pauses() -> None:
    click_S = np.zeros(16_000, np.int16)
    click_S[4_000] = 20_000
    wet_S = applied(Reverb(0.3), click_S).astype(float)
    assert np.argmax(np.abs(wet_S)) == 4_000 and not wet_S[:4_000].any() and wet_S[4_100:6_000].any()
    audio_S = speech_like()
    assert decibels(level_of(applied(Reverb(0.6), audio_S)) / level_of(audio_S)) == pytest.approx(0, abs=0.02)


@pytest.mark.parametrize("hertz", [100, 200, 4500, 6000])
def test_a_telephone_does_not_pass_what_is_outside_its_band(hertz: float) -> None:
    audio_S = tone(hertz)
    assert level_of(applied(Telephone(), audio_S)[MIDDLE]) < level_of(audio_S) / 100


@pytest.mark.parametrize("hertz", [350, 1000, 3300])
def test_a_telephone_passes_its_band_at_the_same_place(hertz: float) -> None:
    audio_S = tone(hertz)
    heard_S = applied(Telephone(), audio_S)
    assert decibels(level_of(heard_S[MIDDLE]) / level_of(audio_S[MIDDLE])) == pytest.approx(0, abs=1)
    assert np.corrcoef(heard_S[MIDDLE], audio_S[MIDDLE])[0, 1] > 0.99


@pytest.mark.parametrize("condition", [Mp3(16), Mp3(32), Mp3(64), Opus(24)], ids=str)
def test_a_codec_neither_delays_audio_nor_leaves_it_as_it_was(condition: Condition) -> None:
    audio_S = speech_like(3.0)
    coded_S = applied(condition, audio_S)
    size = 2 * len(audio_S)
    spectra = np.conj(np.fft.rfft(audio_S.astype(float), size)) * np.fft.rfft(coded_S.astype(float), size)
    delay = int(np.argmax(np.fft.irfft(spectra, size)))
    assert min(delay, size - delay) <= 2
    assert 0.3 < np.corrcoef(coded_S, audio_S)[0, 1] < 0.9999


def test_a_quiet_recording_has_lost_its_last_bits() -> None:
    audio_S = speech_like()
    quiet_S = applied(Soft(-30), audio_S)
    assert decibels(level_of(quiet_S) / level_of(audio_S)) == pytest.approx(-30, abs=0.02)
    assert len(np.unique(quiet_S)) < len(np.unique(audio_S)) / 10


def test_a_recording_that_is_too_loud_is_cut_at_full_scale() -> None:
    audio_S = tone(440, level=0.01)
    clipped_S = applied(Clipping(20), audio_S)
    assert np.abs(clipped_S.astype(int)).max() == 32767
    share = np.mean(np.abs(clipped_S.astype(int)) == 32767)  # of a sine above a tenth of its peak
    assert share == pytest.approx(1 - 2 / np.pi * np.arcsin(0.1), abs=0.01)


@pytest.mark.parametrize("factor", [0.9, 1.1, 0.5])
def test_a_faster_recording_is_shorter_and_higher(factor: float) -> None:
    changed_S = applied(Speed(factor), tone(1000, 2.0))
    assert len(changed_S) == round(2 * SAMPLE_RATE / factor)
    hertz = np.argmax(np.abs(np.fft.rfft(changed_S))) * SAMPLE_RATE / len(changed_S)
    assert hertz == pytest.approx(1000 * factor, abs=1)
