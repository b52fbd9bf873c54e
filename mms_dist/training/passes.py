"""Describe forward passes on the host, and build the model's input from them on the device.

All lookups, random draws and layout happen on the host and give named tensors. These are sent to the device together;
afterwards nothing else is needed from the host.

Legend: B utterances, U languages among them, T frames, H hidden size, L labels.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mms_dist.augment.kinds import SpectralAugmentation, augmentations
from mms_dist.augment.masks import draw_masks
from mms_dist.data.batch import Utterance
from mms_dist.data.collate import padded_labels, random_keys
from mms_dist.data.packer import pack
from mms_dist.features.feature_source import FeaturePlan, FeatureSource
from mms_dist.model.packed_frames import PackedFrames
from mms_dist.model.padded_frames import PaddedFrames
from mms_dist.model.routed import DeviceInput, RoutedModel
from mms_dist.training.active_language import ActiveLanguage
from shards.schema import SAMPLE_RATE

Pass = Sequence[Sequence[int]]
"""Utterances of a pass: in strips of one language each if it is packed, in a single strip if it is padded."""


@dataclass(frozen=True)
class HostPass:
    """A pass before it is sent to the device.

    Attributes:
        members: its utterances.
        tensors: everything to send to the device, by name.
        largest_vocabulary: size of the largest vocabulary of its languages.
    """

    members: Sequence[Utterance]
    tensors: Mapping[str, Tensor]
    largest_vocabulary: int


@dataclass(frozen=True)
class PaddedHostPass(HostPass):
    """A padded pass before it is sent to the device; `features` are the sources of the front end's output."""

    features: FeaturePlan


@dataclass(frozen=True)
class DevicePass:
    """A pass on the device: the model's input, and the tensors that the losses need."""

    batch: DeviceInput
    slots_B: Tensor
    frames_B: Tensor
    labels_BL: Tensor
    label_lengths_B: Tensor
    weights_B: Tensor


class PassBuilder:
    """Describes padded passes, and builds the model's input from the tensors on the device.

    Args:
        capacity: samples of a pass.
        forward_cost: cost of one more pass, in samples.
    """

    def __init__(
        self, model: RoutedModel, features: FeatureSource, *, seed: int, capacity: int, forward_cost: int
    ) -> None:
        self._capacity = capacity
        self._forward_cost = forward_cost
        self._model = model
        self._features = features
        self._seed = seed

    def passes(self, utterances: Sequence[Utterance]) -> list[Pass]:
        """Group the utterances of a round into passes."""
        lengths = [len(each.audio) for each in utterances]
        return [[group.tolist()] for group in pack(lengths, capacity=self._capacity, forward_cost=self._forward_cost)]

    def seconds(self, members: Sequence[Utterance]) -> float:
        """Return the audio of a pass in seconds, including padding."""
        return len(members) * max(len(member.audio) for member in members) / SAMPLE_RATE

    def on_host(
        self, strips: Sequence[Sequence[Utterance]], weights: Sequence[float], owners: Sequence[ActiveLanguage]
    ) -> HostPass:
        """Describe a pass. Call from one thread at a time.

        Args:
            strips: its utterances.
            weights: weight of each utterance's loss.
            owners: language of each utterance.
        """
        members = [member for strip in strips for member in strip]
        features = self._features.plan(members)
        tensors = self._of_utterances(members, weights, owners, features.frames_B)
        slots_U, owner_B = torch.unique(tensors["slots"], return_inverse=True)
        sizes = self._sizes(slots_U)
        tensors |= {
            **features.tensors,
            "slots of languages": slots_U,
            "owners": owner_B,
            "vocabulary sizes": torch.tensor(sizes),
        }
        return PaddedHostPass(members, tensors, max(sizes), features)

    def on_device(self, host: HostPass, tensors: Mapping[str, Tensor]) -> DevicePass:
        """Build the model's input of a pass whose tensors are on the device, without waiting for the device."""
        assert isinstance(host, PaddedHostPass)
        longest = host.features.frames
        is_full = int(host.features.frames_B.min()) == longest
        frames = PaddedFrames.of(tensors["frames"], longest, is_full=is_full, dtype=self._model.base.dtype)
        return self._pass(host, tensors, frames, self._features.on_device(host.features, tensors))

    def _of_utterances(
        self, members: Sequence[Utterance], weights: Sequence[float], owners: Sequence[ActiveLanguage], frames_B: Tensor
    ) -> dict[str, Tensor]:
        """Return the tensors per utterance that padded and packed passes have in common."""
        keys_B = random_keys(members, seed=self._seed)
        labels_BL, label_lengths_B = padded_labels(members)
        dropout = [owner.settings.adapter.dropout for owner in owners]
        time_BT, channel_BH = draw_masks(
            keys_B.tolist(),
            frames_B.tolist(),
            [augmentations(owner.settings.augment, SpectralAugmentation) for owner in owners],
            longest=int(frames_B.max()),
            hidden=self._model.base.hidden,
        )
        optional = {
            "time masks": time_BT,
            "channel masks": channel_BH,
            "dropout": torch.tensor(dropout, dtype=torch.float64) if any(dropout) else None,
        }
        return {
            "frames": frames_B,
            "labels": labels_BL,
            "label_lengths": label_lengths_B,
            "weights": torch.tensor(weights, dtype=torch.promote_types(self._model.base.dtype, torch.float32)),
            "slots": torch.tensor([owner.slot for owner in owners]),
            "keys": keys_B,
        } | {name: tensor for name, tensor in optional.items() if tensor is not None}

    def _sizes(self, slots_U: Tensor) -> list[int]:
        """Return the vocabulary sizes of the languages in these slots."""
        return [self._model.bank.vocabulary_sizes[slot] for slot in slots_U.tolist()]

    @staticmethod
    def _pass(
        host: HostPass, tensors: Mapping[str, Tensor], frames: PaddedFrames | PackedFrames, features: Tensor
    ) -> DevicePass:
        batch = DeviceInput(
            frames=frames,
            features=features,
            slots_U=tensors["slots of languages"],
            owner_B=tensors["owners"],
            sizes_U=tensors["vocabulary sizes"],
            largest_vocabulary=host.largest_vocabulary,
            keys_B=tensors["keys"],
            time=tensors.get("time masks"),
            channel_BH=tensors.get("channel masks"),
            dropout_B=tensors.get("dropout"),
        )
        return DevicePass(
            batch,
            slots_B=tensors["slots"],
            frames_B=tensors["frames"],
            labels_BL=tensors["labels"],
            label_lengths_B=tensors["label_lengths"],
            weights_B=tensors["weights"],
        )
