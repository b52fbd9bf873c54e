"""Measure memory: weights, rows, and what a forward pass keeps for its backward pass."""

from mms_dist.debugging.bench import Bench
from mms_dist.debugging.report import MemoryLine, plural
from mms_dist.debugging.saved_tensors import SavedTensors
from mms_dist.hardware.memory_estimate import Memory
from mms_dist.model.ctc import utterance_losses
from mms_dist.model.optimizer import MOMENTS
from mms_dist.model.shape import FRAMES_PER_SECOND
from mms_dist.monitor.memory import memory_bytes


def memory_lines(bench: Bench, *, run_memory: Memory, run_slots: int) -> list[MemoryLine]:
    """Measure the longest forward pass of the bench, and add the estimate for the whole run.

    Args:
        run_memory: estimate for the debugged run, with its slots and full passes.
    """
    parts = bench.parts
    bank, model = parts.bank, parts.model
    base_bytes = sum(tensor.nbytes for tensor in parts.base.module.state_dict().values())
    gradients, members = parts.gradients, bench.forward_groups()[0]
    with SavedTensors([*parts.base.module.parameters(), bank.rows]) as saved:
        on_device = bench.first_pass()
        logits_BTV = model.device_logits(on_device.batch)
        utterance_losses(logits_BTV, on_device.frames_B, on_device.labels_BL, on_device.label_lengths_B)
    kept, how = saved.bytes, "kept for the backward pass"
    if model.activation_checkpointing:  # it keeps the input of each layer, which autograd's hooks do not see
        layers, frames = len(parts.base.layers), round(gradients.seconds(members) * FRAMES_PER_SECOND)
        kept += layers * frames * parts.base.hidden * on_device.batch.features.element_size()
        how = "kept with activation checkpointing"
    filled = f"{gradients.seconds(members):.1f} s of audio with {'filler' if gradients.packed else 'padding'}"
    full = gradients.forward_seconds
    peak = "peak CUDA memory of this process" if parts.base.device.type == "cuda" else "resident memory of this process"
    return [
        MemoryLine("base", base_bytes, "frozen, shared by all languages"),
        MemoryLine(
            "rows", bank.rows.nbytes, f"{plural(bank.slots, 'slot')}, each for the adapter and head of a language"
        ),
        MemoryLine("gradients", bank.grads.nbytes, "one row per slot"),
        MemoryLine("moments", len(MOMENTS) * bank.rows.nbytes, f"{len(MOMENTS)} per weight, for AdamW"),
        MemoryLine("activations", kept, f"{filled}, {how}"),
        MemoryLine("process", memory_bytes(), peak),
        MemoryLine(
            "whole run",
            run_memory.total,
            f"estimated: base, {plural(run_slots, 'slot')}, a pass of rounds.forward_seconds {full:g}",
        ),
    ]
