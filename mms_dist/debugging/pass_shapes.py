"""The tensor shapes of one mixed forward pass, and the slot and head that each utterance uses.

Legend: B utterances, S audio samples, T frames, C front-end channels, H hidden size, R row length, D bottleneck,
V vocabulary; of a packed pass U strips, F rows of features, K frames of each of N blocks.
"""

import torch
from torch import Tensor

from mms_dist.debugging.bench import Bench, Forward
from mms_dist.debugging.debug_report import RouteLine, Stage
from mms_dist.model import transfer
from mms_dist.model.ctc import utterance_losses
from shards.schema import SAMPLE_RATE, required_frames


def stages(bench: Bench, forward: Forward) -> list[Stage]:
    """Return the stages of a padded pass, from audio to losses."""
    base, bank = bench.components.base, bench.components.bank
    batch, layout = forward.batch, bank.layout
    valid_BT = torch.ones(batch.features_BTC.shape[:2], dtype=torch.bool, device=base.device)
    hidden_BTH = base.embed(batch.features_BTC, valid_BT, None, None)
    rows_BR = bank.gather(transfer.to_device(batch.slots_B, base.device), 0, bank.rows.shape[1])
    utterances, frames = hidden_BTH.shape[:2]
    layers = len(base.layers)
    return [
        _stage("audio", forward.collated.audio_BS, "decoded and padded; then normalised"),
        _stage("features", batch.features_BTC, "front end, one frame per 20 ms, no autograd"),
        _stage("hidden", hidden_BTH, f"projected, positions added; then {layers} frozen layers"),
        _stage("rows", rows_BR, f"row of each utterance's language, from {bank.slots} slots"),
        Stage(
            "bottleneck",
            (utterances, frames, layout.dim),
            _dtype(hidden_BTH.dtype),
            f"inside the adapter after each of {layers} layers",
        ),
        _stage("logits", forward.logits_BTV, "largest vocabulary of the batch; others masked"),
        _stage("losses", forward.losses_B, "CTC divided by the number of labels, one per utterance"),
    ]


def packed_stages(bench: Bench) -> list[Stage]:
    """Return the stages of a packed pass, from features to losses."""
    base, bank = bench.components.base, bench.components.bank
    on_device = bench.first_pass()
    batch = on_device.batch
    hidden_NKH = batch.frames.embed(base, batch.features, None, None)
    rows_UR = bank.gather(batch.slots_U, 0, bank.rows.shape[1])
    logits_BTV = bench.components.model.device_logits(batch)
    losses_B = utterance_losses(logits_BTV, on_device.frames_B, on_device.labels_BL, on_device.label_lengths_B)
    layers = len(base.layers)
    return [
        _stage("features", batch.features, "front end, one frame per 20 ms, no autograd; utterances end to end"),
        _stage("hidden", hidden_NKH, f"blocks of frames, projected, positions added; then {layers} frozen layers"),
        _stage("rows", rows_UR, f"row of each strip's language, from {bank.slots} slots"),
        Stage(
            "bottleneck",
            (*hidden_NKH.shape[:2], bank.layout.dim),
            _dtype(hidden_NKH.dtype),
            f"inside the adapter after each of {layers} layers",
        ),
        _stage("logits", logits_BTV, "one row per utterance again; largest vocabulary, rounded up; others masked"),
        _stage("losses", losses_B, "CTC divided by the number of labels, one per utterance"),
    ]


def route(bench: Bench, forward: Forward) -> list[RouteLine]:
    """Return the slot and head that each utterance uses."""
    lines = []
    for row, member in enumerate(forward.members):
        slot = int(forward.batch.slots_B[row])
        lines.append(
            RouteLine(
                key=member.key,
                row=member.id.row,
                language=member.language,
                seconds=len(member.audio) / SAMPLE_RATE,
                frames=int(forward.batch.frames_B[row]),
                required_frames=required_frames(member.labels.tolist()),
                slot=slot,
                head=bench.components.bank.vocabulary_sizes[slot],
            )
        )
    return lines


def _stage(name: str, tensor: Tensor, meaning: str) -> Stage:
    return Stage(name, tuple(tensor.shape), _dtype(tensor.dtype), meaning)


def _dtype(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
