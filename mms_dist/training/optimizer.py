"""AdamW over rows: one vectorised step for all active languages, each with its own clock, rate and clipping.

    g <- g * min(1, clip / ||g||)
    m <- b1 m + (1 - b1) g          v <- b2 v + (1 - b2) g^2
    w <- (1 - lr * decay) w  -  lr / (1 - b1^t) * m / (sqrt(v / (1 - b2^t)) + eps)

(Kingma and Ba 2015; decoupled decay, Loshchilov and Hutter 2019.) Everything but w, g, m and v is a number per row.

Rows are visited in blocks of columns that stay in cache. Only operations that round once are used (no fused
multiply-add), so a row's bits do not depend on which rows stand beside it.

Legend: S slots, K rows that take part, R row length, C columns of a block.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mms_dist.config import Optim
from mms_dist.model.bank import AdapterBank
from mms_dist.training.schedule import learning_rate

BLOCK_NUMBERS = {"cpu": 1 << 17, "cuda": 1 << 25}
"""Numbers of one operand visited at once: half a megabyte stays in a core's cache; a GPU wants long kernels."""


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
                buffer[slot, : moments[name].numel()] = moments[name].to(buffer)

    def moments(self, slot: int) -> dict[str, Tensor]:
        """Copies of a slot's moments on the CPU, each of the language's own row length."""
        size = self.bank.row_size(slot)
        return {name: buffer[slot, :size].to("cpu", copy=True) for name, buffer in self._moments().items()}

    def _moments(self) -> dict[str, Tensor]:
        return {"exp_avg": self.exp_avg, "exp_avg_sq": self.exp_avg_sq}

    @torch.no_grad()
    def step(self, rows: Sequence[RowStep]) -> list[Outcome]:
        """Step the given rows by the gradients in the bank, then zero those gradients.

        A row whose gradient holds NaN or inf keeps every bit of its weights and moments.
        """
        if not rows:
            return []
        device = self.bank.rows.device
        slots_K = torch.tensor([row.slot for row in rows], device=device)
        norms_K = torch.stack([torch.linalg.vector_norm(self.bank.grads[row.slot]) for row in rows]).double()
        finite_K = torch.isfinite(norms_K)
        commit_K = finite_K & torch.tensor([row.commit for row in rows], device=device)
        constants = _Constants.of(rows, norms_K)
        written = commit_K.nonzero().squeeze(1)
        columns = max(1, BLOCK_NUMBERS[device.type] // max(1, len(rows)))
        for first in range(0, self.bank.rows.shape[1], columns):
            block = slice(first, first + columns)
            self._step_block(block, slots_K, written, constants)
        self.bank.grads.index_fill_(0, slots_K, 0)
        return [Outcome(*pair) for pair in zip(norms_K.tolist(), commit_K.tolist(), strict=True)]

    def _step_block(self, block: slice, slots_K: Tensor, written: Tensor, c: "_Constants") -> None:
        weight_KC, grad_KC, mean_KC, square_KC = (
            buffer[:, block].index_select(0, slots_K)
            for buffer in (self.bank.rows.detach(), self.bank.grads, self.exp_avg, self.exp_avg_sq)
        )
        grad_KC *= c.clip
        mean_KC.mul_(c.beta1).add_(grad_KC * c.one_minus_beta1)
        square_KC.mul_(c.beta2).add_(grad_KC.mul_(grad_KC).mul_(c.one_minus_beta2))
        update_KC = square_KC.sqrt().mul_(c.root_correction2).add_(c.eps)
        torch.div(mean_KC, update_KC, out=update_KC)
        weight_KC.mul_(c.shrink).sub_(update_KC.mul_(c.rate))
        target = slots_K[written]
        for buffer, values in (
            (self.bank.rows.detach(), weight_KC),
            (self.exp_avg, mean_KC),
            (self.exp_avg_sq, square_KC),
        ):
            buffer[:, block].index_copy_(0, target, values[written])


@dataclass(frozen=True)
class _Constants:
    """One number per row, [K, 1], computed in float64."""

    clip: Tensor
    beta1: Tensor
    one_minus_beta1: Tensor
    beta2: Tensor
    one_minus_beta2: Tensor
    root_correction2: Tensor
    eps: Tensor
    shrink: Tensor
    rate: Tensor

    @classmethod
    def of(cls, rows: Sequence[RowStep], norms_K: Tensor) -> "_Constants":
        optims = [row.optim for row in rows]
        lr = [learning_rate(row.step, row.optim) for row in rows]
        beta1, beta2 = [optim.betas[0] for optim in optims], [optim.betas[1] for optim in optims]
        values = {
            "beta1": beta1,
            "one_minus_beta1": [1 - beta for beta in beta1],
            "beta2": beta2,
            "one_minus_beta2": [1 - beta for beta in beta2],
            "root_correction2": [(1 - b**row.step) ** -0.5 for b, row in zip(beta2, rows, strict=True)],
            "eps": [optim.eps for optim in optims],
            "shrink": [1 - rate * optim.weight_decay for rate, optim in zip(lr, optims, strict=True)],
            "rate": [r / (1 - b**row.step) for r, b, row in zip(lr, beta1, rows, strict=True)],
        }
        clip_K = norms_K.new_tensor([optim.clip_norm or float("inf") for optim in optims])
        constants = {name: norms_K.new_tensor(numbers)[:, None] for name, numbers in values.items()}
        return cls(clip=(clip_K / norms_K.clamp(min=1e-300)).clamp(max=1)[:, None], **constants)
