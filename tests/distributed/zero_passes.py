"""What a rank does in the tests of ZeRO-3: passes over a routed model, and what it then holds.

Legend: B utterances, T frames, C front-end channels, H hidden size, V vocabulary.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mms_dist.distributed.accelerator import make_accelerator
from mms_dist.distributed.comm import Comm
from mms_dist.distributed.deepspeed import FetchedLinear, about_deepspeed, shard_layers, shards_base
from mms_dist.distributed.deepspeed_package import wants_deepspeed
from mms_dist.distributed.lockstep import Lockstep
from mms_dist.distributed.process_group import joined
from mms_dist.model.base import DTYPES, FrozenBase
from mms_dist.model.routed import ModelInput
from tests.benchmarks.bases import routed_model

VOCABULARIES = [9, 17, 12, 30, 1]
SPARE_SLOT = 4

Pass = tuple[tuple[int, int], ...]
"""An utterance of a pass is (slot, frames)."""
Plan = Sequence[tuple[str, Sequence[Pass]]]
"""What a rank does one after the other: ("train" | "score", its passes)."""


def body(notes: dict[str, Any]) -> None:
    """`notes`: `base` (a folder), `settings` (a DeepSpeed JSON or None), `plans` (one for each rank), `dtype`,
    `checkpointing`. Leaves what `run_plan` gives, and what is known of the base."""
    with joined(on_gpu=False, timeout_seconds=30, on_hang=print, need_group=wants_deepspeed(notes["settings"])) as comm:
        accelerator = make_accelerator(torch.device("cpu"), notes["settings"])
        base = FrozenBase.load(notes["base"], dtype=DTYPES[notes["dtype"]])
        base = shard_layers(base, accelerator)
        notes["before"] = weights_held(base)
        spare_slot = SPARE_SLOT if shards_base(accelerator) else None
        notes |= run_plan(base, notes["plans"][comm.rank], notes["checkpointing"], comm, spare_slot)
        notes["after"] = weights_held(base)
        notes |= {
            "identity": base.weights_hash(),
            "fingerprint": base.fingerprint(),
            "parameters": base.parameter_count(),
            "dtype_seen": str(base.dtype),
            "device_seen": str(base.device),
            "world_seen": accelerator.num_processes,
            "about": about_deepspeed(accelerator),
        }


def run_plan(
    base: FrozenBase, plan: Plan, checkpointing: bool, comm: Comm | None = None, spare_slot: int | None = None
) -> dict[str, Any]:
    """The bank's gradients after each training phase, and the logits of the scoring ones."""
    model = routed_model(base, VOCABULARIES)
    model.activation_checkpointing = checkpointing
    lockstep = Lockstep(comm or Comm(), model, spare_slot)
    gradients, logits, saved = [], [], _Saved()
    for kind, passes in plan:
        missing = lockstep.missing(len(passes))
        for utterances in passes:
            if kind == "train":
                with saved:
                    objective = _objective(model.logits(_batch(base, utterances)))
                objective.backward()
            else:
                with torch.no_grad():
                    logits.append(model.logits(_batch(base, utterances)))
        lockstep.idle(missing, backward=kind == "train")
        gradients.append(model.bank.grads.clone())
    return {"gradients": gradients, "logits": logits, "saved_shapes": saved.shapes}


def weights_held(base: FrozenBase) -> int:
    """Bytes of the layers' weights in this process: its parts, and what is whole."""
    held = 0
    for weight in base.layers.parameters():
        held += weight.data.nbytes
        if hasattr(weight, "ds_tensor"):
            held += weight.ds_tensor.nbytes
    return held


def linear_shapes(base: FrozenBase) -> set[tuple[int, ...]]:
    """Shapes of the large weights, as they are and transposed."""
    shapes = {
        tuple(module.weight.shape) for module in base.layers.modules() if isinstance(module, nn.Linear | FetchedLinear)
    }
    return shapes | {shape[::-1] for shape in shapes}


class _Saved:
    """Shapes of what autograd keeps from forward to backward."""

    def __init__(self) -> None:
        self.shapes: set[tuple[int, ...]] = set()

    def __enter__(self) -> None:
        self._hooks = torch.autograd.graph.saved_tensors_hooks(self._pack, lambda tensor: tensor)
        self._hooks.__enter__()

    def __exit__(self, *error: object) -> None:
        self._hooks.__exit__(*error)

    def _pack(self, tensor: Tensor) -> Tensor:
        self.shapes.add(tuple(tensor.shape))
        return tensor


def _batch(base: FrozenBase, utterances: Pass) -> ModelInput:
    """Features that depend on slots and lengths only, so that every process makes the same."""
    longest = max(frames for _, frames in utterances)
    features_BTC = torch.zeros(len(utterances), longest, base.config.conv_dim[-1])
    for row, (slot, frames) in enumerate(utterances):
        random = torch.Generator().manual_seed(1000 * slot + frames)
        features_BTC[row, :frames] = torch.randn(frames, features_BTC.shape[2], generator=random)
    frames_B = torch.tensor([frames for _, frames in utterances])
    slots_B = torch.tensor([slot for slot, _ in utterances])
    return ModelInput(features_BTC.to(base.dtype), frames_B, slots_B)


def _objective(logits_BTV: Tensor) -> Tensor:
    return -logits_BTV.log_softmax(-1)[:, :, 0].mean()
