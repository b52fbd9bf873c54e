"""The size of a base model, from its config.json alone, so that a plan needs no weights.

Legend: H hidden size, L layers, F feed-forward size, D bottleneck.
"""

from dataclasses import dataclass
from math import prod

import torch

from mms_dist.model.adapter import RowLayout
from mms_dist.model.base import DTYPES, read_base_config, resolve_base
from mms_dist.model.base_config import needed_shapes
from shards.schema import FRONT_END, SAMPLE_RATE

FRAMES_PER_SECOND = 50
_FROZEN_KEPT, _ADAPTER_KEPT, _HEAD_KEPT = 6, 1, 2
"""Number of [H] tensors saved per frame for the backward pass. In a frozen layer: the inputs of two layer norms, query,
key, value and the attention output (plus the feed-forward's inner [F]; frozen matrices save nothing). In an adapter:
its normalised input (plus [D]). At the end: the inputs of the final norm and of the head."""
_FIRST_FRAMES_PER_SECOND = SAMPLE_RATE // FRONT_END[0][1]
_FIRST_ALIVE = 3
"""Number of copies of the first convolution's output (the front end's largest) in memory at once: the convolution's,
the norm's and the activation's."""


@dataclass(frozen=True)
class BaseShape:
    """The sizes of a base from which the sizes of rows, weights and activations follow."""

    layers: int
    hidden: int
    feed_forward: int
    parameters: int
    front_end_channels: int = 512

    @classmethod
    def of(cls, name: str) -> "BaseShape":
        """Read the shape of a base, given as a folder, a Hub name or the shipped base's name.

        Raises:
            BaseModelError: there is no such base, or adapters cannot be trained on it.
        """
        config = read_base_config(resolve_base(name), name)
        config.adapter_attn_dim = None
        parameters = sum(
            prod(shape) for shape in needed_shapes(config, resolve_base(name), f"model.base {name!r}").values()
        )
        sizes = config.num_hidden_layers, config.hidden_size, config.intermediate_size
        return cls(*sizes, parameters, config.conv_dim[0])

    def row_numbers(self, dim: int, vocabulary_size: int) -> int:
        """Number of trained parameters of a language."""
        return RowLayout(self.layers, self.hidden, dim).row_size(vocabulary_size)

    def kept_numbers(self, seconds: float, *, dim: int, checkpointing: bool) -> int:
        """Approximate number of values that a forward pass over `seconds` of padded audio saves for its backward pass.

        The first layer saves nothing below its adapter. With checkpointing, each layer saves only its input, plus
        everything for the one layer that is being recomputed.
        """
        frozen = _FROZEN_KEPT * self.hidden + self.feed_forward
        adapter = _ADAPTER_KEPT * self.hidden + dim
        layers = self.layers * (frozen + adapter) - frozen
        if checkpointing:
            layers = self.layers * self.hidden + frozen + adapter
        return round(seconds * FRAMES_PER_SECOND * (layers + _HEAD_KEPT * self.hidden))

    def working_numbers(self, seconds: float, *, dim: int) -> int:
        """Approximate number of temporary values in one layer's pass: about as many as the layer saves."""
        layer = (_FROZEN_KEPT + _ADAPTER_KEPT) * self.hidden + self.feed_forward + dim
        return round(seconds * FRAMES_PER_SECOND * layer)

    def front_end_numbers(self, seconds: float) -> int:
        """Number of values in memory at once while the convolutions process `seconds` of padded audio in one batch."""
        return round(seconds * _FIRST_FRAMES_PER_SECOND * _FIRST_ALIVE * self.front_end_channels)


def number_bytes(dtype: str) -> int:
    """Bytes per value of the base and the activations."""
    return DTYPES[dtype].itemsize


def row_number_bytes(dtype: str) -> int:
    """Bytes per value of a row, which is at least float32."""
    return torch.promote_types(DTYPES[dtype], torch.float32).itemsize
