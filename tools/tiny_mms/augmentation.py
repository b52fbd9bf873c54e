"""Augmentation that makes clean synthetic voices sound like many rooms, microphones and lines; and time masking.

Shapes: B utterances, T samples, F frames, S spectrum bins.
"""

import math

import torch
from torch import Tensor

_SAMPLE_RATE_HZ = 16_000
_EQUALIZER_BANDS = 10
_EQUALIZER_DECIBEL = 5.0
_REVERB_SECONDS = 0.25
_REVERB_PROBABILITY, _NOISE_PROBABILITY = 0.35, 0.6
_NOISE_DECIBEL = (8.0, 35.0)  # signal over noise
_BABBLE_PROBABILITY, _BABBLE_DECIBEL = 0.1, (6.0, 25.0)  # the utterance over the other
_NARROW_PROBABILITY, _NARROW_HERTZ, _NARROW_STEEPNESS = 0.1, (3200.0, 7000.0), 80.0
_MASKED_FRAMES = (4, 10)  # one span


def normalized(audio_BT: Tensor, samples_B: Tensor) -> Tensor:
    """Normalise each utterance to zero mean and unit variance, with zeros as padding (like ``do_normalize``)."""
    real_BT = (torch.arange(audio_BT.shape[1])[None] < samples_B[:, None]).float()
    mean_B1 = (audio_BT * real_BT).sum(1, keepdim=True) / samples_B[:, None]
    centred_BT = (audio_BT - mean_B1) * real_BT
    variance_B1 = centred_BT.square().sum(1, keepdim=True) / samples_B[:, None]
    return centred_BT / torch.sqrt(variance_B1 + 1e-7)


def augmented(audio_BT: Tensor, samples_B: Tensor, generator: torch.Generator) -> Tensor:
    """Apply a random equaliser and short reverberation (one filter in the frequency domain), then coloured noise."""
    batch, length = audio_BT.shape
    size = 1 << math.ceil(math.log2(length + _REVERB_SECONDS * _SAMPLE_RATE_HZ))
    spectrum_BS = torch.fft.rfft(audio_BT, size)
    spectrum_BS = spectrum_BS * _equalizer(batch, spectrum_BS.shape[1], generator)
    spectrum_BS = spectrum_BS * torch.fft.rfft(_room(batch, generator), size)
    filtered_BT = torch.fft.irfft(spectrum_BS, size)[:, :length]

    noise_BT = torch.randn(batch, length, generator=generator)
    noise_BS = torch.fft.rfft(noise_BT, size) * _equalizer(batch, spectrum_BS.shape[1], generator, scale=3.0)
    noise_BT = torch.fft.irfft(noise_BS, size)[:, :length]
    low, high = _NOISE_DECIBEL
    decibel_B1 = low + (high - low) * torch.rand(batch, 1, generator=generator)
    used_B1 = (torch.rand(batch, 1, generator=generator) < _NOISE_PROBABILITY).float()
    level_B1 = filtered_BT.std(1, keepdim=True) * torch.pow(10.0, -decibel_B1 / 20) * used_B1
    return normalized(filtered_BT + noise_BT * level_B1 / noise_BT.std(1, keepdim=True), samples_B)


def varied(audio_BT: Tensor, samples_B: Tensor, generator: torch.Generator) -> Tensor:
    """Apply what ``augmented`` does, after babble from other utterances of the batch and before a narrow channel.

    One batch in ten is heard over a line of 3.2–7 kHz; one utterance in ten has another one in its background.
    """
    batch = len(audio_BT)
    shift = int(torch.randint(1, max(batch, 2), (), generator=generator))
    low, high = _BABBLE_DECIBEL
    decibel_B1 = low + (high - low) * torch.rand(batch, 1, generator=generator)
    used_B1 = (torch.rand(batch, 1, generator=generator) < _BABBLE_PROBABILITY).float()
    audio_BT = audio_BT + audio_BT.roll(shift, 0) * torch.pow(10.0, -decibel_B1 / 20) * used_B1
    heard_BT = augmented(audio_BT, samples_B, generator)
    if torch.rand((), generator=generator).item() < _NARROW_PROBABILITY:
        low, high = _NARROW_HERTZ
        limit = (low + (high - low) * torch.rand((), generator=generator).item()) / (_SAMPLE_RATE_HZ / 2)
        spectrum_BS = torch.fft.rfft(heard_BT)
        bins_S = torch.linspace(0.0, 1.0, spectrum_BS.shape[1])
        spectrum_BS *= torch.sigmoid((limit - bins_S) * _NARROW_STEEPNESS)
        heard_BT = normalized(torch.fft.irfft(spectrum_BS, heard_BT.shape[1]), samples_B)
    return heard_BT


def respeeded(audio_BT: Tensor, samples_B: Tensor, speed: float) -> tuple[Tensor, Tensor]:
    """Play the batch ``speed`` times as fast, by linear interpolation; also return the new lengths."""
    length = round(audio_BT.shape[1] / speed)
    changed_BT = torch.nn.functional.interpolate(audio_BT[:, None], length, mode="linear", align_corners=True)[:, 0]
    shorter_B = (samples_B / speed).long().clamp(max=length)
    return changed_BT[:, : int(shorter_B.max())], shorter_B


def _equalizer(batch: int, bins: int, generator: torch.Generator, scale: float = 1.0) -> Tensor:
    """Draw smooth random gains BS of ± a few decibels."""
    decibel_B1K = torch.randn(batch, 1, _EQUALIZER_BANDS, generator=generator) * _EQUALIZER_DECIBEL * scale
    decibel_BS = torch.nn.functional.interpolate(decibel_B1K, bins, mode="linear", align_corners=True)[:, 0]
    return torch.pow(10.0, decibel_BS / 20)


def _room(batch: int, generator: torch.Generator) -> Tensor:
    """Draw impulse responses: a direct sound and, for some utterances, exponentially decaying noise."""
    length = int(_REVERB_SECONDS * _SAMPLE_RATE_HZ)
    time_1T = torch.arange(length)[None] / _SAMPLE_RATE_HZ
    decay_B1 = 0.01 + 0.06 * torch.rand(batch, 1, generator=generator)
    level_B1 = 0.12 * torch.rand(batch, 1, generator=generator)
    level_B1 *= (torch.rand(batch, 1, generator=generator) < _REVERB_PROBABILITY).float()
    response_BT = torch.randn(batch, length, generator=generator) * torch.exp(-time_1T / decay_B1) * level_B1
    response_BT[:, 0] = 1.0
    return response_BT


def time_mask(frames_B: Tensor, fraction: float, generator: torch.Generator) -> Tensor:
    """Draw a boolean mask BF: random spans that cover about ``fraction`` of each utterance's frames."""
    longest = int(frames_B.max())
    masked_BF = torch.zeros(len(frames_B), longest, dtype=torch.bool)
    low, high = _MASKED_FRAMES
    for row, frames in enumerate(frames_B.tolist()):
        expected_spans = fraction * frames * 2 / (low + high)
        spans = int(expected_spans + torch.rand((), generator=generator).item())
        for _ in range(spans):
            length = int(torch.randint(low, high + 1, (), generator=generator))
            start = int(torch.randint(0, max(frames - length, 1), (), generator=generator))
            masked_BF[row, start : min(start + length, frames)] = True
    return masked_BF
