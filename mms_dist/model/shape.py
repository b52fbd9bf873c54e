"""The size of a base model, from its config.json alone: a plan needs no weights.

Legend: H hidden size, L layers, F feed-forward size, D bottleneck.
"""

from dataclasses import dataclass
from math import prod

import torch

from mms_dist.base_files.config import needed_shapes
from mms_dist.model.base import DTYPES, read_base_config, resolve_base
from mms_dist.model.layout import RowLayout
from shards.schema import FRONT_END, SAMPLE_RATE

FRAMES_PER_SECOND = 50
_FROZEN_KEPT, _ADAPTER_KEPT, _HEAD_KEPT = 6, 1, 2
"""Tensors [H] that a frame leaves for the backward pass: in a frozen layer the inputs of two layer norms, query, key,
value and the attention's result (besides the feed-forward's inner [F]; frozen matrices keep nothing); in an adapter its
normalised input (besides [D]); at the end the last norm's input and the head's."""
_FIRST_FRAMES_PER_SECOND = SAMPLE_RATE // FRONT_END[0][1]
_FIRST_ALIVE = 3
"""Outputs of the first convolution, the front end's largest, that live together: its own, the norm's and the
activation's."""


@dataclass(frozen=True)
class BaseShape:
    """What rows, weights and activations of a base come to."""

    layers: int
    hidden: int
    feed_forward: int
    parameters: int
    front_end_channels: int = 512

    @classmethod
    def of(cls, name: str) -> "BaseShape":
        """The shape of a folder, a Hub name or the shipped base.

        Raises:
            BaseModelError: there is no such base, or its adapters cannot be trained.
        """
        config = read_base_config(resolve_base(name), name)
        config.adapter_attn_dim = None
        parameters = sum(
            prod(shape) for shape in needed_shapes(config, resolve_base(name), f"model.base {name!r}").values()
        )
        sizes = config.num_hidden_layers, config.hidden_size, config.intermediate_size
        return cls(*sizes, parameters, config.conv_dim[0])

    def row_numbers(self, dim: int, vocabulary_size: int) -> int:
        """Trained parameters of a language."""
        return RowLayout(self.layers, self.hidden, dim).row_size(vocabulary_size)

    def kept_numbers(self, seconds: float, *, dim: int, checkpointing: bool) -> int:
        """Numbers that a forward pass over so much padded audio keeps for its backward pass, but for small change.

        Nothing is kept of the first layer below its adapter. With checkpointing it is the input of each layer, and of
        one layer all, when it is computed again.
        """
        frozen = _FROZEN_KEPT * self.hidden + self.feed_forward
        adapter = _ADAPTER_KEPT * self.hidden + dim
        layers = self.layers * (frozen + adapter) - frozen
        if checkpointing:
            layers = self.layers * self.hidden + frozen + adapter
        return round(seconds * FRAMES_PER_SECOND * (layers + _HEAD_KEPT * self.hidden))

    def working_numbers(self, seconds: float, *, dim: int) -> int:
        """Numbers of one layer's forward or backward pass that nothing keeps, about: as many as it keeps itself."""
        layer = (_FROZEN_KEPT + _ADAPTER_KEPT) * self.hidden + self.feed_forward + dim
        return round(seconds * FRAMES_PER_SECOND * layer)

    def front_end_numbers(self, seconds: float) -> int:
        """Numbers that live together while the convolutions go through so much padded audio in one batch."""
        return round(seconds * _FIRST_FRAMES_PER_SECOND * _FIRST_ALIVE * self.front_end_channels)


def number_bytes(dtype: str) -> int:
    """Bytes of a number of the base, and of the activations."""
    return DTYPES[dtype].itemsize


def row_number_bytes(dtype: str) -> int:
    """Bytes of a number of a row: never below float32."""
    return torch.promote_types(DTYPES[dtype], torch.float32).itemsize
