"""The frozen base's convolutions over time as matrix products, for a GPU.

cuDNN makes a plan for every new shape, and nearly every pass has a new shape; cuBLAS only looks its kernels up. With
channels last, the inputs of a frame (kernel x channels numbers) are contiguous in memory, and those of the next frame
start stride x channels later. So the inputs form a matrix whose rows overlap, which BLAS does not accept. But every
n-th row of it, with n x stride >= kernel, forms a matrix that BLAS accepts in place, so n products compute all frames
without a copy.

Checked in torch 2.11 and 2.13 (Blas.cpp, prepare_batch_matrix_for_cublas): `bmm` and `baddbmm` accept any matrix with
contiguous rows and a row stride of at least the row length, and any stride between the matrices of a batch.

Legend: B utterances, N audio samples, T frames, C channels, K kernel x input channels, H hidden size, G groups.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class _Layer:
    weight_KC: Tensor
    bias_C: Tensor
    kernel: int
    stride: int
    norm: Callable[[Tensor], Tensor]
    activation: Callable[[Tensor], Tensor]

    @classmethod
    def of(cls, layer: Any) -> "_Layer":
        weight_KC = layer.conv.weight.detach().permute(2, 1, 0).flatten(0, 1).contiguous()  # from (out, in, kernel)
        bias_C = weight_KC.new_zeros(weight_KC.shape[1]) if layer.conv.bias is None else layer.conv.bias.detach()
        (kernel,), (stride,) = layer.conv.kernel_size, layer.conv.stride
        return cls(weight_KC, bias_C, kernel, stride, layer.layer_norm, layer.activation)

    def __call__(self, hidden_BTC: Tensor) -> Tensor:
        batch, before, channels = hidden_BTC.shape
        frames, parts = (before - self.kernel) // self.stride + 1, -(-self.kernel // self.stride)
        out_BTC = hidden_BTC.new_empty(batch, frames, self.weight_KC.shape[1])
        step, weight_BKC = self.stride * channels, self.weight_KC.expand(batch, -1, -1)
        for part in range(min(parts, frames)):
            part_BTC = out_BTC[:, part::parts]
            shape = batch, part_BTC.shape[1], self.kernel * channels
            windows_BTK = hidden_BTC.as_strided(
                shape, (before * channels, parts * step, 1), hidden_BTC.storage_offset() + part * step
            )
            torch.baddbmm(self.bias_C, windows_BTK, weight_BKC, out=part_BTC)
        return self.activation(self.norm(out_BTC))


class FrontEndProducts:
    """The front end of a frozen base, [B, N] to [B, T, C], equal to the library's up to rounding; without autograd."""

    def __init__(self, feature_extractor: Any) -> None:
        self._layers = [_Layer.of(layer) for layer in feature_extractor.conv_layers]

    @torch.no_grad()
    def __call__(self, audio_BN: Tensor) -> Tensor:
        hidden_BTC = audio_BN.contiguous()[:, :, None]
        for layer in self._layers:
            hidden_BTC = layer(hidden_BTC)
        return hidden_BTC


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
