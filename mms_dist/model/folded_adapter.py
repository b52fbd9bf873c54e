"""The adapter: fold those of a pass's languages into right-hand sides of matrix products, and the norm before them.

    adapter(h) = h + W2 relu(W1 LN(h) + b1) + b2          (Houlsby et al. 2019; MMS, Pratap et al. 2023, section 4)

where LN has the language's own gain g and offset o. Because LN(h) = g * n(h) + o, with n(h) the plain normalisation,
gain and offset fold into the first projection,  W1 (g * n + o) + b1 = (W1 * g) n + (W1 o + b1).  This runs on small
matrices once per pass instead of on activations in every layer.

The bottleneck gets a column that is always one (no weights, and a bias of 1). The second projection's bias b2 is then a
row of its matrix, and needs no operation on activations, forward or backward. Columns of zeros pad the width to a
multiple of 16 bytes, which is fastest for a GPU's matrix products.

Legend: U languages of a pass, L layers, H hidden size, D bottleneck, W its width with the added columns, V vocabulary.
"""

from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from mms_dist.model.bank import AdapterBank, add_to_slots

EPS = 1e-5
"""Of the norm: torch's default, which Hugging Face's adapter layer uses."""
ABSENT_TOKEN_LOGIT = -1e4
"""Logit of a token outside an utterance's own vocabulary. Its probability is exactly 0 in every float type, and unlike
-inf it does not put NaN into the CTC loss's gradient."""


