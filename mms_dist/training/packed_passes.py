"""Describe packed forward passes on the host, and build the model's input from them on the device.

Legend: B utterances, U strips, N frames of the pass.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mms_dist.data.batch import Utterance
from mms_dist.data.collate import samples_of
from mms_dist.data.constant_packer import pack_constant
from mms_dist.features.packed_features import PackedFeaturePlan
from mms_dist.model.packed_frames import PackedFrames
from mms_dist.model.packed_tables import BLOCK, STRIDE, PackedTables, packed_tables, pass_frames
from mms_dist.training.active_language import ActiveLanguage
from mms_dist.training.passes import DevicePass, HostPass, Pass, PassBuilder
from shards.schema import SAMPLE_RATE, frames_of


@dataclass(frozen=True)
class PackedHostPass(HostPass):
    """A packed pass before it is sent to the device.

    Attributes:
        features: sources of the front end's output.
        tables: layout of the frames.
    """

    features: PackedFeaturePlan
    tables: PackedTables


class PackedPassBuilder(PassBuilder):
    """Describes packed passes, and builds the model's input from the tensors on the device."""

    @property
    def _size(self) -> int:
        """Number of frames of a pass."""
        return pass_frames(self._capacity)

    def passes(self, utterances: Sequence[Utterance]) -> list[Pass]:
        """Group the utterances of a round into passes of one size; the cost of a pass plays no role."""
        frames = frames_of(samples_of(utterances)).tolist()
        languages = [each.language for each in utterances]
        return [*pack_constant(frames, languages, size=self._size, block=BLOCK)]

    def seconds(self, members: Sequence[Utterance]) -> float:
        return max(self._size * STRIDE, int(samples_of(members).sum())) / SAMPLE_RATE

    def on_host(
        self, strips: Sequence[Sequence[Utterance]], weights: Sequence[float], owners: Sequence[ActiveLanguage]
    ) -> HostPass:
        members = [member for strip in strips for member in strip]
        frames_B = frames_of(samples_of(members))
        strip_B = np.repeat(np.arange(len(strips)), [len(strip) for strip in strips])
        tables = packed_tables(frames_B, strip_B, size=self._size, gap=self._model.base.position_gap)
        features = self._features.plan_packed(members, tables.size)
        tensors = self._of_utterances(members, weights, owners, torch.from_numpy(frames_B))
        # Each strip counts as a separate language: its gradient is summed on its own before it is added.
        slots_U = tensors["slots"][torch.from_numpy(tables.utterance_U)]
        sizes = self._sizes(slots_U)
        tensors |= {
            **features.tensors,
            **PackedFrames.to_send(tables, features.first_B),
            "slots of languages": slots_U,
            "vocabulary sizes": torch.tensor(sizes),
        }
        if "time masks" in tensors:
            own = torch.from_numpy(tables.utterance_N), torch.from_numpy(tables.index_N)
            tensors["time masks"] = tensors["time masks"][own]
        return PackedHostPass(members, tensors, max(sizes), features, tables)

    def on_device(self, host: HostPass, tensors: Mapping[str, Tensor]) -> DevicePass:
        assert isinstance(host, PackedHostPass)
        frames = PackedFrames.of(host.tables, tensors)
        return self._pass(host, tensors, frames, self._features.packed_on_device(host.features, tensors))
