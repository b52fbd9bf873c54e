"""Provide the front end's output for a forward pass: computed now, or cached from an earlier epoch.

Legend: B utterances of a pass, of which K are cached and M are computed; T frames of the longest, C front-end channels,
S audio samples.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from mms_dist.data.batch import Utterance
from mms_dist.data.collate import padded_audio, samples_of
from mms_dist.features.feature_spill import SPILL_BYTES, FeatureSpill
from mms_dist.features.feature_store import FeatureStore
from mms_dist.features.packed_features import PackedFeaturePlan, computed_rows, plan_packed
from mms_dist.model import transfer
from mms_dist.model.base import FrozenBase
from mms_dist.model.waveform import normalised
from shards.schema import frames_of

_GIB = 1 << 30


@dataclass(frozen=True)
class FeaturePlan:
    """The sources of the features of a pass.

    Attributes:
        members: utterances of the pass.
        computed: positions in the pass of the utterances to compute, ascending.
        frames_B: frames of each utterance.
        tensors: input for the device, still on the host: `audio` int16 [M, S], `samples` [M], `cached` [K, T, C];
            if there are both kinds, also their positions in the pass, `computed` [M] and `known` [K].
    """

    members: Sequence[Utterance]
    computed: Sequence[int]
    frames_B: Tensor
    tensors: Mapping[str, Tensor]

    @property
    def frames(self) -> int:
        """Frames of the longest utterance."""
        return int(self.frames_B.max())


class FeatureSource:
    """Provides features [B, T, C] on the model's device.

    With a cache on a CPU, the front end computes each utterance separately, at its own length. Cached features must not
    depend on the batch in which they were first computed; otherwise a restart, which begins with an empty cache, would
    not be exact. On a GPU utterances are computed together, because there another batch shape changes the last bits of
    everything anyway.

    Only recordings that come again are cached. If a waveform augmentation makes a few versions of a recording, the
    features of each version are cached by themselves (`Utterance.feature_key`).

    Args:
        cache_gib: host memory for cached features; 0 disables the cache.
        spill_directory: folder for features that do not fit into that memory.
        spill_bytes: host memory for features waiting to be written there.
        notify: called with the kind of an event and its reason when the cache falls short; from any thread.
        one_by_one: whether the front end computes each utterance separately; None: on a CPU.
    """

    def __init__(
        self,
        base: FrozenBase,
        *,
        cache_gib: float,
        spill_directory: Path | None = None,
        spill_bytes: int = SPILL_BYTES,
        notify: Callable[[str, str], None] = lambda kind, reason: None,
        one_by_one: bool | None = None,
    ) -> None:
        self._base = base
        self._store: FeatureStore | None = None
        self._one_by_one = base.device.type == "cpu" if one_by_one is None else one_by_one
        if cache_gib > 0:
            spill = None
            if spill_directory is not None:
                on_notice = partial(notify, "features_not_spilled")
                spill = FeatureSpill(spill_directory, on_notice=on_notice, memory_bytes=spill_bytes)
            self._store = FeatureStore(
                base.device,
                budget_bytes=round(cache_gib * _GIB),
                spill=spill,
                on_notice=partial(notify, "memory_not_pinned"),
            )

    def plan(self, members: Sequence[Utterance]) -> FeaturePlan:
        """Look up cached features and lay out the audio of the rest, on the host. Call from one thread at a time."""
        frames_B = frames_of(samples_of(members))
        known = self._known(members, frames_B)
        computed = [place for place in range(len(members)) if place not in known]
        tensors = {}
        if computed:
            to_compute = [members[place] for place in computed]
            tensors["audio"], tensors["samples"] = padded_audio(to_compute), torch.from_numpy(samples_of(to_compute))
        if known:
            first_TC = next(iter(known.values()))
            cached_KTC = first_TC.new_zeros(len(known), int(frames_B.max()), first_TC.shape[1])
            for row_TC, features_TC in zip(cached_KTC, known.values(), strict=True):
                row_TC[: len(features_TC)] = features_TC
            tensors["cached"] = cached_KTC
        if known and computed:
            tensors["known"], tensors["computed"] = torch.tensor([*known]), torch.tensor(computed)
        return FeaturePlan(members, computed, torch.from_numpy(frames_B), tensors)

    def on_device(self, plan: FeaturePlan, tensors: Mapping[str, Tensor]) -> Tensor:
        """Compute the features [B, T, C] of a plan whose tensors are on the device, without waiting for the device."""
        if not plan.computed:
            return tensors["cached"]
        audio_MS, samples_M = tensors["audio"], tensors["samples"]
        if self._store is None:
            return self._base.features(normalised(audio_MS, samples_M))
        frames = [int(plan.frames_B[place]) for place in plan.computed]
        if self._one_by_one:
            separate = [self._of_one(audio_MS[row], samples_M[row]) for row in range(len(frames))]
            computed_MTC = pad_sequence(separate, batch_first=True)
        else:
            computed_MTC = self._base.features(normalised(audio_MS, samples_M)).contiguous()
        self._store.fill(
            {
                key: computed_TC[:length]
                for place, computed_TC, length in zip(plan.computed, computed_MTC, frames, strict=True)
                if (key := plan.members[place].feature_key) is not None
            }
        )
        if "known" not in tensors:
            return computed_MTC
        features_BTC = computed_MTC.new_zeros(len(plan.members), plan.frames, computed_MTC.shape[2])
        features_BTC.index_copy_(0, tensors["known"], tensors["cached"])
        features_BTC[:, : computed_MTC.shape[1]].index_copy_(0, tensors["computed"], computed_MTC)
        return features_BTC

    def plan_packed(self, members: Sequence[Utterance], places: int) -> PackedFeaturePlan:
        """Plan a packed pass of `places` frames."""
        frames_B = frames_of(samples_of(members))
        return plan_packed(
            members, frames_B, self._known(members, frames_B), places=places, separately=self._one_by_one
        )

    def packed_on_device(self, plan: PackedFeaturePlan, tensors: Mapping[str, Tensor]) -> Tensor:
        """Compute the features [F, C] of a packed plan whose tensors are on the device, without waiting for it."""
        if not plan.computed:
            return tensors["cached"]
        if self._one_by_one:
            parts = zip(tensors["audio"].split(plan.samples), tensors["samples"].split(1), strict=True)
            computed_FC = torch.cat([self._base.features(normalised(part_S[None], own))[0] for part_S, own in parts])
        else:
            computed_FC = computed_rows(self._base, plan, tensors)
        if self._store is not None:
            self._store.fill(
                {
                    key: computed_FC[first : first + frames]
                    for place, first, frames in plan.computed_rows()
                    if (key := plan.members[place].feature_key) is not None
                }
            )
        return torch.cat([computed_FC, tensors["cached"]]) if "cached" in tensors else computed_FC

    def features(self, members: Sequence[Utterance]) -> Tensor:
        """Compute the features [B, T, C] of utterances, planning and copying in the calling thread."""
        plan = self.plan(members)
        device = self._base.device
        return self.on_device(plan, {name: transfer.to_device(tensor, device) for name, tensor in plan.tensors.items()})

    def forget(self, language: str) -> None:
        """Free the memory of a language that is no longer active."""
        if self._store is not None:
            self._store.forget(language)

    def close(self) -> None:
        """Free all memory and disk space."""
        if self._store is not None:
            self._store.close()

    def _known(self, members: Sequence[Utterance], frames_B: np.ndarray) -> dict[int, Tensor]:
        """Return cached features by position in the pass; reserve memory for the rest."""
        known: dict[int, Tensor] = {}
        if self._store is None:
            return known
        self._store.write_behind()
        for place, member in enumerate(members):
            key = member.feature_key
            if key is None:
                continue
            features_TC = self._store.get(key)
            if features_TC is not None:
                known[place] = features_TC
            else:
                shape_TC = int(frames_B[place]), self._base.feature_channels
                self._store.reserve(key, shape_TC, self._base.dtype)
        return known

    def _of_one(self, audio_S: Tensor, samples: Tensor) -> Tensor:
        """Compute the features [T, C] of one utterance on a CPU."""
        return self._base.features(normalised(audio_S[None, : int(samples)], samples[None]))[0]
