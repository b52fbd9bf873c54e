"""What passes between processes, and how long they wait for it.

Legend: W ranks.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from mms_dist.distributed.placement import RankGroup
from mms_dist.planning.cluster import Cluster
from mms_dist.planning.schedule import Phase
from mms_dist.training.slot_manager import moves

ROWS_MOVED = 3
"""A row and AdamW's two moments go to a new owner."""

_FLAGS, _FLAG_BYTES = 2, 4  # beside one for each active language; int32


@dataclass(frozen=True)
class Traffic:
    """Bytes that all processes together hand over in a run, each counted once by whoever gives it."""

    flags: int = 0
    """The vector at the edge of every round: who ended, who asked to stop."""
    gradients: int = 0
    """Rows of shared languages, given into a sum by each of their owners."""
    moves: int = 0
    """Languages handed to other owners."""

    def __add__(self, other: "Traffic") -> "Traffic":
        return Traffic(self.flags + other.flags, self.gradients + other.gradients, self.moves + other.moves)


@dataclass(frozen=True)
class Exchange:
    """What a phase costs the processes: all bytes, and the seconds that the busiest waits in a round and at the
    phase's beginning."""

    traffic: Traffic
    round_seconds: float
    move_seconds: float


def exchange(phase: Phase, before: Mapping[str, RankGroup], cluster: Cluster, row_bytes: Mapping[str, int]) -> Exchange:
    """Count the bytes of a phase.

    Time is that of a ring all-reduce, in which each of k owners sends and receives 2 (k - 1) / k of a row
    (Patarasuk and Yuan 2009), and of moves that each rank does one after another, all at the cluster's bandwidth.

    Args:
        before: the placement of the phase before.
        row_bytes: size of each language's row.
    """
    world = cluster.world
    waits_W = np.zeros(world)
    summed = 0
    for language, group in phase.placement.items():
        if group.size > 1:
            summed += group.size * row_bytes[language]
            here = slice(group.first, group.first + group.size)
            waits_W[here] += 2 * (group.size - 1) / group.size * row_bytes[language] / cluster.bytes_per_second
    sent_W, received_W = np.zeros(world), np.zeros(world)
    for move in moves(before, phase.placement):
        sent_W[move.sender] += ROWS_MOVED * row_bytes[move.language]
        received_W[move.receiver] += ROWS_MOVED * row_bytes[move.language]
    flags = _FLAG_BYTES * (_FLAGS + len(phase.placement)) * world if world > 1 else 0
    return Exchange(
        Traffic(phase.rounds * flags, phase.rounds * summed, int(sent_W.sum())),
        float(waits_W.max()),
        float(np.maximum(sent_W, received_W).max()) / cluster.bytes_per_second,
    )
