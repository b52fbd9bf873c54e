"""Cut the utterances of a round into packed passes of one constant size.

Every pass takes as many frames as the others, full or not, so few passes is all that counts, and with many small
pieces to a few large passes it is enough to fill one pass after the other as well as it can be. Languages come one
after the other: a language is then in few passes, which leaves less filler (each language begins with a new block) and
fewer weights to gather for a pass.
"""

from collections.abc import Sequence

import numpy as np

_LAST = 4
"""The longest go first, until what is left of a pass is less than so many of them."""
_CHOICE = 64
"""Then the best of all sums of so many is taken."""


def pack_constant(frames: Sequence[int], languages: Sequence[object], *, size: int, block: int) -> list[np.ndarray]:
    """Group items so that every group fits into a pass.

    Args:
        frames: of each item, positive.
        languages: of each item.
        size: frames of a pass, a multiple of `block`. An item that is longer goes alone.
        block: a language begins at a multiple of so many frames.

    Returns:
        Groups of item numbers (int64), those of a language next to each other; first the group with the longest item,
        so that a pass that does not fit in memory fails at once. Every item is in exactly one group. The same lengths
        and languages always give the same groups.
    """
    assert size > 0 and size % block == 0 and min(frames, default=1) > 0, "sizes of a pass and of its items"
    waiting: dict[object, list[int]] = {}
    for item, language in enumerate(languages):
        waiting.setdefault(language, []).append(item)
    groups: list[list[int]] = [[item] for item, length in enumerate(frames) if length > size]
    group: list[int] = []
    room = size
    for items in waiting.values():
        rest = sorted((item for item in items if frames[item] <= size), key=lambda item: -frames[item])
        room -= room % block
        while rest:
            chosen = _fill([frames[item] for item in rest], room)
            group += [rest[place] for place in chosen]
            room -= sum(frames[rest[place]] for place in chosen)
            rest = [item for place, item in enumerate(rest) if place not in chosen]
            if rest:
                groups.append(group)
                group, room = [], size
    filled = [np.array(each, dtype=np.int64) for each in [*groups, group] if each]
    return sorted(filled, key=lambda each: -max(frames[item] for item in each))


def _fill(descending: Sequence[int], room: int) -> set[int]:
    """Which of these lengths fill the room best: the longest ones, and of the rest the best sum of a choice."""
    if sum(descending) <= room:
        return set(range(len(descending)))
    chosen: set[int] = set()
    first = 0
    while first < len(descending) and room >= _LAST * descending[first]:
        chosen.add(first)
        room -= descending[first]
        first += 1
    places = sorted({first + (len(descending) - 1 - first) * part // _CHOICE for part in range(_CHOICE + 1)})
    return chosen | {places[item] for item in _best_sum([descending[place] for place in places], room)}


def _best_sum(lengths: Sequence[int], room: int) -> list[int]:
    """The items with the largest sum within the room: the subset sum problem, all sums as the bits of one number."""
    within = (1 << (room + 1)) - 1
    sums = [1]
    for length in lengths:
        sums.append((sums[-1] | sums[-1] << length) & within)
    best, items = sums[-1].bit_length() - 1, []
    for item in reversed(range(len(lengths))):
        if not sums[item] >> best & 1:
            items.append(item)
            best -= lengths[item]
    return items
