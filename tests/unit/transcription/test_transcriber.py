"""Joined recordings have the text and the times of the single ones, if the model hears each frame by itself.

So nothing is left of the difference but what cutting into windows and segments does.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import soundfile

from mms_dist.decoding.search_pool import SearchPool
from mms_dist.emissions.acoustic_model import AcousticModel
from mms_dist.transcription.inputs import Item
from mms_dist.transcription.transcriber import Transcriber
from mms_dist.transcription.transcript import Transcript
from shards.schema import SAMPLE_RATE, frames_of
from shards.vocabulary import BLANK, FIXED, SPACE, Vocabulary
from tests.corpus import TONE_SECONDS, speak

LETTERS = "abcdefgh"
UTTERANCES = 30
_FRAME, _HEARD, _QUIET, _LOUD, _CLEAR = 320, 400, 600.0, 6000.0, 0.6


class HearsTones:
    """The letter whose tone fills a frame, a space where it is quiet, and a blank where one tone follows another."""

    chunk_samples = 60 * SAMPLE_RATE

    def __init__(self) -> None:
        self.vocabularies = {"taa": Vocabulary("taa", (*FIXED, *LETTERS))}
        hertz = np.array([200 + 90 * (ord(letter) - 96) for letter in LETTERS])
        self._wave_HF = np.exp(-2j * np.pi * np.outer(np.arange(_HEARD) / SAMPLE_RATE, hertz))

        self.passes = 0

    def log_probs(self, languages: Sequence[str], audio: Sequence[np.ndarray]) -> list[np.ndarray]:
        self.passes += 1
        return [self._log_probs(each) for each in audio]

    def _log_probs(self, audio: np.ndarray) -> np.ndarray:
        frames = int(frames_of(len(audio)))
        heard_TS = np.lib.stride_tricks.sliding_window_view(audio, _HEARD)[::_FRAME][:frames].astype(np.float64)
        share_TF = np.abs(heard_TS @ self._wave_HF) / np.maximum(np.abs(heard_TS).sum(axis=1, keepdims=True), 1.0)
        level_T = np.sqrt(np.square(heard_TS).mean(axis=1))
        is_clear_T = (share_TF.max(axis=1) > _CLEAR) & (level_T > _LOUD)
        label_T = np.where(is_clear_T, len(FIXED) + share_TF.argmax(axis=1), BLANK)
        label_T[level_T < _QUIET] = SPACE
        log_prob_TV = np.full((frames, len(self.vocabularies["taa"])), np.log(1e-4), np.float32)
        log_prob_TV[np.arange(frames), label_T] = np.log(0.99)
        return log_prob_TV


def text_of(generator: np.random.Generator) -> str:
    """Words without double letters, which are one long tone."""
    words = []
    for _ in range(generator.integers(1, 6)):
        letters = [LETTERS[place] for place in generator.integers(0, len(LETTERS), generator.integers(2, 7))]
        words.append("".join(one for one, before in zip(letters, ["", *letters], strict=False) if one != before))
    return " ".join(words)


def transcribed(paths: Sequence[Path]) -> list[Transcript]:
    items = [Item(path, path.name, ("taa",)) for path in paths]
    with SearchPool(1) as pool:
        model = cast(AcousticModel, HearsTones())
        return list(Transcriber(model, cast(Any, {"taa": None}), pool).run(items))


@pytest.mark.parametrize("pauses", ["silence", "noise"])
def test_thirty_joined_utterances_have_the_text_and_times_of_single_ones(tmp_path: Path, pauses: str) -> None:
    generator = np.random.default_rng(0)
    texts = [text_of(generator) for _ in range(UTTERANCES)]
    pieces: list[np.ndarray] = []
    starts: list[float] = []
    singles = [tmp_path / f"{number:02}.wav" for number in range(UTTERANCES)]
    for path, text in zip(singles, texts, strict=True):
        audio = (speak(text, generator) * 2**15).astype(np.int16)
        soundfile.write(path, audio, SAMPLE_RATE)
        begun = sum(map(len, pieces)) / SAMPLE_RATE
        starts += [begun + TONE_SECONDS * place for place in range(len(text)) if f" {text}"[place] == " "]
        pause = int(generator.uniform(0.3, 1.5) * SAMPLE_RATE)
        level = 300.0 if pauses == "noise" else 0.0
        pieces += [audio, generator.normal(0, level, pause).astype(np.int16)]
    soundfile.write(tmp_path / "joined.wav", np.concatenate(pieces), SAMPLE_RATE)
    *alone, joined = transcribed([*singles, tmp_path / "joined.wav"])
    assert [each.text for each in alone] == texts and joined.seconds > 60
    expected = " ".join(texts)
    assert joined.text == expected
    words = [word for segment in joined.segments for word in segment.words]
    assert max(abs(word.start - start) for word, start in zip(words, starts, strict=True)) < 0.1


def test_windows_of_speech_without_pauses_leave_no_seams(tmp_path: Path) -> None:
    generator = np.random.default_rng(1)
    text = " ".join(text_of(generator) for _ in range(40))
    audio = (speak(text, generator) * 2**15).astype(np.int16)
    assert len(audio) > 60 * SAMPLE_RATE
    soundfile.write(tmp_path / "long.wav", audio, SAMPLE_RATE)
    (found,) = transcribed([tmp_path / "long.wav"])
    assert found.text == text


def test_digital_silence_is_not_collected_for_longer_than_speech(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "silence.wav", np.zeros(10 * 60 * SAMPLE_RATE, np.int16), SAMPLE_RATE)
    lengths, bursts = [], []
    model = HearsTones()
    with SearchPool(1) as pool:
        transcriber = Transcriber(
            cast(AcousticModel, model),
            cast(Any, {"taa": None}),
            pool,
            on_audio=lambda seconds: bursts.append((model.passes, seconds)),
            on_recording=lengths.append,
        )
        (found,) = transcriber.run([Item(tmp_path / "silence.wav", "silence", ("taa",))])
    assert found.text == "" and lengths == [found.seconds] == [600.0]
    assert model.passes > 5
    for burst in range(1, model.passes + 1):
        seconds = sum(seconds for number, seconds in bursts if number == burst)
        assert seconds < model.chunk_samples / SAMPLE_RATE + 20, "and the longest window"
    assert sum(seconds for _, seconds in bursts) == pytest.approx(600, abs=0.05)
