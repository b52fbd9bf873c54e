"""The sections of the report that describe the run: languages, rounds, memory, gradients and transcripts."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from mms_dist.data.batch import Utterance
from mms_dist.data.language_summaries import LanguageSummary
from mms_dist.data.stream import LanguageStream
from mms_dist.debugging.bench import Bench
from mms_dist.debugging.debug_report import (
    TENSOR_KINDS,
    GradientLine,
    LanguageLine,
    MemoryLine,
    RoundLine,
    TranscriptLine,
)
from mms_dist.debugging.saved_tensors import SavedTensors
from mms_dist.hardware.memory_estimate import Memory
from mms_dist.machine import memory_bytes
from mms_dist.model import transfer
from mms_dist.model.base_shape import FRAMES_PER_SECOND
from mms_dist.model.ctc import utterance_losses
from mms_dist.model.optimizer import MOMENTS
from mms_dist.monitor.reports import RoundReport
from shards.index import LanguageIndex
from shards.vocabulary import BLANK, UNKNOWN, Vocabulary
from shards.wording import counted

_KIND_OF = {"norm": "norm", "linear_1": "down", "linear_2": "up"}


def language_lines(
    summaries: Sequence[LanguageSummary], bench: Bench, stream_of: Callable[[LanguageIndex], LanguageStream]
) -> list[LanguageLine]:
    """Return a line per debugged language; `summaries` and `stream_of` are those of the whole run."""
    entries = {entry.language: entry for entry in summaries}
    return [_language_line(entries[language], bench, stream_of) for language in bench.languages]


def round_line(report: RoundReport) -> RoundLine:
    """Return what the debug report shows of a round."""
    return RoundLine(
        report.round,
        losses={each.language: each.loss for each in report.languages},
        grad_norms={each.language: each.grad_norm for each in report.languages},
        seconds=report.seconds,
        audio_seconds=report.audio_seconds,
        padding_fraction=report.padding_fraction,
    )


def memory_lines(bench: Bench, *, run_memory: Memory, run_slots: int) -> list[MemoryLine]:
    """Measure the longest forward pass of the bench, and add the estimate for the whole run.

    Args:
        run_memory: estimate for the debugged run, with its slots and full passes.
    """
    components = bench.components
    bank, model = components.bank, components.model
    base_bytes = sum(tensor.nbytes for tensor in components.base.module.state_dict().values())
    gradients, members = components.gradients, bench.forward_groups()[0]
    with SavedTensors([*components.base.module.parameters(), bank.rows]) as saved:
        on_device = bench.first_pass()
        logits_BTV = model.device_logits(on_device.batch)
        utterance_losses(logits_BTV, on_device.frames_B, on_device.labels_BL, on_device.label_lengths_B)
    kept, how = saved.bytes, "kept for the backward pass"
    if model.activation_checkpointing:  # it keeps the input of each layer, which autograd's hooks do not see
        layers, frames = len(components.base.layers), round(gradients.seconds(members) * FRAMES_PER_SECOND)
        kept += layers * frames * components.base.hidden * on_device.batch.features.element_size()
        how = "kept with activation checkpointing"
    filled = f"{gradients.seconds(members):.1f} s of audio with {'filler' if gradients.packed else 'padding'}"
    full = gradients.forward_seconds
    peak = (
        "peak CUDA memory of this process"
        if components.base.device.type == "cuda"
        else "resident memory of this process"
    )
    return [
        MemoryLine("base", base_bytes, "frozen, shared by all languages"),
        MemoryLine(
            "rows", bank.rows.nbytes, f"{counted(bank.slots, 'slot')}, each for the adapter and head of a language"
        ),
        MemoryLine("gradients", bank.grads.nbytes, "one row per slot"),
        MemoryLine("moments", len(MOMENTS) * bank.rows.nbytes, f"{len(MOMENTS)} per weight, for AdamW"),
        MemoryLine("activations", kept, f"{filled}, {how}"),
        MemoryLine("process", memory_bytes(), peak),
        MemoryLine(
            "whole run",
            run_memory.total,
            f"estimated: base, {counted(run_slots, 'slot')}, a pass of rounds.forward_seconds {full:g}",
        ),
    ]


def gradient_lines(bench: Bench) -> list[GradientLine]:
    """Return gradient norms over all layers, by kind: the adapter's layer norm, its two projections, the CTC head."""
    _, grads_SR = bench.gradients(bench.batches.values())
    return [_gradient_line(bench, language, grads_SR) for language in bench.languages]


def transcript_lines(bench: Bench) -> list[TranscriptLine]:
    """Return a line for every utterance of the bench's batches."""
    return [
        _transcript_line(utterance, bench.active_languages[utterance.language].vocabulary)
        for batch in bench.batches.values()
        for utterance in batch.utterances
    ]


def _language_line(
    entry: LanguageSummary, bench: Bench, stream_of: Callable[[LanguageIndex], LanguageStream]
) -> LanguageLine:
    stream = stream_of(bench.index.language(entry.language))
    batch = bench.batches[entry.language]
    return LanguageLine(
        language=entry.language,
        utterances=entry.utterances,
        seconds=entry.seconds,
        left_out=entry.left_out,
        tokens=entry.vocabulary_size,
        steps_planned=entry.steps,
        batches_an_epoch=len(stream.batches(0)),
        batch_utterances=len(batch.utterances),
        batch_seconds=batch.audio_seconds,
    )


def _gradient_line(bench: Bench, language: str, grads_SR: Tensor) -> GradientLine:
    bank, active = bench.components.bank, bench.active_languages[language]
    size = bank.row_size(active.slot)
    grad_R = transfer.to_host(grads_SR[active.slot, :size])
    tensors = bank.layout.from_row(grad_R)
    norm = float(grad_R.double().norm())
    clip = active.settings.optim.clip_norm or float("inf")
    return GradientLine(
        language=language,
        parameters=size,
        file_bytes=size * torch.float32.itemsize,
        norms={"all": norm} | {kind: _norm(tensors, kind) for kind in TENSOR_KINDS},
        clip_factor=min(1.0, clip / max(norm, 1e-300)),
        tensors=len(tensors),
        zero=[name.removeprefix("wav2vec2.encoder.") for name, tensor in tensors.items() if not tensor.any()],
    )


def _norm(tensors: dict[str, Tensor], kind: str) -> float:
    squares = (tensor.double().square().sum() for name, tensor in tensors.items() if _kind_of(name) == kind)
    return float(sum(squares, torch.zeros((), dtype=torch.float64)).sqrt())


def _kind_of(name: str) -> str:
    """Return `norm`, `down`, `up` or `head` for a tensor, from its Hugging Face name."""
    return "head" if name.startswith("lm_head.") else _KIND_OF[name.split(".")[-2]]


def _transcript_line(utterance: Utterance, vocabulary: Vocabulary) -> TranscriptLine:
    ids = utterance.labels.tolist()
    path = [number for label in ids for number in (label, BLANK)]
    return TranscriptLine(
        language=utterance.language,
        key=utterance.key,
        row=utterance.id.row,
        text=utterance.text,
        ids=ids,
        decoded=vocabulary.decode(path),
        unknown=ids.count(UNKNOWN),
    )
