"""Where the memory goes: weights, rows, and what a forward pass keeps for its backward pass.

Legend: B utterances, T frames, H hidden size.
"""

from mms_dist.debugging.bench import Bench
from mms_dist.debugging.report import MemoryLine, plural
from mms_dist.debugging.saved_tensors import SavedTensors
from mms_dist.monitor.memory import memory_bytes
from mms_dist.training.memory import Memory
from shards.schema import SAMPLE_RATE


def memory_lines(bench: Bench, *, run_memory: Memory, run_slots: int) -> list[MemoryLine]:
    """Measured on the longest forward pass of the bench, beside an estimate for the whole run.

    Args:
        run_memory: of the run that is debugged, with its slots and full passes.
    """
    parts = bench.parts
    bank, model = parts.bank, parts.model
    base_bytes = sum(tensor.nbytes for tensor in parts.base.module.state_dict().values())
    members = bench.forward_groups()[0]
    with SavedTensors([*parts.base.module.parameters(), bank.rows]) as saved:
        forward = bench.forward(members)
    frames = forward.batch.features_BTC.shape[1]
    kept, how = saved.bytes, "kept for the backward pass"
    if model.activation_checkpointing:  # which keeps the input of each layer outside of autograd's sight
        layers = len(parts.base.layers)
        kept += layers * len(members) * frames * parts.base.hidden * forward.batch.features_BTC.element_size()
        how = "kept with activation checkpointing"
    padded_seconds = len(members) * forward.collated.audio_BS.shape[1] / SAMPLE_RATE
    full = bench.parts.gradients.forward_seconds
    peak = "CUDA's peak for this process" if parts.base.device.type == "cuda" else "resident, this process"
    return [
        MemoryLine("base", base_bytes, "frozen, shared by all languages"),
        MemoryLine("rows", bank.rows.nbytes, f"{plural(bank.slots, 'slot')}: adapter and head of a language each"),
        MemoryLine("gradients", bank.grads.nbytes, "one row a slot"),
        MemoryLine("moments", 2 * bank.rows.nbytes, "AdamW's two"),
        MemoryLine("activations", kept, f"{padded_seconds:.1f} s of padded audio, {how}"),
        MemoryLine("process", memory_bytes(), peak),
        MemoryLine(
            "whole run",
            run_memory.total,
            f"estimated: base, {plural(run_slots, 'slot')}, a pass of rounds.forward_seconds {full:g}",
        ),
    ]
