"""Layer normalisation without gain and offset that saves its output, not its input, for the backward pass.

The product after it saves that output anyway, so the norm itself only adds one number per frame. With n the output, r
the inverse standard deviation and d the gradient of n, the gradient of the input is  r (d - mean(d) - n mean(d n)),
which is r times the gradient of normalising n itself (mean 0, standard deviation 1).

Legend: H size of the normalised axis; tensors are [..., H].
"""

from typing import Any

import torch
from torch import Tensor

EPS = 1e-5
"""torch's default, which Hugging Face's adapter layer uses."""


class PlainNorm:
    """Normalise the last axis to zero mean and unit variance. One object serves a pass, whose tensors share a shape."""

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
