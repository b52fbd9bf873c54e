"""The frozen convolutional front end on a CPU: each convolution is one matrix product, without a copy.

With channels last, the inputs of an output frame (kernel x channels numbers) are contiguous in memory, and those of the
next frame start stride x channels later. So the inputs form a matrix with overlapping rows, which BLAS multiplies
without a copy. Norm and activation also need channels last, so nothing is transposed. This is about twice as fast as
the library's convolutions.

Legend: B utterances, N audio samples, T frames of a layer, C channels, K kernel x input channels.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

UTTERANCES_AT_ONCE = 16
"""Activations of a few utterances stay in the cache; those of a long batch go to memory for every operation."""


@dataclass(frozen=True)
class _Layer:
    weight_KC: Tensor
    bias_C: Tensor
    kernel: int
    stride: int
    norm: nn.Module
    activation: nn.Module

    @classmethod
    def of(cls, layer: Any) -> "_Layer":
        weight_CIk = layer.conv.weight.detach()  # (out, in, kernel)
        weight_KC = weight_CIk.permute(2, 1, 0).reshape(-1, weight_CIk.shape[0]).contiguous()
        bias_C = weight_KC.new_zeros(weight_KC.shape[1]) if layer.conv.bias is None else layer.conv.bias.detach()
        return cls(
            weight_KC, bias_C, layer.conv.kernel_size[0], layer.conv.stride[0], layer.layer_norm, layer.activation
        )

    def __call__(self, hidden_BTC: Tensor) -> Tensor:
        batch, frames, channels = hidden_BTC.shape
        shape = (frames - self.kernel) // self.stride + 1, self.kernel * channels
        out_BTC = hidden_BTC.new_empty(batch, shape[0], self.weight_KC.shape[1])
        for input_TC, out_TC in zip(hidden_BTC, out_BTC, strict=True):
            windows_TK = input_TC.as_strided(shape, (self.stride * channels, 1))
            torch.addmm(self.bias_C, windows_TK, self.weight_KC, out=out_TC)
        return self.activation(self.norm(out_BTC))


class StridedFrontEnd:
    """The front end of a frozen base, [B, N] to [B, T, C], equal to the library's up to rounding; without autograd."""

    def __init__(self, feature_extractor: Any) -> None:
        self._layers = [_Layer.of(layer) for layer in feature_extractor.conv_layers]

    @torch.no_grad()
    def __call__(self, audio_BN: Tensor) -> Tensor:
        return torch.cat([self._some(some_BN) for some_BN in audio_BN.split(UTTERANCES_AT_ONCE)])

    def _some(self, audio_BN: Tensor) -> Tensor:
        hidden_BTC = audio_BN.contiguous()[:, :, None]
        for layer in self._layers:
            hidden_BTC = layer(hidden_BTC)
        return hidden_BTC
