"""Utterances of one forward pass, of any languages, as padded tensors.

Legend: B utterances, S audio samples of the longest, L labels of the longest transcript.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from mms_dist.data.batch import Utterance
from mms_dist.data.randomness import random_key
from shards.schema import frames_of

_INT16_SCALE = np.float32(1 / 32_768)
_VARIANCE_FLOOR = 1e-7  # Wav2Vec2FeatureExtractor.zero_mean_unit_var_norm


@dataclass(slots=True)
class ForwardBatch:
    """Input of one forward pass of the model.

    Attributes:
        audio_BS: float32, zero mean and unit variance per utterance, zero-padded behind.
        samples_B: audio samples of each utterance, int64.
        frames_B: output frames of the front end of each utterance, int64.
        labels_BL: vocabulary ids of each utterance's own language, int64, padded with 0.
        label_lengths_B: int64.
        keys_B: key of each utterance's random stream, int64 (see `random_key`).
        languages: language code of each utterance.
    """

    audio_BS: torch.Tensor
    samples_B: torch.Tensor
    frames_B: torch.Tensor
    labels_BL: torch.Tensor
    label_lengths_B: torch.Tensor
    keys_B: torch.Tensor
    languages: list[str]


def collate(utterances: Sequence[Utterance], *, seed: int) -> ForwardBatch:
    """Pad and normalise `utterances` as Hugging Face's `Wav2Vec2FeatureExtractor` does for MMS.

    Equal to `Wav2Vec2FeatureExtractor(do_normalize=True, return_attention_mask=True)` on the same audio as
    float32 in [-1, 1); `samples_B` says what its attention mask says.
    """
    samples_B = np.array([len(utterance.audio) for utterance in utterances], dtype=np.int64)
    label_lengths_B = np.array([len(utterance.labels) for utterance in utterances], dtype=np.int64)
    audio_BS = np.zeros((len(utterances), samples_B.max()), dtype=np.float32)
    labels_BL = np.zeros((len(utterances), label_lengths_B.max()), dtype=np.int64)
    for row, utterance in enumerate(utterances):
        _normalise(utterance.audio, out=audio_BS[row, : samples_B[row]])
        labels_BL[row, : label_lengths_B[row]] = utterance.labels
    keys = [random_key(seed, item.id, item.epoch) for item in utterances]
    return ForwardBatch(
        audio_BS=torch.from_numpy(audio_BS),
        samples_B=torch.from_numpy(samples_B),
        frames_B=torch.from_numpy(frames_of(samples_B)),
        labels_BL=torch.from_numpy(labels_BL),
        label_lengths_B=torch.from_numpy(label_lengths_B),
        keys_B=torch.tensor(keys, dtype=torch.int64),
        languages=[utterance.language for utterance in utterances],
    )


def _normalise(audio: np.ndarray, *, out: np.ndarray) -> None:
    """Write int16 `audio` to `out` as float32 with zero mean and unit variance. Both [samples]."""
    np.multiply(audio, _INT16_SCALE, out=out)
    scale = np.sqrt(out.var() + _VARIANCE_FLOOR)
    out -= out.mean()
    out /= scale
