"""Turn the utterances of one forward pass, of any languages, into padded tensors.

Legend: B utterances, S audio samples of the longest, L labels of the longest transcript.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mms_dist.data.batch import Utterance
from mms_dist.data.randomness import random_key
from shards.schema import frames_of


@dataclass(slots=True)
class AudioBatch:
    """Input of one forward pass of the model.

    Attributes:
        audio_BS: decoded audio, int16, zero-padded at the end.
        samples_B: audio samples of each utterance, int64.
        frames_B: output frames of the front end of each utterance, int64.
        labels_BL: vocabulary ids in each utterance's own language, int64, padded with 0.
        label_lengths_B: number of labels of each utterance, int64.
        keys_B: key of each utterance's random stream, int64 (see `random_key`).
        languages: language code of each utterance.
    """

    audio_BS: Tensor
    samples_B: Tensor
    frames_B: Tensor
    labels_BL: Tensor
    label_lengths_B: Tensor
    keys_B: Tensor
    languages: list[str]


def collate(utterances: Sequence[Utterance], *, seed: int) -> AudioBatch:
    """Pad `utterances`; `samples_B` replaces the attention mask of Hugging Face's feature extractor."""
    samples_B = samples_of(utterances)
    labels_BL, label_lengths_B = padded_labels(utterances)
    return AudioBatch(
        audio_BS=padded_audio(utterances),
        samples_B=torch.from_numpy(samples_B),
        frames_B=torch.from_numpy(frames_of(samples_B)),
        labels_BL=labels_BL,
        label_lengths_B=label_lengths_B,
        keys_B=random_keys(utterances, seed=seed),
        languages=[utterance.language for utterance in utterances],
    )


def samples_of(utterances: Sequence[Utterance]) -> np.ndarray:
    """Return the number of audio samples of each utterance, int64 [B]."""
    return np.array([len(utterance.audio) for utterance in utterances], dtype=np.int64)


def padded_audio(utterances: Sequence[Utterance]) -> Tensor:
    """Return the recordings, int16 [B, S], zero-padded at the end."""
    audio_BS = np.zeros((len(utterances), samples_of(utterances).max()), dtype=np.int16)
    for audio_S, utterance in zip(audio_BS, utterances, strict=True):
        audio_S[: len(utterance.audio)] = utterance.audio
    return torch.from_numpy(audio_BS)


def padded_labels(utterances: Sequence[Utterance]) -> tuple[Tensor, Tensor]:
    """Return vocabulary ids [B, L] and the number of ids of each utterance [B], int64."""
    lengths_B = np.array([len(utterance.labels) for utterance in utterances], dtype=np.int64)
    labels_BL = np.zeros((len(utterances), lengths_B.max()), dtype=np.int64)
    for labels_L, utterance in zip(labels_BL, utterances, strict=True):
        labels_L[: len(utterance.labels)] = utterance.labels
    return torch.from_numpy(labels_BL), torch.from_numpy(lengths_B)


def random_keys(utterances: Sequence[Utterance], *, seed: int) -> Tensor:
    """Return the key of each utterance's random stream, int64 [B]."""
    keys = [random_key(seed, utterance.id, utterance.epoch, utterance.repeat) for utterance in utterances]
    return torch.tensor(keys, dtype=torch.int64)
