"""The frozen convolutions of a base, front end and positions, as matrix products without a copy.

With channels last, the inputs of an output frame (kernel x channels numbers) are contiguous in memory, and those of the
next frame start stride x channels later. So the inputs form a matrix with overlapping rows. Norm and activation also
need channels last, so nothing is transposed.

* A CPU's BLAS multiplies such a matrix as it is, one utterance at a time: about twice as fast as the library's
  convolutions.
* A GPU's does not accept overlapping rows. But every n-th row, with n x stride >= kernel, forms a matrix that it
  accepts in place, so n products compute all frames of all utterances. The library's convolutions would make a plan
  for every new shape, and nearly every pass has a new shape.

Checked in torch 2.11 and 2.13 (Blas.cpp, prepare_batch_matrix_for_cublas): `baddbmm` accepts any matrix with contiguous
rows and a row stride of at least the row length, and any stride between the matrices of a batch.

The positional convolution is computed like this on a GPU, for the same reason; there n is the kernel's length.

Legend: B utterances, N audio samples, T frames of a layer, H hidden size, G groups of C channels, K kernel x input
channels (of a group), k kernel, P positions of windows, R of them with the same offset in the kernel.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

UTTERANCES_AT_ONCE = 16
"""Activations of a few utterances stay in a CPU's cache; those of a long batch go to memory for every operation."""


@dataclass(frozen=True)
class ConvolutionLayer:
    """A convolution with its norm and activation."""

    weight_KC: Tensor
    bias_C: Tensor
    kernel: int
    stride: int
    norm: Callable[[Tensor], Tensor]
    activation: Callable[[Tensor], Tensor]

    @classmethod
    def of(cls, layer: Any) -> "ConvolutionLayer":
        weight_KC = layer.conv.weight.detach().permute(2, 1, 0).flatten(0, 1).contiguous()  # from (out, in, kernel)
        bias_C = weight_KC.new_zeros(weight_KC.shape[1]) if layer.conv.bias is None else layer.conv.bias.detach()
        (kernel,), (stride,) = layer.conv.kernel_size, layer.conv.stride
        return cls(weight_KC, bias_C, kernel, stride, layer.layer_norm, layer.activation)

    def output(self, hidden_BTC: Tensor) -> Tensor:
        """Empty memory for the frames of the next layer."""
        frames = (hidden_BTC.shape[1] - self.kernel) // self.stride + 1
        return hidden_BTC.new_empty(len(hidden_BTC), frames, self.weight_KC.shape[1])


def convolve_each(layer: ConvolutionLayer, hidden_BTC: Tensor) -> Tensor:
    """One product per utterance over a matrix with overlapping rows, for a CPU."""
    out_BTC, channels = layer.output(hidden_BTC), hidden_BTC.shape[2]
    shape = out_BTC.shape[1], layer.kernel * channels
    for input_TC, out_TC in zip(hidden_BTC, out_BTC, strict=True):
        windows_TK = input_TC.as_strided(shape, (layer.stride * channels, 1))
        torch.addmm(layer.bias_C, windows_TK, layer.weight_KC, out=out_TC)
    return out_BTC


def convolve_all(layer: ConvolutionLayer, hidden_BTC: Tensor) -> Tensor:
    """Few products, each over every n-th frame of all utterances, for a GPU."""
    batch, before, channels = hidden_BTC.shape
    out_BTC, parts, step = layer.output(hidden_BTC), -(-layer.kernel // layer.stride), layer.stride * channels
    weight_BKC = layer.weight_KC.expand(batch, -1, -1)
    for part in range(min(parts, out_BTC.shape[1])):
        part_BTC = out_BTC[:, part::parts]
        windows_BTK = hidden_BTC.as_strided(
            (batch, part_BTC.shape[1], layer.kernel * channels),
            (before * channels, parts * step, 1),
            hidden_BTC.storage_offset() + part * step,
        )
        torch.baddbmm(layer.bias_C, windows_BTK, weight_BKC, out=part_BTC)
    return out_BTC


class FrontEnd:
    """The front end of a frozen base, [B, N] to [B, T, C], equal to the library's up to rounding; without autograd.

    Args:
        convolve: `convolve_each` or `convolve_all`, whatever the device is best at.
        at_once: utterances that go through all layers together; None: all.
    """

    def __init__(
        self,
        feature_extractor: Any,
        convolve: Callable[[ConvolutionLayer, Tensor], Tensor],
        *,
        at_once: int | None = None,
    ) -> None:
        self._layers = [ConvolutionLayer.of(layer) for layer in feature_extractor.conv_layers]
        self._convolve = convolve
        self._at_once = at_once

    @classmethod
    def for_device(cls, feature_extractor: Any, device: torch.device) -> "FrontEnd":
        """With the products that a device is best at."""
        if device.type == "cpu":
            return cls(feature_extractor, convolve_each, at_once=UTTERANCES_AT_ONCE)
        return cls(feature_extractor, convolve_all)

    @torch.no_grad()
    def __call__(self, audio_BN: Tensor) -> Tensor:
        if self._at_once is None:
            return self._some(audio_BN)
        return torch.cat([self._some(some_BN) for some_BN in audio_BN.split(self._at_once)])

    def _some(self, audio_BN: Tensor) -> Tensor:
        hidden_BTC = audio_BN.contiguous()[:, :, None]
        for layer in self._layers:
            hidden_BTC = layer.activation(layer.norm(self._convolve(layer, hidden_BTC)))
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
