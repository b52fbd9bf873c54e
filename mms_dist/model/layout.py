"""The layout of one language's row: the position of each adapter tensor in a flat vector.

Tensors of one kind are adjacent for all layers, so that the routed forward pass handles a kind in one operation. The
head comes last, with one vector of weight and bias per vocabulary entry, because only heads differ in length between
languages.

Legend: L layers, H hidden size, D bottleneck, V vocabulary size, R row length.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor

LAYER_NAME = "wav2vec2.encoder.layers.{layer}.adapter_layer.{kind}"
HEAD_WEIGHT, HEAD_BIAS = "lm_head.weight", "lm_head.bias"


@dataclass(frozen=True)
class RowLayout:
    """Offsets of an adapter's tensors in a row, and the conversion to and from Hugging Face's names."""

    layers: int
    hidden: int
    dim: int

    @property
    def kinds(self) -> dict[str, tuple[int, ...]]:
        """Shape of each kind of tensor in one layer, in row order."""
        return {
            "norm.weight": (self.hidden,),
            "norm.bias": (self.hidden,),
            "linear_1.weight": (self.dim, self.hidden),
            "linear_1.bias": (self.dim,),
            "linear_2.weight": (self.hidden, self.dim),
            "linear_2.bias": (self.hidden,),
        }

    @property
    def kind_sizes(self) -> list[int]:
        """Number of values of each kind in a row, for all layers together."""
        return [self.layers * prod(shape) for shape in self.kinds.values()]

    def columns(self, kind: str) -> tuple[int, int]:
        """The first column of a kind of tensor in a row, and the end of its columns."""
        place = list(self.kinds).index(kind)
        return sum(self.kind_sizes[:place]), sum(self.kind_sizes[: place + 1])

    @property
    def adapter_size(self) -> int:
        """Number of values before the head, the same for every language."""
        return sum(self.kind_sizes)

    def row_size(self, vocabulary_size: int) -> int:
        """Row length of a language with `vocabulary_size` tokens, which is its number of parameters."""
        return self.adapter_size + vocabulary_size * (self.hidden + 1)

    def names(self) -> list[str]:
        """Hugging Face's name of every tensor, 6 L + 2 of them."""
        layers = [LAYER_NAME.format(layer=layer, kind=kind) for layer in range(self.layers) for kind in self.kinds]
        return [*layers, HEAD_WEIGHT, HEAD_BIAS]

    def to_row(self, tensors: Mapping[str, Tensor]) -> Tensor:
        """Flatten tensors under Hugging Face's names into one vector [R]."""
        kinds = [
            torch.stack([tensors[LAYER_NAME.format(layer=layer, kind=kind)] for layer in range(self.layers)]).flatten()
            for kind in self.kinds
        ]
        head_VH = torch.cat([tensors[HEAD_WEIGHT], tensors[HEAD_BIAS][:, None]], dim=1)
        return torch.cat([*kinds, head_VH.flatten()])

    def from_row(self, row_R: Tensor) -> dict[str, Tensor]:
        """The inverse of `to_row`: contiguous copies under Hugging Face's names."""
        tensors = {}
        *kinds, head = row_R.split([*self.kind_sizes, row_R.numel() - self.adapter_size])
        for (kind, shape), values in zip(self.kinds.items(), kinds, strict=True):
            for layer, tensor in enumerate(values.view(self.layers, *shape)):
                tensors[LAYER_NAME.format(layer=layer, kind=kind)] = tensor.clone()
        head_VH = head.view(-1, self.hidden + 1)
        tensors[HEAD_WEIGHT] = head_VH[:, :-1].contiguous()
        tensors[HEAD_BIAS] = head_VH[:, -1].contiguous()
        return {name: tensors[name] for name in self.names()}
