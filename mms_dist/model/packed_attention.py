"""Attention in a packed pass: each utterance attends to its own frames.

On a GPU this is `torch.nn.attention.varlen.varlen_attn`, which is FlashAttention-2 (Dao 2023) over sequences laid end
to end. Checked in torch 2.11.0, 2.13.0 and 2.15.0: it takes [frames, heads, head size], the sequences' limits as int32
on the device, and the longest length as a number that only bounds the grid. It has a gradient and needs no planning for
a shape. It leaves rows outside all sequences uninitialised, so the sequences here cover all frames. `num_splits` was
added after 2.11.0: with 1, a sequence's sums do not depend on what else is in the pass, and 2.15.0 does not use cuDNN's
attention, which it otherwise prefers on Hopper.

A CPU has no such kernel, so there each sequence is computed separately, with the same mathematics.

Legend: N frames of the pass, A heads, E head size.
"""

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True)
class Segments:
    """The attended sequences of a pass.

    Attributes:
        limits_S1: the start of each sequence and the end of the last, int32 on the device.
        longest: an upper bound of the lengths.
        lengths: the length of each sequence, known on the host.
        is_filler: True for filler sequences, whose values are not used.
    """

    limits_S1: Tensor
    longest: int
    lengths: tuple[int, ...]
    is_filler: tuple[bool, ...]

    def attend(self, query_NAE: Tensor, key_NAE: Tensor, value_NAE: Tensor) -> Tensor:
        """Let every frame attend to the frames of its own sequence, [N, A, E]."""
        if query_NAE.device.type != "cpu":
            return _varlen()(query_NAE, key_NAE, value_NAE, *[self.limits_S1] * 2, *[self.longest] * 2)
        parts = zip(*(whole.split(self.lengths) for whole in (query_NAE, key_NAE, value_NAE)), strict=True)
        return torch.cat([_one(*part, skip=skip) for part, skip in zip(parts, self.is_filler, strict=True)])


@functools.cache
def _varlen() -> Callable[..., Any]:
    """torch's kernel; if it supports this, its sums do not depend on what else is in the pass."""
    from torch.nn.attention.varlen import (
        varlen_attn,
    )  # imported here because it loads torch's compiler, which takes seconds

    invariant = "num_splits" in inspect.signature(varlen_attn).parameters
    return functools.partial(varlen_attn, num_splits=1) if invariant else varlen_attn


def _one(query_TAE: Tensor, key_TAE: Tensor, value_TAE: Tensor, *, skip: bool) -> Tensor:
    if skip:
        return torch.zeros_like(query_TAE)
    query, key, value = (each.transpose(0, 1).unsqueeze(0) for each in (query_TAE, key_TAE, value_TAE))
    return functional.scaled_dot_product_attention(query, key, value).squeeze(0).transpose(0, 1)
