"""An endless stream of batches with utterances of similar lengths, from one or several kinds of speech.

Shapes: B utterances, T samples, F frames, L labels.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tools.tiny_mms.augmentation import normalized
from tools.tiny_mms.phones import frame_count
from tools.tiny_mms.recordings import SAMPLE_RATE_HZ
from tools.tiny_mms.store import SpeechStore

NOT_ALIGNED = -1
_POOL_BATCHES = 40  # sorted by length together


@dataclass(frozen=True)
class SpeechBatch:
    """Normalised ``audio_BT``; ``classes_BF`` is −1 in padding and for utterances without alignment."""

    audio_BT: Tensor
    samples_B: Tensor
    labels_BL: Tensor
    lengths_B: Tensor
    classes_BF: Tensor

    @property
    def seconds(self) -> float:
        """Seconds of audio without padding."""
        return float(self.samples_B.sum()) / SAMPLE_RATE_HZ


def collate(store: SpeechStore, indices: list[int]) -> SpeechBatch:
    """Read and pad the utterances at ``indices``."""
    speech = [store[index] for index in indices]
    samples_B = torch.tensor([len(one.samples_T) for one in speech])
    longest = int(samples_B.max())
    audio_BT = torch.zeros(len(speech), longest)
    labels_BL = torch.zeros(len(speech), max(len(one.labels_L) for one in speech), dtype=torch.long)
    classes_BF = torch.full((len(speech), frame_count(longest)), NOT_ALIGNED)
    for row, one in enumerate(speech):
        audio_BT[row, : len(one.samples_T)] = torch.from_numpy(one.samples_T.astype(np.float32))
        labels_BL[row, : len(one.labels_L)] = torch.from_numpy(one.labels_L.astype(np.int64))
        classes_BF[row, : len(one.frames_F)] = torch.from_numpy(one.frames_F.astype(np.int64))
    lengths_B = torch.tensor([len(one.labels_L) for one in speech])
    return SpeechBatch(normalized(audio_BT, samples_B), samples_B, labels_BL, lengths_B, classes_BF)


def in_order(store: SpeechStore, indices: NDArray[np.int64], batch_seconds: float) -> Iterator[list[int]]:
    """Cut ``indices`` into batches of at most ``batch_seconds`` with padding, and at least one utterance."""
    samples_N = store.samples_N
    batch: list[int] = []
    longest = 0
    for index in indices.tolist():
        grown = max(longest, int(samples_N[index]))
        if batch and grown * (len(batch) + 1) > batch_seconds * SAMPLE_RATE_HZ:
            yield batch
            batch, grown = [], int(samples_N[index])
        batch.append(index)
        longest = grown
    if batch:
        yield batch


def endless(store: SpeechStore, shares: dict[str, float], batch_seconds: float, seed: int) -> Iterator[SpeechBatch]:
    """Yield batches without end, reshuffled, in which kind k makes up ``shares[k]`` of the utterances."""
    generator = np.random.default_rng(seed)
    streams = {kind: _reshuffled(store.where(kind), generator) for kind in shares}
    kinds = list(shares)
    weights = np.array([shares[kind] for kind in kinds]) / sum(shares.values())
    mean_seconds = float(store.samples_N.mean()) / SAMPLE_RATE_HZ
    pool_size = max(2, int(_POOL_BATCHES * batch_seconds / mean_seconds))
    while True:
        drawn = generator.choice(len(kinds), pool_size, p=weights)
        pool = np.array([next(streams[kinds[kind]]) for kind in drawn])
        pool = pool[np.argsort(store.samples_N[pool], kind="stable")]
        batches = list(in_order(store, pool, batch_seconds))
        generator.shuffle(batches)
        for batch in batches:
            yield collate(store, batch)


def _reshuffled(indices: NDArray[np.int64], generator: np.random.Generator) -> Iterator[int]:
    assert len(indices), "a kind of speech in the training mix has no utterances"
    while True:
        yield from generator.permutation(indices).tolist()
