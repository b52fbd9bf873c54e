"""The adapter bank: one row of parameters and one row of gradients per slot.

All rows have the length that the largest language of the run needs. A smaller language leaves the tail of its row zero,
and it stays zero because nothing reads or writes it. Memory depends only on the number of slots, not of languages.

Legend: S slots, R row length, U languages of a batch.
"""

from typing import Any

import torch
from torch import Tensor

from mms_dist.model import transfer
from mms_dist.model.adapter import HEAD_BIAS, RowLayout


class AdapterBank:
    """Adapter parameters [S, R], and their gradients [S, R], which backward passes add to."""

    def __init__(
        self,
        layout: RowLayout,
        *,
        slots: int,
        largest_vocabulary: int,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> None:
        shape = (slots, layout.row_size(largest_vocabulary))
        self.layout = layout
        self.rows = torch.zeros(shape, dtype=dtype, device=device, requires_grad=True)
        self.grads = torch.zeros(shape, dtype=dtype, device=device)
        self.vocabulary_sizes = [0] * slots

    @property
    def slots(self) -> int:
        return self.rows.shape[0]

    def load(self, slot: int, tensors: dict[str, Tensor]) -> None:
        """Load a language's tensors (with Hugging Face's names) into a slot, after scrubbing it."""
        row = self.layout.to_row(tensors)
        assert row.numel() == self.layout.row_size(tensors[HEAD_BIAS].numel()), "an adapter of another shape"
        self.scrub(slot)
        self.rows.detach()[slot, : row.numel()] = transfer.to_device(row.to(self.rows.dtype), self.rows.device)
        self.vocabulary_sizes[slot] = tensors[HEAD_BIAS].numel()

    def tensors(self, slot: int) -> dict[str, Tensor]:
        """Copy a slot's tensors to the CPU, under Hugging Face's names."""
        return self.layout.from_row(transfer.to_host(self.row(slot)))

    def row(self, slot: int) -> Tensor:
        """A view of the parameters of the language in `slot`, [its own row length]."""
        return self.rows.detach()[slot, : self.row_size(slot)]

    def row_size(self, slot: int) -> int:
        return self.layout.row_size(self.vocabulary_sizes[slot])

    def scrub(self, slot: int) -> None:
        """Erase everything of the language that had the slot."""
        self.rows.detach()[slot].zero_()
        self.grads[slot].zero_()
        self.vocabulary_sizes[slot] = 0

    def gather(self, slots_U: Tensor, start: int, end: int, *, in_strips: bool = False) -> Tensor:
        """Gather columns `start` to `end` of the rows of a pass's languages, [U, end - start]. The backward pass adds
        their gradients to `grads` with `add_to_slots`."""
        return _GatherRows.apply(self.rows, self.grads[:, start:end], slots_U, start, end, in_strips)


def add_to_slots(sums_SR: Tensor, slots_U: Tensor, rows_UR: Tensor, *, in_strips: bool) -> None:
    """Add each row to the row of its slot. With `in_strips`, slots may repeat, and rows are added one after the other.

    A CPU always adds in order. A GPU adds the rows of one slot in any order, so there each row is a separate call; a
    pass has few strips.
    """
    if not in_strips or sums_SR.device.type == "cpu":
        sums_SR.index_add_(0, slots_U, rows_UR)
        return
    for slot_1, row_1R in zip(slots_U.split(1), rows_UR.split(1), strict=True):
        sums_SR.index_add_(0, slot_1, row_1R)


class _GatherRows(torch.autograd.Function):
    """Row selection whose backward pass adds into the bank, without allocating a second bank.

    Gradients of different languages are never summed together, so a NaN in one language stays in its row.
    """

    @staticmethod
    def forward(
        ctx: Any, rows: Tensor, grads: Tensor, slots_U: Tensor, start: int, end: int, in_strips: bool
    ) -> Tensor:
        ctx.save_for_backward(slots_U)
        ctx.grads, ctx.in_strips = grads, in_strips
        return rows[:, start:end].index_select(0, slots_U)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[None, None, None, None, None, None]:
        (slots_U,) = ctx.saved_tensors
        add_to_slots(ctx.grads, slots_U, grad_outputs[0], in_strips=ctx.in_strips)
        return None, None, None, None, None, None
