"""Group the utterances of a round into packed passes of one constant size.

Each language's utterances are first packed into strips, depending only on their own lengths. Then whole strips are
packed into passes; the strips of a language keep their order. A strip starts at a new block of frames, and its gradient
is summed separately. So a language's gradient is always the same sum of the same strips, whichever other languages
share its passes.

Every pass costs the same, full or not, so the goal is to have few passes. Smaller strips fill passes better, but
utterances fill smaller strips worse. Each language's partly filled strip is placed first, so that a small strip is
available where little room is left.
"""

from collections.abc import Sequence

STRIPS = 2
"""Number of full strips in a pass. In tests/benchmarks/padding.py with 64 languages, passes of 320 s are then 98 %
full, and passes of 32 s are 90 % full."""
_LAST = 4
"""A strip takes the longest utterances until its remaining room is less than this many times the next one."""
_CHOICE = 64
"""The remaining room is filled with the best subset of about this many candidates."""

Strips = list[list[int]]
"""The strips of one pass, each a list of items; strips of one language are adjacent."""


def pack_constant(
    frames: Sequence[int], languages: Sequence[object], *, size: int, block: int, strips: int = STRIPS
) -> list[Strips]:
    """Group items into strips, and strips into passes.

    Args:
        frames: frames of each item, positive.
        languages: language of each item.
        size: frames of a pass, a multiple of `block`. A longer item gets a pass of its own.
        block: every strip starts at a multiple of this many frames.
        strips: number of full strips in a pass.

    Returns:
        Passes. Every item is in exactly one strip of one pass. A language's strips and their order over the passes
        depend only on the lengths of its own items.
    """
    assert size > 0 and size % block == 0 and min(frames, default=1) > 0, "sizes of a pass and of its items"
    waiting: dict[object, list[int]] = {}
    for item, language in enumerate(languages):
        waiting.setdefault(language, []).append(item)
    part = max(size // strips // block, 1) * block
    stacks = [_strips(items, frames, part) for items in waiting.values()]  # taken from the end
    sizes = [[-(-sum(frames[item] for item in strip) // block) * block for strip in stack] for stack in stacks]
    passes: list[Strips] = []
    left = list(range(len(stacks)))
    while left:
        number, room = left[0], size
        taken: list[tuple[int, list[int]]] = []
        while True:
            room -= sizes[number].pop()
            taken.append((number, stacks[number].pop()))
            # Prefer the first language while its strips fit, then the largest strip that fits.
            fitting = [other for other in left if sizes[other] and sizes[other][-1] <= room]
            if not fitting:
                break
            number = fitting[0] if fitting[0] == left[0] else max(fitting, key=lambda other: sizes[other][-1])
        passes.append([strip for _, strip in sorted(taken, key=lambda each: each[0])])
        left = [other for other in left if sizes[other]]
    return passes


def _strips(items: Sequence[int], frames: Sequence[int], part: int) -> list[list[int]]:
    """Pack one language into strips, the partly filled one last. An item longer than a strip is a strip of its own."""
    rest = sorted(items, key=lambda item: -frames[item])
    strips = []
    while rest:
        places = {0} if frames[rest[0]] >= part else _fill([frames[item] for item in rest], part)
        strips.append([rest[place] for place in sorted(places)])
        rest = [item for place, item in enumerate(rest) if place not in places]
    return strips


def _fill(descending: Sequence[int], room: int) -> set[int]:
    """Choose the lengths that fill the room best: the longest ones first, then the best subset of some candidates."""
    if sum(descending) <= room:
        return set(range(len(descending)))
    chosen: set[int] = set()
    first = 0
    while room >= _LAST * descending[first]:
        chosen.add(first)
        room -= descending[first]
        first += 1
    places = sorted({first + (len(descending) - 1 - first) * part // _CHOICE for part in range(_CHOICE + 1)})
    return chosen | {places[item] for item in _best_sum([descending[place] for place in places], room)}


def _best_sum(lengths: Sequence[int], room: int) -> list[int]:
    """Return the items with the largest sum within the room (subset sum; all possible sums are bits of an integer)."""
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
