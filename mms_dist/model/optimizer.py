"""AdamW over rows: each active language has its own step count, learning rate, weight decay and clipping.

    g <- g * min(1, clip / ||g||)
    m <- b1 m + (1 - b1) g          v <- b2 v + (1 - b2) g^2
    w <- (1 - lr * decay) w  -  lr / (1 - b1^t) * m / (sqrt(v / (1 - b2^t)) + eps)

(Kingma and Ba 2015; decoupled decay, Loshchilov and Hutter 2019.)

A language is one contiguous vector. So its norm, clipping, step and gradient reset are one kernel each over all of its
tensors, run one after the other while the row is in cache. Processing all rows at once would read memory again for each
of these. No kernel sees two rows, so the bits of a row cannot depend on the other rows.

Legend: S slots, R row length.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite

import torch
from torch import Tensor

from mms_dist.config import Optim
from mms_dist.model import transfer
from mms_dist.model.bank import AdapterBank

MOMENTS = ("exp_avg", "exp_avg_sq")
"""Names of the states that AdamW keeps for every weight, in memory and in `optimizer.safetensors`."""


def learning_rate(step: int, optim: Optim) -> float:
    """Return the learning rate of optimizer step number `step` (the first is 1).

    Linear warm-up to `optim.lr` over `warmup_steps`, then constant, or a linear decay that reaches zero one step after
    `optim.steps`, so that the last step still has an effect. Before the first step (step 0, for example of a language
    quarantined in its first step) it is 0.
    """
    if step < 1:
        return 0.0
    if step <= optim.warmup_steps:
        return optim.lr * step / optim.warmup_steps
    if optim.decay == "constant":
        return optim.lr
    return optim.lr * max(0, optim.steps - step + 1) / max(1, optim.steps - optim.warmup_steps)


@dataclass(frozen=True)
class RowStep:
    """The step of one language's row.

    `commit` is False for a language that is replaying (see `training.restore`): its gradient norm is computed and its
    gradient cleared, but its weights and moments do not change.
    """

    slot: int
    step: int
    optim: Optim
    commit: bool = True


@dataclass(frozen=True)
class Outcome:
    """Norm of a row's gradient before clipping, and whether the row was stepped (not if the norm is NaN or inf)."""

    grad_norm: float
    stepped: bool


class RowAdamW:
    """Steps the rows of a bank.

    Attributes:
        buffers: the rows' moments by name, each [S, R].
    """

    def __init__(self, bank: AdapterBank) -> None:
        self.bank = bank
        self.buffers = {name: torch.zeros_like(bank.grads) for name in MOMENTS}

    def load(self, slot: int, moments: dict[str, Tensor] | None) -> None:
        """Load a language's moments into its slot; None sets them to zero."""
        for name, buffer in self.buffers.items():
            buffer[slot].zero_()
            if moments is not None:
                own = moments[name].to(buffer.dtype)
                buffer[slot, : own.numel()] = transfer.to_device(own, buffer.device)

    def moments(self, slot: int) -> dict[str, Tensor]:
        """Return copies of a slot's moments on the CPU, each of the language's own row length."""
        size = self.bank.row_size(slot)
        return {name: transfer.to_host(buffer[slot, :size], copy=True) for name, buffer in self.buffers.items()}

    def is_finite(self, slot: int) -> Tensor:
        """Return whether all weights and moments are finite, as a bool tensor on the device."""
        buffers = (self.bank.rows.detach(), *self.buffers.values())
        return torch.stack([buffer[slot, : self.bank.row_size(slot)].isfinite().all() for buffer in buffers]).all()

    def step(self, rows: Sequence[RowStep]) -> list[Outcome]:
        """Call `step_rows` and return the outcomes. Waits for the device."""
        (norms,) = transfer.numbers(self.step_rows(rows))
        return outcomes_of(rows, norms)

    @torch.no_grad()
    def step_rows(self, rows: Sequence[RowStep]) -> Tensor:
        """Step the given rows by the gradients in the bank, then zero those gradients.

        A row whose gradient holds NaN or inf keeps every bit of its weights and moments.

        Returns:
            Norm of each row's gradient before clipping, on the device. Does not wait for the device.
        """
        if not rows:
            return self.bank.grads.new_zeros(0)
        return torch.stack([self._step_row(row) for row in rows])

    def _step_row(self, row: RowStep) -> Tensor:
        """Step one row, and return the norm of its gradient."""
        size, optim = self.bank.row_size(row.slot), row.optim
        weight_R, grad_R, mean_R, square_R = (
            buffer[row.slot, :size] for buffer in (self.bank.rows.detach(), self.bank.grads, *self.buffers.values())
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
    """Return the outcomes of the steps, from the gradient norms."""
    return [Outcome(norm, row.commit and isfinite(norm)) for norm, row in zip(norms, rows, strict=True)]
