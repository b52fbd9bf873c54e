"""Noise is drawn from a folder by the names and contents of its recordings."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from mms_dist.data.noise_folder import NoiseFolder
from mms_dist.errors import DataError


def write(path: Path, audio_S: np.ndarray, rate: int = 16_000) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, audio_S, rate, subtype="PCM_16")


def drawn(folder: Path, samples: int, key: int = 5) -> np.ndarray:
    return NoiseFolder(folder).draw(samples, np.random.Generator(np.random.Philox(key=key)))


def test_a_piece_is_cut_out_of_a_recording_and_a_short_one_is_repeated(tmp_path: Path) -> None:
    ramp_S = np.arange(1, 16_001) / 32_000
    write(tmp_path / "long" / "ramp.wav", ramp_S)
    piece_S = drawn(tmp_path / "long", 4_000)
    assert len(piece_S) == 4_000 and np.ptp(np.diff(piece_S)) < 1e-4 and piece_S[0] > ramp_S[0]
    write(tmp_path / "short" / "ramp.wav", ramp_S[:1_000])
    piece_S = drawn(tmp_path / "short", 4_000)
    assert np.array_equal(piece_S[:1_000], piece_S[1_000:2_000]) and len(piece_S) == 4_000


def test_the_same_is_drawn_wherever_the_folder_is(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    sounds = {f"{name}/{number}.wav": random.uniform(-0.5, 0.5, 9_000) for name in "ab" for number in range(4)}
    for folder, order in (("here", sorted(sounds)), ("there", sorted(sounds, reverse=True))):
        for name in order:
            write(tmp_path / folder / name, sounds[name])
    pieces = {key: drawn(tmp_path / "here", 2_000, key).tobytes() for key in range(6)}
    assert pieces == {key: drawn(tmp_path / "there", 2_000, key).tobytes() for key in pieces}
    assert len(set(pieces.values())) == 6


def test_recordings_of_another_rate_and_with_channels_are_read(tmp_path: Path) -> None:
    write(tmp_path / "noise.flac", np.random.default_rng(0).uniform(-0.5, 0.5, (44_100, 2)), 44_100)
    assert len(drawn(tmp_path, 12_345)) == 12_345


def test_silence_is_drawn_again_and_nothing_else_is_an_error(tmp_path: Path) -> None:
    for number in range(3):
        write(tmp_path / f"silent{number}.wav", np.zeros(8_000))
    with pytest.raises(DataError, match="are silent"):
        drawn(tmp_path, 1_000)
    write(tmp_path / "sound.wav", np.full(8_000, 0.25))
    assert all(drawn(tmp_path, 1_000, key).any() for key in range(5))


def test_a_folder_that_cannot_be_used_is_refused(tmp_path: Path) -> None:
    for content, found in (
        (None, "does not exist"),
        ({}, "has no recordings"),
        ({"notes.txt": b"x"}, "has no recordings"),
        ({"a.wav": b"not audio"}, "a.wav cannot be read as noise"),
    ):
        folder = tmp_path / found.replace(" ", "-")
        if content is not None:
            folder.mkdir(exist_ok=True)
            for name, data in content.items():
                (folder / name).write_bytes(data)
        with pytest.raises(DataError, match=found):
            NoiseFolder(folder)


def test_a_recording_whose_samples_cannot_be_used_is_named(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "noise.wav", np.full(8_000, np.nan), 16_000, subtype="FLOAT")
    with pytest.raises(DataError, match=r"noise\.wav cannot be read as noise"):
        drawn(tmp_path, 1_000)
