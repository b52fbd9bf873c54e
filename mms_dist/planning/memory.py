"""What a process has in its device's memory."""

from dataclasses import dataclass

from mms_dist.config import Config
from mms_dist.planning.shape import BaseShape, number_bytes, row_number_bytes

BUFFERS = 4
"""Rows, their gradients and AdamW's two moments: as much of each, for every slot."""
COPIES = 3
"""About, for each language of a forward pass: its gathered row, the projections folded from it, and their gradient."""
SHORTEST_SECONDS = 1.0
"""Of an utterance, about: so many languages at most are in a pass."""


@dataclass(frozen=True)
class Memory:
    """Bytes of one process. `gathered` and `activations` are estimates, the rest is counted."""

    base: int
    rows: int
    gathered: int
    activations: int

    @property
    def total(self) -> int:
        return self.base + self.rows + self.gathered + self.activations


def process_memory(
    config: Config, shape: BaseShape, *, slots: int, largest_vocabulary: int, forward_seconds: float
) -> Memory:
    """The base whole, a row as long as the longest for each slot with its gradient and moments, and one forward pass of
    full size over as many languages as can be in it."""
    dtype = config.model.dtype
    row = shape.row_numbers(config.adapter.dim, largest_vocabulary) * row_number_bytes(dtype)
    kept = shape.kept_numbers(
        forward_seconds, dim=config.adapter.dim, checkpointing=config.model.activation_checkpointing
    )
    in_a_pass = min(slots, max(1, int(forward_seconds / SHORTEST_SECONDS)))
    return Memory(
        base=shape.parameters * number_bytes(dtype),
        rows=BUFFERS * slots * row,
        gathered=COPIES * in_a_pass * row,
        activations=kept * number_bytes(dtype),
    )
