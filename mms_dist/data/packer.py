"""Group the utterances of a round into forward passes with little padding.

Some optimal grouping has groups that are contiguous when utterances are sorted by length: if the sorted items are dealt
to groups of the same sizes, ordered by their longest member, no group's longest member becomes longer. So dynamic
programming over the sorted lengths finds the optimum.

Lengths are audio samples. They are not rounded to the front end's stride of 320: cost and capacity differ from those in
frames by less than one frame (20 ms) per utterance.
"""

from collections.abc import Sequence

import numpy as np

FORWARD_COST = 16_000
"""Cost of one more forward pass on a CPU, in samples of audio (1 s): the fixed overhead of small operations. A higher
cost gives fewer, fuller passes; a lower cost gives less padding. `training.resolve` has the cost for each device."""


def pack(lengths: Sequence[int], *, capacity: int, forward_cost: int = FORWARD_COST) -> list[np.ndarray]:
    """Group items so that the total padded length plus `forward_cost` per group is minimal.

    Args:
        lengths: length of each item, positive.
        capacity: largest padded size of a group: items * longest <= capacity. A longer item gets a group of its own.
        forward_cost: cost of a group, in the unit of the lengths.

    Returns:
        Groups of item numbers (int64, ascending), the group with the longest items first, so that a pass that does not
        fit in memory fails early. Every item is in exactly one group. The same lengths always give the same groups.

    Raises:
        ValueError: a length or the capacity is not positive.
    """
    lengths_N = np.asarray(lengths, dtype=np.int64)
    if capacity <= 0 or (lengths_N <= 0).any():
        raise ValueError(f"lengths and capacity must be positive, not {lengths_N.min(initial=0)} and {capacity}")
    order_N = np.argsort(lengths_N, kind="stable")
    groups = []
    for first, end in _contiguous_groups(lengths_N[order_N], capacity, forward_cost):
        groups.append(np.sort(order_N[first:end]))
    return groups


def _contiguous_groups(ascending_N: np.ndarray, capacity: int, forward_cost: int) -> list[tuple[int, int]]:
    """Return the optimal (first, end) ranges of ascending lengths, last range first.

    cost[end] = min over first of cost[first] + (end - first) * longest + forward_cost, where the longest item of a
    range is its last. Ties go to the largest range. Exact, O(N * items in a group).
    """
    items = len(ascending_N)
    cost_N = np.zeros(items + 1, dtype=np.int64)
    first_N = np.zeros(items + 1, dtype=np.int64)
    count_N = np.arange(items + 1, dtype=np.int64)
    for end in range(1, items + 1):
        longest = int(ascending_N[end - 1])
        most = max(1, min(end, capacity // longest))
        candidates = cost_N[end - most : end] + longest * count_N[most:0:-1]
        best = int(np.argmin(candidates))
        first_N[end] = end - most + best
        cost_N[end] = candidates[best] + forward_cost
    ranges = []
    end = items
    while end:
        first = int(first_N[end])
        ranges.append((first, end))
        end = first
    return ranges


def padding_fraction(groups: Sequence[np.ndarray], lengths: Sequence[int]) -> float:
    """Return the fraction of the padded audio of all groups that is padding, in [0, 1)."""
    lengths_N = np.asarray(lengths, dtype=np.int64)
    audio = sum(int(lengths_N[group].sum()) for group in groups)
    padded = sum(len(group) * int(lengths_N[group].max()) for group in groups)
    return 1.0 - audio / padded if padded else 0.0
