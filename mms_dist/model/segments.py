"""Attention of the utterances of a packed pass, each over its own frames.

On a GPU it is `torch.nn.attention.varlen.varlen_attn`, FlashAttention-2 (Dao 2023) over sequences that lie end to end.
Read in torch 2.11.0, 2.13.0 and 2.15.0: it takes [frames, heads, head size], the sequences' limits as int32 on the
device and the longest one's length as a number that only bounds the grid; it has a gradient; it plans nothing for a
shape. Rows of no sequence are left as the memory was, so the sequences here cover all frames. `num_splits` came after
2.11.0: 1 makes a sequence's sums independent of what else is in the pass, and keeps 2.15.0 from cuDNN's attention,
which it would take first on Hopper.

On a CPU, for which there is no such kernel, it is the same mathematics, one attention a sequence.

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
        limits_S1: where each begins, and the end of the last, int32 on the device.
        longest: no sequence is longer.
        lengths: of each, known on the host.
        is_filler: those whose values nobody reads.
    """

    limits_S1: Tensor
    longest: int
    lengths: tuple[int, ...]
    is_filler: tuple[bool, ...]

    def attend(self, query_NAE: Tensor, key_NAE: Tensor, value_NAE: Tensor) -> Tensor:
        """Every frame over the frames of its own sequence, [N, A, E]."""
        if query_NAE.device.type != "cpu":
            return _varlen()(query_NAE, key_NAE, value_NAE, *[self.limits_S1] * 2, *[self.longest] * 2)
        parts = zip(*(whole.split(self.lengths) for whole in (query_NAE, key_NAE, value_NAE)), strict=True)
        return torch.cat([_one(*part, skip=skip) for part, skip in zip(parts, self.is_filler, strict=True)])


@functools.cache
def _varlen() -> Callable[..., Any]:
    """torch's kernel, asked for sums that do not depend on what else is in the pass where it can be asked."""
    from torch.nn.attention.varlen import varlen_attn  # imports torch's compiler: seconds

    invariant = "num_splits" in inspect.signature(varlen_attn).parameters
    return functools.partial(varlen_attn, num_splits=1) if invariant else varlen_attn


def _one(query_TAE: Tensor, key_TAE: Tensor, value_TAE: Tensor, *, skip: bool) -> Tensor:
    if skip:
        return torch.zeros_like(query_TAE)
    query, key, value = (each.transpose(0, 1).unsqueeze(0) for each in (query_TAE, key_TAE, value_TAE))
    return functional.scaled_dot_product_attention(query, key, value).squeeze(0).transpose(0, 1)
