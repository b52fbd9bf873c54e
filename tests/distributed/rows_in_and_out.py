"""The same few steps of the same languages with rows outside of a DeepSpeed engine, and with rows inside of one.

A language is its slot: a row, and one small batch that it sees in every step. Ranks hold different and unequally many,
but as many numbers: an engine with rows of one sum against rows of another does not get as far as being wrong (gloo
ends the process that is sent more than it expects).

Legend: S slots, R row length, U languages of a batch.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mms_dist.config import Optim
from mms_dist.distributed.accelerator import make_accelerator
from mms_dist.distributed.comm import Comm
from mms_dist.distributed.deepspeed import shard_layers, shards_base
from mms_dist.distributed.lockstep import Lockstep
from mms_dist.distributed.process_group import joined
from mms_dist.model.base import FrozenBase
from mms_dist.model.optimizer import RowAdamW, RowStep
from mms_dist.model.routed import ModelInput, RoutedModel
from tests.benchmarks.bases import routed_model

DIM = 30
"""With the 32 hidden units of the small base: the two layers' adapters are as long as 124 vocabulary entries."""
VOCABULARIES = [9, 17, 12, 9 + 17 + 12 + 2 * 124, 1]
SPARE_SLOT = 4
OWNED: tuple[tuple[int, ...], ...] = ((0, 1, 2), (3,))
"""Slots of rank 0 and of rank 1."""
STEPS = 6
OPTIM = Optim(lr=1e-2, warmup_steps=0, decay="constant", clip_norm=0.0, steps=STEPS)


def outside(notes: dict[str, Any]) -> None:
    """Rows as mms-dist has them, on a base that DeepSpeed may have sharded. Leaves each of the rank's rows."""
    with joined(on_gpu=False, timeout_seconds=30, on_hang=print, need_group=True) as comm:
        accelerator = make_accelerator(torch.device("cpu"), notes["settings"])
        base = shard_layers(_base(notes["base"]), accelerator)
        spare_slot = SPARE_SLOT if shards_base(accelerator) else None
        notes["rows"] = train_rows(base, OWNED[comm.rank], comm, spare_slot)


def inside(notes: dict[str, Any]) -> None:
    """Rows as the parameters of an engine, which all ranks step together. Leaves all rows as this rank has them.

    `notes["owned"]`: the slots of each rank.
    """
    with joined(on_gpu=False, timeout_seconds=30, on_hang=print, need_group=True) as comm:
        make_accelerator(torch.device("cpu"), notes["settings"])
        import deepspeed

        rows = RowsInside(_base(notes["base"]))
        optimizer = torch.optim.AdamW(
            rows.parameters(), lr=OPTIM.lr, betas=OPTIM.betas, eps=OPTIM.eps, weight_decay=OPTIM.weight_decay
        )
        settings = {
            "train_micro_batch_size_per_gpu": 1,
            "gradient_clipping": 0.0,
            "zero_allow_untested_optimizer": True,
            "zero_optimization": {"stage": notes["stage"]},
        }
        engine, *_ = deepspeed.initialize(model=rows, optimizer=optimizer, config=settings)
        for _ in range(STEPS):
            engine.backward(engine(notes["owned"][comm.rank]))
            engine.step()
        notes["rows"] = {slot: row.detach().clone() for slot, row in enumerate(rows.rows)}


def train_rows(
    base: FrozenBase, owned: Sequence[int], comm: Comm | None = None, spare_slot: int | None = None
) -> dict[int, Tensor]:
    """The rows of `owned` after all steps."""
    model = _model(base)
    optimizer = RowAdamW(model.bank)
    lockstep = Lockstep(comm or Comm(), model, spare_slot)
    for step in range(1, STEPS + 1):
        missing = lockstep.missing(len(owned))
        for slot in owned:
            _objective(model, slot).backward()
        lockstep.idle(missing, backward=True)
        optimizer.step([RowStep(slot, step, OPTIM) for slot in owned])
    return {slot: model.bank.row(slot).clone() for slot in owned}


def start_rows(base: FrozenBase) -> dict[int, Tensor]:
    bank = _model(base).bank
    return {slot: bank.row(slot).clone() for slot in range(SPARE_SLOT)}


def farthest(ours: Mapping[int, Tensor], alone: Mapping[int, Tensor], start: Mapping[int, Tensor]) -> float:
    """DESIGN I1 for the language that is farthest off: ||w - w_alone|| / ||w_alone - w_start||."""
    return max(float((row - alone[slot]).norm() / (alone[slot] - start[slot]).norm()) for slot, row in ours.items())


class RowsInside(nn.Module):
    """The languages' rows as parameters; called with slots, it gives the sum of their objectives."""

    def __init__(self, base: FrozenBase) -> None:
        super().__init__()
        self.rows = nn.ParameterList(start_rows(base).values())
        self._model = _model(base)

    def forward(self, slots: Sequence[int]) -> Tensor:
        return _ThroughBank.apply(self._model, slots, *(self.rows[slot] for slot in slots))


class _ThroughBank(torch.autograd.Function):
    """The objective of rows that are put into a bank, and their gradients from there."""

    @staticmethod
    def forward(ctx: Any, model: RoutedModel, slots: Sequence[int], *rows: Tensor) -> Tensor:
        ctx.model, ctx.slots = model, slots
        for slot, row in zip(slots, rows, strict=True):
            model.bank.row(slot).copy_(row)
        with torch.enable_grad():
            ctx.objective = torch.stack([_objective(model, slot) for slot in slots]).sum()
        return ctx.objective.detach()

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Any, ...]:
        bank = ctx.model.bank
        bank.grads.zero_()
        ctx.objective.backward(grad_outputs[0])
        return None, None, *(bank.grads[slot, : bank.row_size(slot)].clone() for slot in ctx.slots)


def _base(folder: str) -> FrozenBase:
    return FrozenBase.load(folder, dtype=torch.float32)


def _model(base: FrozenBase) -> RoutedModel:
    return routed_model(base, VOCABULARIES, dim=DIM)


def _objective(model: RoutedModel, slot: int) -> Tensor:
    """Of one utterance, whose features and length depend on the slot only."""
    frames, random = 10 + 5 * slot, torch.Generator().manual_seed(slot)
    features_BTC = torch.randn(1, frames, model.base.config.conv_dim[-1], generator=random)
    logits_BTV = model.logits(ModelInput(features_BTC, torch.tensor([frames]), torch.tensor([slot])))
    return -logits_BTV.log_softmax(-1)[:, :, slot % 5].mean()
