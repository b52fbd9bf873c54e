"""The device's memory at its highest, by the size of a pass."""

import gc

import torch

from mms_dist.errors import TrainingError
from mms_dist.hardware.memory_estimate import MemoryNeeds
from mms_dist.hardware.resolve import MEMORY_SHARE
from mms_dist.model.base_shape import BaseShape
from tests.gpu.bases import config_of, random_base
from tests.gpu.ours import DIM, Joint, Setting, adapters
from tests.gpu.part import Part
from tests.gpu.speech import one_pass

SECONDS = (160.0, 320.0, 640.0)
LANGUAGES = 16
VOCABULARY = 60
_GIB = 1 << 30


def run(part: Part) -> None:
    for shape in ("300m", "1b"):
        base = random_base(config_of(shape, tiny=part.smoke), part.half, part.device)
        bank = adapters(base, [VOCABULARY] * (2 if part.smoke else LANGUAGES))
        for checkpointing in (False, True):
            for seconds in SECONDS[:1] if part.smoke else SECONDS:
                setting = Setting(checkpointing=checkpointing, forward_seconds=seconds)
                if part.has(8, f"{shape}, {setting}"):
                    look_at(part, shape, Joint(base, bank, setting))
        del base, bank


def look_at(part: Part, shape: str, joint: Joint) -> None:
    """The highest within a full pass, and what the plan and the choice of `rounds.forward_seconds` expect it to be."""
    what, expected = f"{shape}, {joint.setting}", needs(joint).memory(joint.setting.forward_seconds).after_start
    found = peak(part, joint)
    missing: dict[str, object] = {"GiB at the highest": "out of memory"} if found is None else {}
    part.record.note(what, {"GiB expected": expected / _GIB} | (found or {}) | missing)
    if found:
        ratio = found["GiB at the highest"] * _GIB / expected
        part.record.check(f"memory against what is expected, {what}", ratio, at_most=1 / MEMORY_SHARE)


def needs(joint: Joint) -> MemoryNeeds:
    """What the product's estimate is told."""
    config, bank = joint.base.config, joint.bank
    sizes = config.num_hidden_layers, config.hidden_size, config.intermediate_size
    return MemoryNeeds(
        shape=BaseShape(*sizes, joint.base.parameter_count(), config.conv_dim[0]),
        dtype=str(joint.base.dtype).removeprefix("torch."),
        dim=DIM,
        slots=bank.slots,
        largest_vocabulary=max(bank.vocabulary_sizes),
        checkpointing=joint.setting.checkpointing,
        on_gpu=joint.base.device.type == "cuda",
    )


def peak(part: Part, joint: Joint) -> dict[str, float] | None:
    """GiB before a full pass, and at the highest within it; None where it does not fit. A CPU does not count them."""
    batches = one_pass(4.0 if part.smoke else joint.setting.forward_seconds, languages=joint.bank.slots)
    gc.collect()
    if not part.on_gpu:
        joint.gradients(batches)
        return {}
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats(part.device)
    before = torch.cuda.memory_allocated(part.device)
    try:
        joint.gradients(batches)
        torch.cuda.synchronize(part.device)
    except (torch.OutOfMemoryError, TrainingError):
        return None
    return {
        "GiB before": before / _GIB,
        "GiB at the highest": torch.cuda.max_memory_allocated(part.device) / _GIB,
        "GiB reserved": torch.cuda.max_memory_reserved(part.device) / _GIB,
    }
