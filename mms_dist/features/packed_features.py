"""Provide the front end's output for a packed pass, as rows that its frames index: computed rows first, then cached.

On a CPU the front end computes each utterance separately, bit for bit as in a padded pass. On a GPU it computes all of
them as one long recording, which is sent as int16 and normalised there.

Legend: B utterances of a pass, of which M are computed; F rows of features, C front-end channels, S audio samples, X
pieces of the recording, a stride of the front end each.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mms_dist.data.batch import Utterance
from mms_dist.data.collate import samples_of
from mms_dist.model.base import FrozenBase
from mms_dist.model.packed_tables import STRIDE, end_to_end, recording_of, samples_seen
from mms_dist.model.waveform import moments, normalised_pieces


@dataclass(frozen=True)
class PackedFeaturePlan:
    """The sources of the features of a packed pass.

    Attributes:
        members: utterances of the pass.
        computed: positions in the pass of the utterances to compute, ascending.
        frames_B: frames of each utterance.
        first_B: row of each utterance's first feature.
        samples: audio samples of each utterance to compute.
        recording_samples: samples of the joint recording; 0 if each utterance is computed separately.
        tensors: input for the device, still on the host: `cached` [F, C], `audio` int16, and for a recording
            `moments` and `utterances of pieces`, otherwise `samples`.
    """

    members: Sequence[Utterance]
    computed: Sequence[int]
    frames_B: np.ndarray
    first_B: np.ndarray
    samples: Sequence[int]
    recording_samples: int
    tensors: Mapping[str, Tensor]

    def computed_rows(self) -> Iterator[tuple[int, int, int]]:
        """Yield, for each utterance to compute, its position, its first row and its number of rows."""
        for place in self.computed:
            yield place, int(self.first_B[place]), int(self.frames_B[place])


def plan_packed(
    members: Sequence[Utterance], frames_B: np.ndarray, known: Mapping[int, Tensor], *, places: int, separately: bool
) -> PackedFeaturePlan:
    """Lay out the audio of the utterances to compute, and the rows of all utterances, on the host.

    Args:
        known: cached features by position in the pass.
        places: frames of the pass.
        separately: whether the front end computes each utterance separately.
    """
    computed = [place for place in range(len(members)) if place not in known]
    to_compute = [members[place] for place in computed]
    frames_M, samples_M = frames_B[computed], samples_of(to_compute)
    tensors: dict[str, Tensor] = {}
    first_B, rows, recording_samples = np.zeros_like(frames_B), 0, 0
    if to_compute and separately:
        first_B[computed], rows = end_to_end(frames_M), int(frames_M.sum())
        tensors["audio"] = torch.from_numpy(np.concatenate([member.audio for member in to_compute]))
        tensors["samples"] = torch.from_numpy(samples_M)
    elif to_compute:
        recording = recording_of(frames_M, places, is_whole=not known)
        first_B[computed], rows, recording_samples = recording.first_M, recording.frames, recording.samples
        pieces, audio = -(-recording.samples // STRIDE), [member.audio for member in to_compute]
        audio_S = one_recording(audio, recording.first_M * STRIDE, samples_seen(frames_M), pieces * STRIDE)
        utterance_X = np.searchsorted(recording.first_M, np.arange(pieces), side="right") - 1
        tensors["audio"] = torch.from_numpy(audio_S.reshape(pieces, STRIDE))
        tensors["moments"] = torch.from_numpy(moments(audio))
        tensors["utterances of pieces"] = torch.from_numpy(utterance_X)
    if known:
        places_known = [*known]
        first_B[places_known] = rows + end_to_end(frames_B[places_known])
        tensors["cached"] = torch.cat([*known.values()])
    return PackedFeaturePlan(members, computed, frames_B, first_B, samples_M.tolist(), recording_samples, tensors)


def one_recording(audio: Sequence[np.ndarray], starts_M: np.ndarray, seen_M: np.ndarray, samples: int) -> np.ndarray:
    """Return int16 [S] with each utterance's first `seen_M` samples, and zeros elsewhere.

    Args:
        audio: samples of each utterance.
        starts_M: start of each utterance in the recording, far enough apart that no frame covers two utterances.
        seen_M: samples of each utterance that its frames cover.
        samples: S.
    """
    out_S = np.zeros(samples, dtype=np.int16)
    for own, start, seen in zip(audio, starts_M.tolist(), seen_M.tolist(), strict=True):
        out_S[start : start + seen] = own[:seen]
    return out_S


def computed_rows(base: FrozenBase, plan: PackedFeaturePlan, tensors: Mapping[str, Tensor]) -> Tensor:
    """Compute the features [F, C] of the long recording, on the device."""
    audio_XK = normalised_pieces(tensors["audio"], tensors["moments"], tensors["utterances of pieces"])
    return base.features(audio_XK.view(1, -1)[:, : plan.recording_samples])[0]
