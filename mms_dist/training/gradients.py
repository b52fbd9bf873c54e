"""A round's forward and backward passes: from the languages' batches to gradients in the bank.

Every language's objective is the mean over its own batch, whatever the others bring, so each utterance's loss is
weighted by one over the size of its language's batch and all weighted losses of a forward pass are summed.

Legend: B utterances of a forward pass.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from mms_dist.data.batch import LoadedBatch, Utterance
from mms_dist.data.collate import ForwardBatch, collate
from mms_dist.data.constant_packer import Strips, pack_constant
from mms_dist.data.packer import pack
from mms_dist.distributed.comm import Comm
from mms_dist.errors import TrainingError
from mms_dist.model.ctc import utterance_losses
from mms_dist.model.packed_tables import BLOCK, STRIDE, PackedTables, packed_tables
from mms_dist.model.randomness import Spans, spec_augment
from mms_dist.model.routed import Batch, RoutedModel
from mms_dist.training.features import FeatureSource, frames_of_batch
from mms_dist.training.lockstep import Lockstep
from mms_dist.training.trainee import Trainee
from shards.schema import SAMPLE_RATE, frames_of


@dataclass
class RoundLosses:
    """Sum of the weighted losses of each language that had an utterance here: its mean loss, if this is its only owner.
    And how much audio went through the model."""

    losses: dict[str, float] = field(default_factory=dict)
    audio_seconds: float = 0.0
    padded_seconds: float = 0.0


class GradientPass:
    """Adds the gradients of a round to the bank."""

    def __init__(
        self,
        model: RoutedModel,
        features: FeatureSource,
        *,
        forward_seconds: float,
        seed: int,
        packed: bool = False,
        lockstep: Lockstep | None = None,
    ) -> None:
        self._lockstep = lockstep or Lockstep(Comm(), model)
        self._watch = self._lockstep.comm.watch
        self._model = model
        self._features = features
        self.forward_seconds = forward_seconds
        self._capacity = int(forward_seconds * SAMPLE_RATE)
        self._seed = seed
        self.packed_frames = packed_frames(forward_seconds) if packed else None
        self._strips: list[int] = []  # utterances of each strip of the pass at hand

    def accumulate(self, batches: Sequence[LoadedBatch], trainees: Mapping[str, Trainee]) -> RoundLosses:
        """Forward and backward over all utterances of a round that are at hand, in groups of similar length.

        A loss is weighted by one over the planned size of its whole batch; where other owners hold the rest, the sum
        of all of their losses and gradients is the mean.
        """
        utterances = [utterance for batch in batches for utterance in batch.utterances]
        sizes = {batch.request.language: batch.size for batch in batches}
        lengths = [len(utterance.audio) for utterance in utterances]
        result = RoundLosses(audio_seconds=sum(lengths) / SAMPLE_RATE)
        parts: list[Tensor] = []
        order: list[str] = []
        groups = self.plan_passes(utterances)
        missing = self._lockstep.missing(len(groups))
        for number, strips in enumerate(groups, start=1):
            self._watch.at(f"forward and backward pass {number} of {len(groups)}")
            group = [item for strip in strips for item in strip]
            members = [utterances[item] for item in group]
            weights = [1 / sizes[member.language] for member in members]
            try:
                with self._lockstep.in_company():
                    self._strips = [len(strip) for strip in strips]
                    parts.append(self._forward_backward(members, weights, trainees))
            except torch.OutOfMemoryError as error:
                raise TrainingError(
                    f"the device ran out of memory in a forward pass of {len(members)} utterances: lower "
                    f"rounds.forward_seconds (now {self.forward_seconds:g}), or set "
                    "model.activation_checkpointing"
                ) from error
            order += [member.language for member in members]
            result.padded_seconds += self._size_seconds([lengths[item] for item in group])
        self._lockstep.idle(missing, backward=True)
        for language, loss in zip(order, torch.cat(parts).tolist() if parts else (), strict=True):
            result.losses[language] = result.losses.get(language, 0.0) + loss
        return result

    def plan_passes(self, utterances: Sequence[Utterance]) -> list[Strips]:
        """Which utterances go into every forward pass; a padded one is one strip of many languages."""
        lengths = [len(each.audio) for each in utterances]
        if self.packed_frames is None:
            return [[group.tolist()] for group in pack(lengths, capacity=self._capacity)]
        frames, languages = frames_of(np.array(lengths, dtype=np.int64)), [each.language for each in utterances]
        return pack_constant(frames.tolist(), languages, size=self.packed_frames, block=BLOCK)

    def _size_seconds(self, lengths: Sequence[int]) -> float:
        """Of a pass with utterances of so many samples, what is padding or filler included."""
        if self.packed_frames is None:
            return len(lengths) * max(lengths) / SAMPLE_RATE
        return max(self.packed_frames * STRIDE, sum(lengths)) / SAMPLE_RATE

    def _forward_backward(
        self, members: Sequence[Utterance], weights: Sequence[float], trainees: Mapping[str, Trainee]
    ) -> Tensor:
        """Weighted losses [B] of one forward pass, whose gradients are in the bank afterwards."""
        losses_B = self._losses(members, trainees)
        weighted_B = losses_B * torch.tensor(weights, dtype=losses_B.dtype).to(losses_B.device)
        weighted_B.sum().backward()
        return weighted_B.detach()

    def _losses(self, members: Sequence[Utterance], trainees: Mapping[str, Trainee]) -> Tensor:
        collated = collate(members, seed=self._seed)
        owners = [trainees[member.language] for member in members]
        batch = self._batch(members, collated, owners)
        labels_BL = collated.labels_BL.to(self._model.base.device)
        # Lengths stay on the CPU, where torch's CTC wants them.
        return utterance_losses(self._model.logits(batch), batch.frames_B, labels_BL, collated.label_lengths_B)

    def _batch(self, members: Sequence[Utterance], collated: ForwardBatch, owners: Sequence[Trainee]) -> Batch:
        tables = None if self.packed_frames is None else self._tables(collated, self.packed_frames)
        if tables is None:
            features_BTC = self._features.features(members, collated)
            frames_B = frames_of_batch(features_BTC, collated)
        else:
            features_BTC = self._features.packed(members, collated, tables)
            frames_B = collated.frames_B
        spans = [_spans(owner) for owner in owners]
        time_BT, channel_BH = spec_augment(
            collated.keys_B.tolist(),
            frames_B.tolist(),
            spans,
            longest=int(frames_B.max()),
            hidden=self._model.base.hidden,
        )
        dropout = [owner.settings.adapter.dropout for owner in owners]
        return Batch(
            features_BTC=features_BTC,
            frames_B=frames_B,
            slots_B=torch.tensor([owner.slot for owner in owners]),
            keys_B=collated.keys_B,
            time_BT=time_BT,
            channel_BH=channel_BH,
            dropout_B=torch.tensor(dropout, dtype=torch.float64) if any(dropout) else None,
            tables=tables,
        )

    def _tables(self, collated: ForwardBatch, size: int) -> PackedTables:
        return packed_tables(
            collated.frames_B.numpy(),
            np.repeat(np.arange(len(self._strips)), self._strips),
            size=size,
            gap=self._model.base.position_gap,
            seam=0 if self._features.computes_alone else 1,
        )


def packed_frames(forward_seconds: float) -> int:
    """Frames of a packed pass: whole blocks, as many as fit into so much audio."""
    return max(int(forward_seconds * SAMPLE_RATE) // STRIDE // BLOCK, 1) * BLOCK


def _spans(owner: Trainee) -> Spans:
    augment = owner.settings.augment
    return Spans(augment.time_prob, augment.time_length, augment.feature_prob, augment.feature_length)
