"""Initialise adapters, keyed by (seed, language), so that a language starts the same whatever else is trained."""

import hashlib
from collections.abc import Callable
from math import sqrt

import torch
from torch import Tensor

from mms_dist.model.layout import RowLayout

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
    tensors = {}
    for name in layout.names()[:-2]:
        kind = name.split("adapter_layer.")[1]
        shape = layout.kinds[kind]
        if kind == "norm.weight":
            tensors[name] = torch.ones(shape, dtype=torch.float64)
        elif len(shape) == 1 or (scheme == "identity" and kind == "linear_2.weight"):
            tensors[name] = torch.zeros(shape, dtype=torch.float64)
        else:
            tensors[name] = matrix(shape, random)
    return tensors | {
        "lm_head.weight": matrix((vocabulary_size, layout.hidden), random),
        "lm_head.bias": torch.zeros(vocabulary_size, dtype=torch.float64),
    }


def _seed(seed: int, language: str, scheme: str) -> int:
    digest = hashlib.blake2b(f"initial adapter\0{seed}\0{language}\0{scheme}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1
