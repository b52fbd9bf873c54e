"""The device's memory at its highest, by the size of a pass."""

import gc

import torch

from mms_dist.errors import TrainingError
from tests.gpu.bases import config_of, random_base
from tests.gpu.ours import Joint, Setting, adapters
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
                    part.record.note(f"{shape}, {setting}", peak(part, Joint(base, bank, setting)))
        del base, bank


def peak(part: Part, joint: Joint) -> dict[str, float] | str:
    """GiB before a full pass, and at the highest within it; `out of memory` where it does not fit."""
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
        return "out of memory"
    return {
        "GiB before": before / _GIB,
        "GiB at the highest": torch.cuda.max_memory_allocated(part.device) / _GIB,
        "GiB reserved": torch.cuda.max_memory_reserved(part.device) / _GIB,
    }
