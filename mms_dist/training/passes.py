"""One forward pass as it is described on the host, and the same on the device.

On the host there is everything that has to be looked up, drawn or laid out, as tensors with names; they go to the
device together, and nothing that comes after asks for more.

Legend: B utterances, U languages among them, T frames, H hidden size, L labels.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mms_dist.data.batch import Utterance
from mms_dist.data.collate import padded_labels, random_keys
from mms_dist.model.padded_frames import PaddedFrames
from mms_dist.model.randomness import Spans, spec_augment
from mms_dist.model.routed import DeviceBatch, RoutedModel
from mms_dist.training.features import FeaturePlan, FeatureSource
from mms_dist.training.trainee import Trainee


@dataclass(frozen=True)
class HostPass:
    """A pass before it goes to the device.

    Attributes:
        members: its utterances.
        owners: language of each.
        features: where the front end's output comes from.
        tensors: all that goes to the device, by name.
        largest_vocabulary: of its languages.
    """

    members: Sequence[Utterance]
    owners: Sequence[Trainee]
    features: FeaturePlan
    tensors: Mapping[str, Tensor]
    largest_vocabulary: int


@dataclass(frozen=True)
class DevicePass:
    """A pass on the device: what the model takes, and what its losses are computed from."""

    batch: DeviceBatch
    slots_B: Tensor
    frames_B: Tensor
    labels_BL: Tensor
    label_lengths_B: Tensor
    weights_B: Tensor


class PassBuilder:
    """Describes passes, and makes the model's input of what has arrived on the device."""

    def __init__(self, model: RoutedModel, features: FeatureSource, *, seed: int) -> None:
        self._model = model
        self._features = features
        self._seed = seed

    def on_host(self, members: Sequence[Utterance], weights: Sequence[float], owners: Sequence[Trainee]) -> HostPass:
        """By any one thread; `weights` are those of the utterances' losses."""
        features = self._features.plan(members)
        keys_B = random_keys(members, seed=self._seed)
        labels_BL, label_lengths_B = padded_labels(members)
        slots_B = torch.tensor([owner.slot for owner in owners])
        slots_U, owner_B = torch.unique(slots_B, return_inverse=True)
        sizes = [self._model.bank.vocabulary_sizes[slot] for slot in slots_U.tolist()]
        dropout = [owner.settings.adapter.dropout for owner in owners]
        time_BT, channel_BH = spec_augment(
            keys_B.tolist(),
            features.frames_B.tolist(),
            [_spans(owner) for owner in owners],
            longest=features.frames,
            hidden=self._model.base.hidden,
        )
        tensors = {
            **features.tensors,
            "frames": features.frames_B,
            "labels": labels_BL,
            "label_lengths": label_lengths_B,
            "weights": torch.tensor(weights, dtype=torch.promote_types(self._model.base.dtype, torch.float32)),
            "slots": slots_B,
            "slots of languages": slots_U,
            "owners": owner_B,
            "vocabulary sizes": torch.tensor(sizes),
            "keys": keys_B,
        }
        optional = {
            "time masks": time_BT,
            "channel masks": channel_BH,
            "dropout": torch.tensor(dropout, dtype=torch.float64) if any(dropout) else None,
        }
        tensors |= {name: tensor for name, tensor in optional.items() if tensor is not None}
        return HostPass(members, owners, features, tensors, max(sizes))

    def on_device(self, host: HostPass, tensors: Mapping[str, Tensor]) -> DevicePass:
        """Of a pass whose tensors are on the device. Waits for nothing."""
        longest = host.features.frames
        is_full = int(host.features.frames_B.min()) == longest
        batch = DeviceBatch(
            frames=PaddedFrames.of(tensors["frames"], longest, is_full=is_full, dtype=self._model.base.dtype),
            features=self._features.on_device(host.features, tensors),
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


def _spans(owner: Trainee) -> Spans:
    augment = owner.settings.augment
    return Spans(augment.time_prob, augment.time_length, augment.feature_prob, augment.feature_length)
