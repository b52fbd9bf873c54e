"""The front end's output for a forward pass, computed with its neighbours or remembered from an earlier epoch.

Legend: B utterances, T frames, C front-end channels.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from mms_dist.data.batch import Utterance
from mms_dist.data.collate import ForwardBatch
from mms_dist.data.recording import one_recording
from mms_dist.data.utterance_id import UtteranceId
from mms_dist.model.base import FrozenBase
from mms_dist.model.packed_tables import PackedTables, samples_seen

_GIB = 1 << 30


class FeatureSource:
    """Gives features [B, T, C] on the model's device.

    With a cache, an utterance passes through the front end by itself, at its own length: what is remembered must not
    depend on the batch in which it was first seen, or a restart, which begins with an empty cache, would not be exact.
    Full means full: nothing is evicted, since every utterance is needed once an epoch and the last one evicted would
    always be the next one missed.
    """

    def __init__(self, base: FrozenBase, *, cache_gib: float) -> None:
        self._base = base
        self._room_bytes = int(cache_gib * _GIB)
        self._caching = cache_gib > 0
        self._cache: dict[UtteranceId, Tensor] = {}

    def features(self, utterances: Sequence[Utterance], batch: ForwardBatch) -> Tensor:
        if not self._caching:
            return self._base.features(batch.audio_BS.to(self._base.device, non_blocking=True))
        alone = [self._alone(item, batch, row) for row, item in enumerate(utterances)]
        return pad_sequence(alone, batch_first=True).to(self._base.device, non_blocking=True)

    def packed(self, utterances: Sequence[Utterance], batch: ForwardBatch, tables: PackedTables) -> Tensor:
        """Features [F, C] of a packed pass, where its tables look for them: end to end if each was computed alone, on a
        CPU or for the cache, and otherwise of one long recording."""
        if self.computes_alone:
            alone = [self._alone(item, batch, row) for row, item in enumerate(utterances)]
            return torch.cat(alone).to(self._base.device, non_blocking=True)
        recording_S = np.empty(tables.recording_samples, dtype=np.float32)
        audio = [row_S.numpy() for row_S in batch.audio_BS]
        one_recording(audio, tables.sample_B, samples_seen(tables.frames_B), recording_S)
        return self._base.features(torch.from_numpy(recording_S).to(self._base.device)[None])[0]

    @property
    def computes_alone(self) -> bool:
        """Whether a packed pass gets features that were computed an utterance at a time."""
        return self._caching or self._base.device.type == "cpu"

    def forget(self, language: str) -> None:
        """Give back the memory of a language that has left."""
        for utterance in [utterance for utterance in self._cache if utterance.language == language]:
            self._room_bytes += self._cache.pop(utterance).nbytes

    def _alone(self, utterance: Utterance, batch: ForwardBatch, row: int) -> Tensor:
        if utterance.id not in self._cache:
            audio_1S = batch.audio_BS[row : row + 1, : int(batch.samples_B[row])]
            features_TC = self._base.features(audio_1S.to(self._base.device))[0].cpu().contiguous()
            if not self._caching or features_TC.nbytes > self._room_bytes:
                return features_TC
            self._room_bytes -= features_TC.nbytes
            self._cache[utterance.id] = features_TC
        return self._cache[utterance.id]


def frames_of_batch(features_BTC: Tensor, batch: ForwardBatch) -> Tensor:
    """Frames per utterance, never more than there are features."""
    return batch.frames_B.clamp(max=features_BTC.shape[1]).to(torch.int64)
