"""Normalise decoded recordings to the input of the front end.

Legend: B utterances, S audio samples of the longest, X pieces of one long recording with K samples each.
"""

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor

_SCALE = 2.0**-15
"""Size of one int16 step if full scale is 1."""
VARIANCE_FLOOR = 1e-7  # Wav2Vec2FeatureExtractor.zero_mean_unit_var_norm


def normalised(audio_BS: Tensor, samples_B: Tensor) -> Tensor:
    """Normalise each utterance to zero mean and unit variance over its own samples; float32 [B, S], zero after them.

    Equal to `Wav2Vec2FeatureExtractor(do_normalize=True)` on the same audio as float32 in [-1, 1). An utterance's
    result does not depend on other utterances or on padding, not even in the last bit.

    Args:
        audio_BS: int16, zero after each utterance.
        samples_B: number of samples of each utterance.
    """
    if audio_BS.device.type == "cpu":
        return _one_by_one(audio_BS, samples_B)
    return _at_once(audio_BS, samples_B)


def _one_by_one(audio_BS: Tensor, samples_B: Tensor) -> Tensor:
    """Normalise on a CPU. One utterance fits into the cache, so this takes half the time of the whole batch at once."""
    out_BS = torch.zeros(audio_BS.shape, dtype=torch.float32)
    for audio_S, out_S, samples in zip(audio_BS.numpy(), out_BS.numpy(), samples_B.tolist(), strict=True):
        out = out_S[:samples]
        np.multiply(audio_S[:samples], np.float32(_SCALE), out=out)
        scale = np.sqrt(out.var() + VARIANCE_FLOOR)
        out -= out.mean()
        out /= scale
    return out_BS


def _at_once(audio_BS: Tensor, samples_B: Tensor) -> Tensor:
    """Normalise on a GPU, with sums of integers, which are exact in any order.

    In float64, a sum of squares of int16 is exact up to 2^53, which is 8 million samples (9 minutes).
    """
    audio64_BS, samples_B = audio_BS.to(torch.float64), samples_B.to(torch.float64)
    mean_B = audio64_BS.sum(1) / samples_B
    variance_B = audio64_BS.square().sum(1) / samples_B - mean_B.square()
    deviation_B = (variance_B * _SCALE**2 + VARIANCE_FLOOR).sqrt()
    centred_BS = (audio64_BS - mean_B[:, None]) * (_SCALE / deviation_B)[:, None]
    own_BS = torch.arange(audio_BS.shape[1], device=audio_BS.device) < samples_B[:, None]
    return torch.where(own_BS, centred_BS, 0.0).to(torch.float32)


def moments(audio: Iterable[np.ndarray]) -> np.ndarray:
    """Compute each int16 recording's mean and scale for `normalised_pieces`, float64 [2, B].

    They come from the same exact sums as on a GPU, so that the result equals that of `normalised` there.
    """
    mean, scale = [], []
    for samples in audio:
        exact = samples.astype(np.float64)
        mean.append(exact.sum() / len(exact))
        variance = exact @ exact / len(exact) - mean[-1] * mean[-1]
        scale.append(_SCALE / np.sqrt(variance * _SCALE**2 + VARIANCE_FLOOR))
    return np.array([mean, scale])


def normalised_pieces(audio_XK: Tensor, moments_2B: Tensor, utterance_X: Tensor) -> Tensor:
    """Normalise each utterance in a long recording to zero mean and unit variance, float32 [X, K].

    Args:
        audio_XK: int16, pieces of at most one utterance each.
        moments_2B: from `moments`.
        utterance_X: the utterance of each piece.
    """
    mean_X, scale_X = moments_2B.index_select(1, utterance_X)
    return ((audio_XK.to(torch.float64) - mean_X[:, None]) * scale_X[:, None]).to(torch.float32)
