"""AdamW over rows: each active language by its own clock, rate, decay and clipping.

    g <- g * min(1, clip / ||g||)
    m <- b1 m + (1 - b1) g          v <- b2 v + (1 - b2) g^2
    w <- (1 - lr * decay) w  -  lr / (1 - b1^t) * m / (sqrt(v / (1 - b2^t)) + eps)

(Kingma and Ba 2015; decoupled decay, Loshchilov and Hutter 2019.)

A language is one contiguous vector, so its norm, its clipping, its step and the clearing of its gradient are one kernel
each over all of its tensors, one after the other while the row is in cache; all rows at once would go through memory
for every one of them. A row's bits cannot depend on which rows stand beside it, as no kernel sees two.

Legend: S slots, R row length.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite

import torch
from torch import Tensor

from mms_dist import transfer
from mms_dist.config import Optim
from mms_dist.model.bank import AdapterBank
from mms_dist.training.schedule import learning_rate


@dataclass(frozen=True)
class RowStep:
    """What one language's row is stepped with.

    `commit` is False for a language that only keeps the others company (see `training.resume`): its row takes part, so
    that shapes stay what they were, and is left as it is.
    """

    slot: int
    step: int
    optim: Optim
    commit: bool = True


@dataclass(frozen=True)
class Outcome:
    """Norm of each row's gradient before clipping, and whether the row was stepped (it is not if NaN or inf)."""

    grad_norm: float
    stepped: bool


class RowAdamW:
    """Moments [S, R] beside a bank's rows, and the step that updates them."""

    def __init__(self, bank: AdapterBank) -> None:
        self.bank = bank
        self.exp_avg = torch.zeros_like(bank.grads)
        self.exp_avg_sq = torch.zeros_like(bank.grads)

    def load(self, slot: int, moments: dict[str, Tensor] | None) -> None:
        """Put a language's moments into its slot; None starts with zeros."""
        for name, buffer in self._moments().items():
            buffer[slot].zero_()
            if moments is not None:
                own = moments[name].to(buffer.dtype)
                buffer[slot, : own.numel()] = transfer.to_device(own, buffer.device)

    def moments(self, slot: int) -> dict[str, Tensor]:
        """Copies of a slot's moments on the CPU, each of the language's own row length."""
        size = self.bank.row_size(slot)
        return {name: transfer.to_host(buffer[slot, :size], copy=True) for name, buffer in self._moments().items()}

    def is_finite(self, slot: int) -> Tensor:
        """Whether weights and moments are numbers that training can go on from; bool, on the device."""
        buffers = (self.bank.rows.detach(), *self._moments().values())
        return torch.stack([buffer[slot, : self.bank.row_size(slot)].isfinite().all() for buffer in buffers]).all()

    def _moments(self) -> dict[str, Tensor]:
        return {"exp_avg": self.exp_avg, "exp_avg_sq": self.exp_avg_sq}

    def step(self, rows: Sequence[RowStep]) -> list[Outcome]:
        """`step_rows`, and what came of it. Waits for the device."""
        (norms,) = transfer.numbers(self.step_rows(rows))
        return outcomes_of(rows, norms)

    @torch.no_grad()
    def step_rows(self, rows: Sequence[RowStep]) -> Tensor:
        """Step the given rows by the gradients in the bank, then zero those gradients.

        A row whose gradient holds NaN or inf keeps every bit of its weights and moments.

        Returns:
            Norm of each row's gradient before clipping, on the device: nothing here waits for it.
        """
        if not rows:
            return self.exp_avg.new_zeros(0)
        return torch.stack([self._step_row(row) for row in rows])

    def _step_row(self, row: RowStep) -> Tensor:
        """The norm of its gradient."""
        size, optim = self.bank.row_size(row.slot), row.optim
        weight_R, grad_R, mean_R, square_R = (
            buffer[row.slot, :size]
            for buffer in (self.bank.rows.detach(), self.bank.grads, self.exp_avg, self.exp_avg_sq)
        )
        norm = torch.linalg.vector_norm(grad_R)
        if row.commit:
            if optim.clip_norm:
                grad_R.mul_((optim.clip_norm / norm).clamp(max=1))
            torch._fused_adamw_(  # what torch.optim.AdamW(fused=True) calls
                [weight_R],
                [grad_R],
                [mean_R],
                [square_R],
                [],
                [torch.full((), float(row.step), device=grad_R.device)],
                lr=learning_rate(row.step, optim),
                beta1=optim.betas[0],
                beta2=optim.betas[1],
                weight_decay=optim.weight_decay,
                eps=optim.eps,
                amsgrad=False,
                maximize=False,
                found_inf=(~norm.isfinite()).float(),  # 1 leaves the row as it is
            )
        grad_R.zero_()
        return norm


def outcomes_of(rows: Sequence[RowStep], norms: Sequence[float]) -> list[Outcome]:
    """What came of the steps of rows, by the norms of their gradients."""
    return [Outcome(norm, row.commit and isfinite(norm)) for norm, row in zip(norms, rows, strict=True)]