def width_of(dim: int, dtype: torch.dtype) -> int:
    """Width of the bottleneck including the column of ones: the next multiple of 16 bytes."""
    aligned = 16 // dtype.itemsize
    return (dim // aligned + 1) * aligned


def fold(
    bank: AdapterBank, slots_U: Tensor, dtype: torch.dtype, *, in_strips: bool = False
) -> tuple[Tensor, Tensor, Tensor]:
    """Fold the adapters of the languages in these slots, in `dtype`; the backward pass adds to the bank's gradients.

    Args:
        in_strips: a slot may occur more than once.

    Returns:
        Down projections [U, L, W, H] (transposed), their biases [U, L, 1, W], and up projections with their biases
        [U, L, W, H].
    """
    return _Fold.apply(bank.rows, bank, slots_U, dtype, in_strips)


def heads(
    bank: AdapterBank,
    slots_U: Tensor,
    sizes_U: Tensor,
    largest_vocabulary: int,
    dtype: torch.dtype,
    *,
    step: int = 1,
    in_strips: bool = False,
) -> tuple[Tensor, Tensor]:
    """Weights [U, H, V] and biases [U, 1, V] of the heads, cut to the largest vocabulary.

    Args:
        step: V is rounded up to a multiple of this, because a column is summed in another order in a product of another
            width.
        in_strips: a slot may occur more than once.
    """
    start, width = bank.layout.adapter_size, bank.layout.hidden + 1
    head_UR = bank.gather(slots_U, start, start + largest_vocabulary * width, in_strips=in_strips)
    entries_UVH = head_UR.view(len(head_UR), largest_vocabulary, width)
    own_UV = torch.arange(largest_vocabulary, device=head_UR.device) < sizes_U[:, None]
    bias_UV = entries_UVH[:, :, -1].masked_fill(~own_UV, ABSENT_TOKEN_LOGIT)
    weights_UVH, more = entries_UVH[:, :, :-1], -largest_vocabulary % step
    if more:
        weights_UVH = functional.pad(weights_UVH, (0, 0, 0, more))
        bias_UV = functional.pad(bias_UV, (0, more), value=ABSENT_TOKEN_LOGIT)
    return weights_UVH.transpose(1, 2).to(dtype), bias_UV[:, None, :].to(dtype)


class _Fold(torch.autograd.Function):
    """Gather and fold, one kind of tensor at a time; the backward pass gathers the parts of the rows it needs again.

    So no copy of the rows in their own dtype is kept during the pass. Gradients of different languages are never summed
    together, so a NaN in one language stays in its row.
    """

    @staticmethod
    def forward(
        ctx: Any, rows: Tensor, bank: AdapterBank, slots_U: Tensor, dtype: torch.dtype, in_strips: bool
    ) -> tuple[Tensor, Tensor, Tensor]:
        ctx.save_for_backward(rows, slots_U)  # saved so that changing the rows before the backward pass is an error
        ctx.bank, ctx.in_strips = bank, in_strips
        layout, kind = bank.layout, _Kinds(bank, bank.rows.detach(), slots_U)
        languages, layers, dim, hidden = len(slots_U), layout.layers, layout.dim, layout.hidden
        width = width_of(dim, dtype)
        bias_ULW = rows.new_zeros(languages, layers, width, dtype=dtype)
        bias_ULW[..., dim] = 1
        down_ULDH = kind("linear_1.weight")
        bias_ULW[..., :dim] = (down_ULDH @ kind("norm.bias")[..., None]).squeeze(-1).add_(kind("linear_1.bias"))
        down_ULWH = rows.new_empty(languages, layers, width, hidden, dtype=dtype)
        torch.mul(down_ULDH, kind("norm.weight")[:, :, None], out=down_ULWH[:, :, :dim])
        del down_ULDH
        up_ULWH = torch.empty_like(down_ULWH)
        up_ULWH[:, :, :dim] = kind("linear_2.weight").transpose(2, 3)
        up_ULWH[:, :, dim] = kind("linear_2.bias")
        down_ULWH[:, :, dim:] = 0
        up_ULWH[:, :, dim + 1 :] = 0
        return down_ULWH, bias_ULW[:, :, None], up_ULWH

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[None, None, None, None, None]:
        rows, slots_U = ctx.saved_tensors
        kind = _Kinds(ctx.bank, rows.detach(), slots_U)
        add = partial(_Kinds(ctx.bank, ctx.bank.grads, slots_U).add, in_strips=ctx.in_strips)
        dim = ctx.bank.layout.dim
        down_ULWH, bias_UL1W, up_ULWH = grad_outputs
        add("linear_2.weight", up_ULWH[:, :, :dim].transpose(2, 3))
        add("linear_2.bias", up_ULWH[:, :, dim])
        bias_ULD1 = bias_UL1W[:, :, 0, :dim, None].to(rows.dtype)
        add("linear_1.bias", bias_ULD1[..., 0])
        folded_ULDH, weight_ULDH = down_ULWH[:, :, :dim].to(rows.dtype), kind("linear_1.weight")
        add("norm.bias", bias_ULD1.transpose(2, 3) @ weight_ULDH)
        add("norm.weight", weight_ULDH.mul_(folded_ULDH).sum(2))
        torch.mul(folded_ULDH, kind("norm.weight")[:, :, None], out=weight_ULDH)
        add("linear_1.weight", weight_ULDH.addcmul_(bias_ULD1, kind("norm.bias")[:, :, None]))
        return None, None, None, None, None


class _Kinds:
    """Access to one kind of tensor, for all layers and the languages in some slots, in a bank's rows or gradients."""

    def __init__(self, bank: AdapterBank, table_SR: Tensor, slots_U: Tensor) -> None:
        self._layout, self._table_SR, self._slots_U = bank.layout, table_SR, slots_U

    def __call__(self, name: str) -> Tensor:
        """A copy, [U, L, …]."""
        return self._columns(name).index_select(0, self._slots_U).view(-1, self._layout.layers, *self._shape(name))

    def add(self, name: str, values: Tensor, *, in_strips: bool) -> None:
        """Add [U, L, …] in place."""
        rows_UC = values.flatten(1).to(self._table_SR.dtype)
        add_to_slots(self._columns(name), self._slots_U, rows_UC, in_strips=in_strips)

    def _shape(self, name: str) -> tuple[int, ...]:
        return self._layout.kinds[name]

    def _columns(self, name: str) -> Tensor:
        start, end = self._layout.columns(name)
        return self._table_SR[:, start:end]


class PlainNorm:
    """Normalise the last axis, [..., H], to zero mean and unit variance: layer norm without gain and offset.

    It saves its output, not its input, for the backward pass: the product after it saves that output anyway, so the
    norm itself only adds one number per frame. With n the output, r the inverse standard deviation and d the gradient
    of n, the gradient of the input is  r (d - mean(d) - n mean(d n)),  which is r times the gradient of normalising n
    itself (mean 0, standard deviation 1).

    One object serves a pass, whose tensors share a shape.
    """

    def __init__(self) -> None:
        self._of_normed: tuple[Tensor, Tensor] | None = None

    def __call__(self, hidden: Tensor) -> Tensor:
        return _PlainNorm.apply(hidden, self)

    def statistics_of_normed(self, inverse: Tensor) -> tuple[Tensor, Tensor]:
        """Mean 0 and inverse standard deviation 1 of every frame, created on first use."""
        if self._of_normed is None:
            self._of_normed = torch.zeros_like(inverse), torch.ones_like(inverse)
        return self._of_normed


class _PlainNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden: Tensor, norm: PlainNorm) -> Tensor:
        normed, _, inverse = torch.native_layer_norm(hidden, hidden.shape[-1:], None, None, EPS)
        ctx.save_for_backward(normed, inverse)
        ctx.norm = norm
        return normed

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, None]:
        normed, inverse = ctx.saved_tensors
        mean, one = ctx.norm.statistics_of_normed(inverse)
        gradient, _, _ = torch.ops.aten.native_layer_norm_backward(
            grad_outputs[0], normed, normed.shape[-1:], mean, one, None, None, [True, False, False]
        )
        return gradient.mul_(inverse), None
