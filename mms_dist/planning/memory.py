"""What a process has in its device's memory."""

from dataclasses import dataclass

from mms_dist.config import Config
from mms_dist.planning.shape import BaseShape, number_bytes, row_number_bytes

BUFFERS = 4
"""Rows, their gradients and AdamW's two moments: as much of each, for every slot."""


@dataclass(frozen=True)
class Memory:
    """Bytes of one process. `activations` is an estimate, the rest is counted."""

    base: int
    rows: int
    activations: int

    @property
    def total(self) -> int:
        return self.base + self.rows + self.activations


def process_memory(
    config: Config, shape: BaseShape, *, slots: int, largest_vocabulary: int, forward_seconds: float
) -> Memory:
    """The base whole, a row as long as the longest for each slot, and one forward pass of full size."""
    dtype = config.model.dtype
    row = shape.row_numbers(config.adapter.dim, largest_vocabulary) * row_number_bytes(dtype)
    kept = shape.kept_numbers(
        forward_seconds, dim=config.adapter.dim, checkpointing=config.model.activation_checkpointing
    )
    return Memory(
        base=shape.parameters * number_bytes(dtype), rows=BUFFERS * slots * row, activations=kept * number_bytes(dtype)
    )
