"""The adapter of a language: its tensors and their names, their layout in a row, and their initialisation.

This module and `model.folded`, which computes it, are the only ones that know the kind of adapter: a layer norm, a down
and an up projection after the feed-forward block of every layer, and a CTC head.

In a row, tensors of one kind are adjacent for all layers, so that the routed forward pass handles a kind in one
operation. The head comes last, with one vector of weight and bias per vocabulary entry, because only heads differ in
length between languages.

Legend: L layers, H hidden size, D bottleneck, V vocabulary size, R row length.
"""

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod, sqrt

import torch
from torch import Tensor

NORM_WEIGHT, NORM_BIAS = "norm.weight", "norm.bias"
DOWN_WEIGHT, DOWN_BIAS = "linear_1.weight", "linear_1.bias"
UP_WEIGHT, UP_BIAS = "linear_2.weight", "linear_2.bias"
HEAD_WEIGHT, HEAD_BIAS = "lm_head.weight", "lm_head.bias"
_LAYER_NAME = "wav2vec2.encoder.layers.{layer}.adapter_layer.{kind}"
_DOWN_NAME = re.compile(_LAYER_NAME.replace(".", r"\.").format(layer=r"(\d+)", kind=re.escape(DOWN_WEIGHT)))


def tensor_name(layer: int, kind: str) -> str:
    """Hugging Face's name of a tensor of one layer, such as `DOWN_WEIGHT` of layer 0."""
    return _LAYER_NAME.format(layer=layer, kind=kind)


@dataclass(frozen=True)
class AdapterShape:
    """The dimensions L, H, D and V of one adapter and its head."""

    layers: int
    hidden: int
    dim: int
    vocabulary_size: int

    @classmethod
    def of(cls, shapes: Mapping[str, Sequence[int]]) -> "AdapterShape | None":
        """Read the dimensions from the shapes of tensors under Hugging Face's names.

        Only the number of layers, the down projection of one of them and the head are looked at: compare `tensors()`
        with the rest. None if these are missing or are not matrices.
        """
        layers = [int(match[1]) for name in shapes if (match := _DOWN_NAME.fullmatch(name))]
        if not layers or HEAD_WEIGHT not in shapes:
            return None
        down, head = shapes[tensor_name(layers[0], DOWN_WEIGHT)], shapes[HEAD_WEIGHT]
        if len(down) != 2 or len(head) != 2:
            return None
        return cls(max(layers) + 1, down[1], down[0], head[0])

    def tensors(self) -> dict[str, tuple[int, ...]]:
        """Hugging Face's name and the shape of every tensor, 6 L + 2 of them, in file order."""
        kinds = RowLayout(self.layers, self.hidden, self.dim).kinds
        shapes = {tensor_name(layer, kind): kinds[kind] for layer in range(self.layers) for kind in kinds}
        return shapes | {HEAD_WEIGHT: (self.vocabulary_size, self.hidden), HEAD_BIAS: (self.vocabulary_size,)}


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
            NORM_WEIGHT: (self.hidden,),
            NORM_BIAS: (self.hidden,),
            DOWN_WEIGHT: (self.dim, self.hidden),
            DOWN_BIAS: (self.dim,),
            UP_WEIGHT: (self.hidden, self.dim),
            UP_BIAS: (self.hidden,),
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
        return list(AdapterShape(self.layers, self.hidden, self.dim, 0).tensors())

    def to_row(self, tensors: Mapping[str, Tensor]) -> Tensor:
        """Flatten tensors under Hugging Face's names into one vector [R]."""
        kinds = [
            torch.stack([tensors[tensor_name(layer, kind)] for layer in range(self.layers)]).flatten()
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
                tensors[tensor_name(layer, kind)] = tensor.clone()
        head_VH = head.view(-1, self.hidden + 1)
        tensors[HEAD_WEIGHT] = head_VH[:, :-1].contiguous()
        tensors[HEAD_BIAS] = head_VH[:, -1].contiguous()
        return {name: tensors[name] for name in self.names()}


STANDARD_DEVIATION = 0.02
"""Standard deviation of Hugging Face's initialisation of linear layers (`initializer_range`)."""


def _mms(shape: tuple[int, ...], random: torch.Generator) -> Tensor:
    return torch.randn(shape, generator=random, dtype=torch.float64) * STANDARD_DEVIATION


def _xavier(shape: tuple[int, ...], random: torch.Generator) -> Tensor:
    """Uniform within sqrt(6 / (inputs + outputs)) (Glorot and Bengio 2010)."""
    bound = sqrt(6 / sum(shape))
    return (torch.rand(shape, generator=random, dtype=torch.float64) * 2 - 1) * bound


def _kaiming(shape: tuple[int, ...], random: torch.Generator) -> Tensor:
    """Normal with standard deviation sqrt(2 / inputs), for the ReLU that follows (He et al. 2015)."""
    return torch.randn(shape, generator=random, dtype=torch.float64) * sqrt(2 / shape[1])


def _identity(shape: tuple[int, ...], random: torch.Generator) -> Tensor:
    return _mms(shape, random)


SCHEMES: dict[str, Callable[[tuple[int, ...], torch.Generator], Tensor]] = {
    "mms": _mms,
    "xavier": _xavier,
    "kaiming": _kaiming,
    "identity": _identity,
}


def initial_tensors(
    layout: RowLayout, vocabulary_size: int, *, scheme: str, seed: int, language: str
) -> dict[str, Tensor]:
    """Create a new adapter and head under Hugging Face's names, float64.

    Norms start at gain 1 and offset 0, biases at 0. `identity` also zeroes the up projection, so the model starts as
    the base with a new head.
    """
    random = torch.Generator().manual_seed(_seed(seed, language, scheme))
    matrix = SCHEMES[scheme]
    shape = AdapterShape(layout.layers, layout.hidden, layout.dim, vocabulary_size)
    tensors = {}
    for name, size in shape.tensors().items():
        if name.endswith(NORM_WEIGHT):
            tensors[name] = torch.ones(size, dtype=torch.float64)
        elif len(size) == 1 or (scheme == "identity" and name.endswith(UP_WEIGHT)):
            tensors[name] = torch.zeros(size, dtype=torch.float64)
        else:
            tensors[name] = matrix(size, random)
    return tensors


def _seed(seed: int, language: str, scheme: str) -> int:
    digest = hashlib.blake2b(f"initial adapter\0{seed}\0{language}\0{scheme}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1
