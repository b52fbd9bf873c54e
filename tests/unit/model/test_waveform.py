"""Audio is normalised by its own samples alone, one utterance at a time on a CPU and all at once on a GPU."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from mms_dist.model import waveform

LENGTHS = (16_000, 40_123, 400, 7)
WAYS = [waveform._one_by_one, waveform._at_once]
Way = Callable[[Tensor, Tensor], Tensor]


def padded(*recordings: np.ndarray, to: int = 0) -> tuple[Tensor, Tensor]:
    longest = max(to, *(len(recording) for recording in recordings))
    audio_BS = np.zeros((len(recordings), longest), dtype=np.int16)
    for row, recording in enumerate(recordings):
        audio_BS[row, : len(recording)] = recording
    return torch.from_numpy(audio_BS), torch.tensor([len(recording) for recording in recordings])


def recordings() -> list[np.ndarray]:
    random = np.random.default_rng(0)
    made = [np.clip(random.normal(9_001, 3_000, n), -32_768, 32_767).astype(np.int16) for n in LENGTHS]
    return [*made, np.full(500, 7, np.int16), np.full(900, -32_768, np.int16), np.zeros(300, np.int16)]


@pytest.mark.parametrize("way", WAYS)
def test_each_utterance_has_mean_0_and_variance_1_over_its_own_samples(way: Way) -> None:
    audio_BS, samples_B = padded(*recordings())
    out_BS = way(audio_BS, samples_B)
    assert out_BS.dtype == torch.float32
    for out_S, recording in zip(out_BS, recordings(), strict=True):
        audio = recording.astype(np.float64) / 32_768
        expected = (audio - audio.mean()) / np.sqrt(audio.var() + 1e-7)
        np.testing.assert_allclose(out_S[: len(audio)].numpy(), expected, rtol=0, atol=2e-6)
        assert not out_S[len(audio) :].any()


@pytest.mark.parametrize("way", WAYS)
def test_no_bit_of_an_utterance_depends_on_its_padding_or_its_neighbours(way: Way) -> None:
    together_BS = way(*padded(*recordings(), to=50_001))
    for together_S, recording in zip(together_BS, recordings(), strict=True):
        assert way(*padded(recording))[0].equal(together_S[: len(recording)])


def test_the_sums_of_nine_minutes_near_full_scale_are_exact() -> None:
    recording = np.random.default_rng(1).integers(20_000, 32_768, 8_300_000).astype(np.int16)
    whole = recording.astype(np.int64)
    mean = int(whole.sum()) / len(whole)
    variance = int((whole * whole).sum()) / len(whole) - mean * mean
    expected = (whole - mean) * (2.0**-15 / np.sqrt(variance * 2.0**-30 + 1e-7))
    assert waveform._at_once(*padded(recording))[0].equal(torch.from_numpy(expected.astype(np.float32)))
