"""The windows of a recording cover it once, are cut at pauses, and need little memory however long it is."""

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import soundfile

from mms_dist.emissions.windows import CONTEXT, LONGEST, Window, windows_of
from shards.audio.audio_errors import UndecodableError
from shards.audio.recording import Recording
from shards.schema import FRAME_SAMPLES, SAMPLE_RATE, frames_of


def noise(seconds: float, seed: int = 0, level: float = 3000.0) -> np.ndarray:
    generator = np.random.default_rng(seed)
    return (generator.normal(0, level, int(seconds * SAMPLE_RATE))).clip(-32768, 32767).astype(np.int16)


def written(folder: Path, audio: np.ndarray, name: str = "a.wav") -> Path:
    soundfile.write(folder / name, audio, SAMPLE_RATE)
    return folder / name


def cut(path: Path) -> list[Window]:
    with Recording(path) as recording:
        return list(windows_of(recording))


def assert_covered(windows: list[Window], audio: np.ndarray) -> None:
    """Every frame belongs to one window, which hears it at its place."""
    place = 0
    for window in windows:
        if len(window.audio):
            start = (place - window.skip) * FRAME_SAMPLES
            assert np.array_equal(window.audio, audio[start : start + len(window.audio)])
            assert window.skip + window.frames <= frames_of(len(window.audio))
            assert len(window.audio) <= (LONGEST + 2 * CONTEXT + 2) * FRAME_SAMPLES
        place += window.frames
    assert place == frames_of(len(audio))


def test_a_recording_of_an_utterance_is_one_window(tmp_path: Path) -> None:
    audio = noise(29.5)
    (window,) = cut(written(tmp_path, audio))
    assert np.array_equal(window.audio, audio) and (window.skip, window.frames) == (0, frames_of(len(audio)))


@pytest.mark.parametrize("seconds", [30.1, 47.0, 61.234])
def test_windows_without_pauses_overlap_and_cover_everything(tmp_path: Path, seconds: float) -> None:
    audio = noise(seconds)
    windows = cut(written(tmp_path, audio))
    assert_covered(windows, audio)
    assert all(window.skip == CONTEXT for window in windows[1:])


def test_pauses_end_windows_and_their_middle_is_not_computed(tmp_path: Path) -> None:
    parts = []
    for number in range(12):
        parts += [noise(2.0 + 0.3 * number, number), noise(1.0, number, level=3.0)]
    audio = np.concatenate(parts)
    windows = cut(written(tmp_path, audio))
    assert_covered(windows, audio)
    spoken = [window for window in windows if len(window.audio)]
    assert len(windows) == 25 and spoken[12].frames < 10, "the end of the last pause"
    for number, window in enumerate(spoken[:12]):
        assert len(window.audio) / SAMPLE_RATE == pytest.approx(2.0 + 0.3 * number, abs=0.4)


def test_the_quietest_place_ends_a_window_where_there_is_no_pause(tmp_path: Path) -> None:
    audio = noise(40.0)
    audio[15 * SAMPLE_RATE : 15 * SAMPLE_RATE + 1600] //= 3
    windows = cut(written(tmp_path, audio))
    assert windows[0].frames * FRAME_SAMPLES / SAMPLE_RATE == pytest.approx(15.05, abs=0.1)


def test_memory_does_not_depend_on_the_length(tmp_path: Path) -> None:
    peaks = []
    for minutes in (2, 12):
        path = written(tmp_path, np.tile(noise(60.0), minutes), f"{minutes}.wav")
        tracemalloc.start()
        with Recording(path) as recording:
            frames = sum(window.frames for window in windows_of(recording))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert frames == frames_of(minutes * 60 * SAMPLE_RATE)
    assert peaks[1] < 1.2 * peaks[0] and peaks[1] < 30 << 20


def test_other_rates_and_a_few_samples_are_windows_too(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "b.flac", noise(50.0)[: 44_100 * 18], 44_100)
    assert cut(tmp_path / "b.flac")[0].frames == frames_of(18 * SAMPLE_RATE)
    assert cut(written(tmp_path, noise(0.02))) == []


def test_a_recording_that_was_cut_short_is_an_error(tmp_path: Path) -> None:
    path = written(tmp_path, noise(3.0))
    path.write_bytes(path.read_bytes()[:20_000])
    with pytest.raises(UndecodableError):
        cut(path)
