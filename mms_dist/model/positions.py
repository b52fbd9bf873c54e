"""The frozen positional convolution as matrix products, for a GPU.

cuDNN makes a plan for every new shape, and nearly every pass has a new shape; cuBLAS only looks its kernels up. As in
`front_end`, the inputs of every n-th frame form a matrix that cuBLAS accepts in place; here n is the kernel's length.

Legend: B utterances, T frames, H hidden size, G groups of C channels, K kernel x channels of a group, k kernel,
P positions of windows, R of them with the same offset in the kernel.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


class PositionProducts:
    """The positional convolution of a frozen base, [B, T, H] to [B, T, H], equal to the library's up to rounding.

    Each group of channels is a batch of products, one per kernel position. The rows of the B utterances are laid end to
    end, with half a kernel of zeros before each and after the last, so that no frame sees another utterance.
    """

    def __init__(self, embedding: Any) -> None:
        convolution = embedding.conv
        self._groups, (self._kernel,) = convolution.groups, convolution.kernel_size
        weight_HIk = convolution.weight.detach()  # (out, in, kernel); outputs are ordered by group
        self._weight_GKC = weight_HIk.unflatten(0, (self._groups, -1)).permute(0, 3, 2, 1).flatten(1, 2).contiguous()
        bias_H = weight_HIk.new_zeros(len(weight_HIk)) if convolution.bias is None else convolution.bias.detach()
        self._bias_GC = bias_H.unflatten(0, (self._groups, -1))
        self._activation: Callable[[Tensor], Tensor] = embedding.activation

    @torch.no_grad()
    def __call__(self, hidden_BTH: Tensor) -> Tensor:
        batch, frames, hidden = hidden_BTH.shape
        kernel, gap, channels = self._kernel, self._kernel // 2, hidden // self._groups
        places = batch * (frames + gap)  # window positions, including those centred on the zeros
        rows = -(-places // kernel)
        row_GPC = hidden_BTH.new_zeros(self._groups, rows * kernel + kernel, channels)
        inside_GBTC = row_GPC[:, gap : gap + places].unflatten(1, (batch, -1))[:, :, :frames]
        inside_GBTC.copy_(hidden_BTH.unflatten(-1, (self._groups, channels)).permute(2, 0, 1, 3))
        out_GkRC = hidden_BTH.new_empty(self._groups, kernel, rows, channels)
        shape, steps = (kernel, rows, kernel * channels), (channels, kernel * channels, 1)
        for row_PC, weight_KC, bias_C, out_kRC in zip(row_GPC, self._weight_GKC, self._bias_GC, out_GkRC, strict=True):
            windows_kRK = row_PC.as_strided(shape, steps, row_PC.storage_offset())
            torch.baddbmm(bias_C, windows_kRK, weight_KC.expand(kernel, -1, -1), out=out_kRC)
        out_PH = out_GkRC.permute(2, 1, 0, 3).reshape(rows * kernel, hidden)
        return self._activation(out_PH[:places].unflatten(0, (batch, -1))[:, :frames])
